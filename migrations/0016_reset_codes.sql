-- +goose Up
-- Phase: expand
-- Codes with which users who lost their password choose another one (server/auth/resetpassword.go).
SET LOCAL lock_timeout = '5s';

-- A user has one code at most. Using it deletes the row.
CREATE TABLE reset_codes (
    user_id    uuid        PRIMARY KEY REFERENCES users (id),
    code_hash  bytea       NOT NULL CHECK (octet_length(code_hash) = 32),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    failures   int         NOT NULL DEFAULT 0 CHECK (failures BETWEEN 0 AND 5),
    CONSTRAINT reset_codes_life CHECK (expires_at > created_at AND expires_at - created_at <= interval '7 days')
);
CREATE INDEX reset_codes_expiry ON reset_codes (expires_at);

-- A code that was guessed too often cannot be made good again, or live longer.
CREATE TRIGGER reset_codes_failures BEFORE UPDATE OF failures ON reset_codes FOR EACH ROW
    WHEN (NEW.failures < OLD.failures AND NEW.code_hash = OLD.code_hash)
    EXECUTE FUNCTION refuse_change();

-- Only the owner of the tables makes a code: kizod user reset-password.
GRANT SELECT, DELETE, UPDATE (failures) ON reset_codes TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
