-- +goose Up
-- Phase: expand
-- Users freeze their own account (server/auth/freezeown.go).
SET LOCAL lock_timeout = '5s';

-- Wider: security_events_kinds
ALTER TABLE security_events
    DROP CONSTRAINT security_events_kinds,
    ADD CONSTRAINT security_events_names CHECK (event IN ('signed_up', 'signed_in', 'sign_in_failed', 'signed_out', 'session_revoked',
        'refresh_token_reused', 'suspended', 'reinstated', 'role_changed', 'email_verified',
        'key_created', 'key_rotated', 'key_revoked', 'key_refused', 'password_changed', 'frozen')) NOT VALID;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
