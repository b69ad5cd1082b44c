-- +goose Up
-- Phase: expand
-- The names of all events that the identity of a user has or is to have, so that each of them does
-- not need two migrations of its own.
SET LOCAL lock_timeout = '5s';

-- Wider: security_events_kinds
ALTER TABLE security_events
    DROP CONSTRAINT security_events_kinds,
    ADD CONSTRAINT security_events_names CHECK (event IN ('signed_up', 'signed_in', 'sign_in_failed', 'signed_out', 'session_revoked',
        'refresh_token_reused', 'suspended', 'reinstated', 'role_changed', 'email_verified',
        'key_created', 'key_rotated', 'key_revoked', 'key_refused', 'password_changed', 'frozen',
        'second_factor_added', 'second_factor_removed', 'recovery_code_used', 'second_factor_failed',
        'stepped_up', 'step_up_failed', 'step_up_changed', 'limit_changed', 'locked_out',
        'new_device', 'device_approved', 'device_denied', 'unfrozen',
        'password_reset_requested', 'email_change_requested', 'email_changed', 'handle_changed',
        'account_closed', 'data_exported', 'viewed_by_operator', 'action_approved')) NOT VALID;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
