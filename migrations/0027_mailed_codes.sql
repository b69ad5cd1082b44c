-- +goose Up
-- Phase: expand
-- Codes that are mailed to users (server/auth/mailcode.go).
SET LOCAL lock_timeout = '5s';

-- A user has one code for each purpose at most. Using a code empties code_hash; the row stays,
-- since it counts the codes of an hour. code_hash is an HMAC under the pepper: with 40 random bits,
-- a plain hash of a code could be reversed.
CREATE TABLE mailed_codes (
    user_id    uuid        NOT NULL REFERENCES users (id),
    purpose    text        NOT NULL CHECK (purpose IN ('password_reset', 'verify_email', 'change_email')),
    request_id uuid        NOT NULL, -- UUIDv7 of the request for the code: a retried older one makes no code
    email      text COLLATE "C" NOT NULL CHECK (length(email) BETWEEN 3 AND 254), -- to which the code is sent
    code_hash  bytea       CHECK (octet_length(code_hash) = 32), -- NULL: no code is valid
    expires_at timestamptz NOT NULL,
    failures   int         NOT NULL DEFAULT 0 CHECK (failures BETWEEN 0 AND 5),
    counted_at timestamptz NOT NULL, -- since when codes are counted
    codes      int         NOT NULL CHECK (codes BETWEEN 1 AND 100),
    PRIMARY KEY (user_id, purpose)
);
CREATE INDEX mailed_codes_expiry ON mailed_codes (expires_at);

-- A code that was guessed too often cannot be made good again.
CREATE TRIGGER mailed_codes_failures BEFORE UPDATE ON mailed_codes FOR EACH ROW
    WHEN (NEW.failures < OLD.failures AND NEW.code_hash = OLD.code_hash)
    EXECUTE FUNCTION refuse_change();

GRANT SELECT, DELETE,
      INSERT (user_id, purpose, request_id, email, code_hash, expires_at, counted_at, codes),
      UPDATE (request_id, email, code_hash, expires_at, failures, counted_at, codes)
      ON mailed_codes TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
