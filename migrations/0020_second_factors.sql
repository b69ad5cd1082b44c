-- +goose Up
-- Phase: expand
-- Second factors (server/auth/secondfactor.go). kizod of the version before does not ask for them,
-- so users should add one only after every kizod has been replaced.
SET LOCAL lock_timeout = '5s';

-- secret is sealed under a key from the pepper. last_step is the newest time step (RFC 6238) whose
-- code was accepted: neither it nor an older one is accepted again.
CREATE TABLE second_factors (
    user_id      uuid        PRIMARY KEY REFERENCES users (id),
    secret       bytea       NOT NULL CHECK (octet_length(secret) = 48),
    pepper_id    text        NOT NULL CHECK (pepper_id ~ '^[a-z0-9_-]{1,32}$'),
    created_at   timestamptz NOT NULL,
    confirmed_at timestamptz CHECK (confirmed_at >= created_at), -- NULL: not asked for yet
    last_step    bigint      NOT NULL DEFAULT 0
);
CREATE INDEX second_factors_pepper ON second_factors (pepper_id);
CREATE TRIGGER second_factors_pepper BEFORE INSERT OR UPDATE OF pepper_id ON second_factors FOR EACH ROW
    EXECUTE FUNCTION refuse_removed_pepper();
CREATE TRIGGER second_factors_replay BEFORE UPDATE OF last_step ON second_factors FOR EACH ROW
    WHEN (NEW.last_step <= OLD.last_step AND OLD.confirmed_at IS NOT NULL)
    EXECUTE FUNCTION refuse_change();

-- Using a code deletes its row.
CREATE TABLE recovery_codes (
    user_id   uuid  NOT NULL REFERENCES second_factors (user_id) ON DELETE CASCADE,
    code_hash bytea NOT NULL CHECK (octet_length(code_hash) = 32),
    PRIMARY KEY (user_id, code_hash)
);

-- Wider: security_events_names
ALTER TABLE security_events
    DROP CONSTRAINT security_events_names,
    ADD CONSTRAINT security_events_kinds CHECK (event IN ('signed_up', 'signed_in', 'sign_in_failed', 'signed_out', 'session_revoked',
        'refresh_token_reused', 'suspended', 'reinstated', 'role_changed', 'email_verified',
        'key_created', 'key_rotated', 'key_revoked', 'key_refused', 'password_changed', 'frozen',
        'second_factor_added', 'second_factor_removed', 'recovery_code_used')) NOT VALID;

GRANT SELECT, DELETE,
      INSERT (user_id, secret, pepper_id, created_at),
      UPDATE (secret, pepper_id, created_at, confirmed_at, last_step)
      ON second_factors TO kizo_app;
GRANT SELECT, DELETE, INSERT (user_id, code_hash) ON recovery_codes TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
