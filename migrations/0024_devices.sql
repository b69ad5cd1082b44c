-- +goose Up
-- Phase: expand
-- Known devices (server/auth/knowndevice.go) and log-ins of devices without a keyboard
-- (server/auth/devicelogin.go).
SET LOCAL lock_timeout = '5s';

-- The devices that a user has signed in on. token_hash is the SHA-256 of 32 random bytes that the
-- device keeps; session_id is the last session that it opened. At most 20 rows are kept for a user,
-- and none for longer than 90 days after its last use.
CREATE TABLE known_devices (
    user_id    uuid        NOT NULL REFERENCES users (id),
    token_hash bytea       NOT NULL CHECK (octet_length(token_hash) = 32),
    session_id uuid        NOT NULL,
    created_at timestamptz NOT NULL,
    used_at    timestamptz NOT NULL CHECK (used_at >= created_at),
    PRIMARY KEY (user_id, token_hash)
);
CREATE INDEX known_devices_used ON known_devices (used_at);

-- Requests of devices to be signed in (RFC 8628). device_code_hash is the SHA-256 of 32 random
-- bytes; user_code_hash is an HMAC under a key from the pepper, because 40 bits could be guessed.
-- address_key is the HMAC under which login_throttle counts the address. Opening the session
-- deletes the row. A session opens only if the approver's session and password are still those of
-- the approval.
CREATE TABLE device_logins (
    id                  uuid        PRIMARY KEY,
    device_code_hash    bytea       NOT NULL UNIQUE CHECK (octet_length(device_code_hash) = 32),
    user_code_hash      bytea       NOT NULL UNIQUE CHECK (octet_length(user_code_hash) = 32),
    address_key         bytea       CHECK (octet_length(address_key) = 32),
    client              text        NOT NULL CHECK (length(client) <= 120 AND client !~ '[[:cntrl:]]'),
    address             text        NOT NULL CHECK (length(address) <= 64),
    created_at          timestamptz NOT NULL,
    expires_at          timestamptz NOT NULL,
    polled_at           timestamptz,
    poll_seconds        int         NOT NULL DEFAULT 5 CHECK (poll_seconds BETWEEN 1 AND 60), -- between two polls, at least
    approved            bool,       -- NULL: not decided yet
    decided_at          timestamptz,
    decided_by          uuid        REFERENCES users (id),
    approver_session    uuid,
    password_changed_at timestamptz, -- of the approver, when the approval was given
    CONSTRAINT device_logins_life CHECK (expires_at > created_at AND expires_at - created_at <= interval '10 minutes'),
    CONSTRAINT device_logins_decision CHECK (num_nonnulls(approved, decided_at, decided_by, approver_session) IN (0, 4))
);
CREATE INDEX device_logins_expiry ON device_logins (expires_at);
CREATE INDEX device_logins_address ON device_logins (address_key, expires_at);

-- A decision is final.
CREATE TRIGGER device_logins_decided BEFORE UPDATE ON device_logins FOR EACH ROW
    WHEN (OLD.approved IS NOT NULL AND (NEW.approved, NEW.decided_by, NEW.approver_session, NEW.password_changed_at)
          IS DISTINCT FROM (OLD.approved, OLD.decided_by, OLD.approver_session, OLD.password_changed_at))
    EXECUTE FUNCTION refuse_change();

GRANT SELECT, DELETE, INSERT (user_id, token_hash, session_id, created_at, used_at), UPDATE (session_id, used_at)
      ON known_devices TO kizo_app;
GRANT SELECT, DELETE,
      INSERT (id, device_code_hash, user_code_hash, address_key, client, address, created_at, expires_at, poll_seconds),
      UPDATE (polled_at, poll_seconds, approved, decided_at, decided_by, approver_session, password_changed_at)
      ON device_logins TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
