-- +goose Up
-- Phase: expand
-- Users change their password (server/auth/changepassword.go). kizod of the version before sets no
-- password_changed_at; it leaves the column NULL, which is its value since the sign-up.
SET LOCAL lock_timeout = '5s';

ALTER TABLE users
    ADD COLUMN password_changed_at timestamptz, -- NULL: since the sign-up
    ADD CONSTRAINT users_password_changed CHECK (password_changed_at >= created_at) NOT VALID;

-- Wider: security_events_names
ALTER TABLE security_events
    DROP CONSTRAINT security_events_names,
    ADD CONSTRAINT security_events_kinds CHECK (event IN ('signed_up', 'signed_in', 'sign_in_failed', 'signed_out', 'session_revoked',
        'refresh_token_reused', 'suspended', 'reinstated', 'role_changed', 'email_verified',
        'key_created', 'key_rotated', 'key_revoked', 'key_refused', 'password_changed')) NOT VALID;

GRANT UPDATE (password_changed_at) ON users TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
