-- +goose Up
-- Phase: expand
-- API keys: credentials for scripts. The Go side is in server/auth/apikeys.go.
--
-- kizod of the version before knows no keys. It reads the changes of keys that the trigger below
-- records as changes of a session that it does not have.
SET LOCAL lock_timeout = '5s';

-- A key is never deleted, since the books name it.
CREATE TABLE api_keys (
    id           uuid        PRIMARY KEY,
    user_id      uuid        NOT NULL REFERENCES users (id),
    name         text COLLATE "C" NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$'),
    scopes       text[]      NOT NULL CHECK (cardinality(scopes) BETWEEN 1 AND 5 AND array_position(scopes, NULL) IS NULL
        AND scopes <@ ARRAY['read', 'transfers:write', 'bank:write', 'ops:read', 'ops:write']),
    networks     cidr[]      NOT NULL DEFAULT '{}' CHECK (cardinality(networks) <= 20), -- empty: any address
    created_at   timestamptz NOT NULL,
    rotated_at   timestamptz CHECK (rotated_at >= created_at),
    revoked_at   timestamptz CHECK (revoked_at >= created_at),
    last_used_at timestamptz, -- written once a minute
    last_address text        NOT NULL DEFAULT '' CHECK (length(last_address) <= 64)
);
CREATE INDEX api_keys_user ON api_keys (user_id, id);
CREATE UNIQUE INDEX api_keys_name ON api_keys (user_id, name) WHERE revoked_at IS NULL;

-- The secrets of a key: the current one, and after a rotation the one before until it expires.
CREATE TABLE api_key_secrets (
    secret_hash bytea       PRIMARY KEY CHECK (octet_length(secret_hash) = 32),
    key_id      uuid        NOT NULL REFERENCES api_keys (id),
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    replaced_at timestamptz, -- by a rotation
    CONSTRAINT api_key_secrets_life CHECK (expires_at >= created_at AND expires_at - created_at <= interval '366 days')
);
CREATE UNIQUE INDEX api_key_secrets_current ON api_key_secrets (key_id) WHERE replaced_at IS NULL;
CREATE INDEX api_key_secrets_key ON api_key_secrets (key_id);
CREATE INDEX api_key_secrets_expiry ON api_key_secrets (expires_at);

-- What has ended does not change, and no secret lives longer than was said when it was made.
CREATE TRIGGER api_keys_ended BEFORE UPDATE ON api_keys FOR EACH ROW
    WHEN (OLD.revoked_at IS NOT NULL AND (NEW.revoked_at, NEW.rotated_at) IS DISTINCT FROM (OLD.revoked_at, OLD.rotated_at))
    EXECUTE FUNCTION refuse_change_after_end();
CREATE TRIGGER api_keys_no_delete BEFORE DELETE OR TRUNCATE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER api_key_secrets_life BEFORE UPDATE ON api_key_secrets FOR EACH ROW
    WHEN (NEW.expires_at > OLD.expires_at OR OLD.replaced_at IS NOT NULL AND NEW.replaced_at IS DISTINCT FROM OLD.replaced_at)
    EXECUTE FUNCTION refuse_change_after_end();
CREATE TRIGGER api_key_secrets_expired BEFORE DELETE ON api_key_secrets FOR EACH ROW
    WHEN (OLD.expires_at > clock_timestamp())
    EXECUTE FUNCTION refuse_change();
-- +goose StatementBegin
CREATE FUNCTION refuse_secret_of_revoked_key() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    -- FOR KEY SHARE would not wait for a revocation, which changes no key column.
    IF NOT EXISTS (SELECT FROM api_keys k WHERE k.id = NEW.key_id AND k.revoked_at IS NULL FOR SHARE) THEN
        RAISE EXCEPTION 'the key % has been revoked', NEW.key_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER api_key_secrets_live BEFORE INSERT ON api_key_secrets FOR EACH ROW
    EXECUTE FUNCTION refuse_secret_of_revoked_key();

-- The session cache forgets a key as it forgets a session: see access_changes.
CREATE CONSTRAINT TRIGGER api_keys_access AFTER UPDATE ON api_keys
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((NEW.revoked_at, NEW.rotated_at) IS DISTINCT FROM (OLD.revoked_at, OLD.rotated_at))
    EXECUTE FUNCTION record_access_change('session');

-- Wider: security_events_event_check
ALTER TABLE security_events
    DROP CONSTRAINT security_events_event_check,
    ADD CONSTRAINT security_events_names CHECK (event IN ('signed_up', 'signed_in', 'sign_in_failed', 'signed_out', 'session_revoked',
        'refresh_token_reused', 'suspended', 'reinstated', 'role_changed', 'email_verified',
        'key_created', 'key_rotated', 'key_revoked', 'key_refused')) NOT VALID;

GRANT SELECT,
      INSERT (id, user_id, name, scopes, networks, created_at),
      UPDATE (rotated_at, revoked_at, last_used_at, last_address)
      ON api_keys TO kizo_app;
GRANT SELECT, DELETE,
      INSERT (secret_hash, key_id, created_at, expires_at),
      UPDATE (expires_at, replaced_at)
      ON api_key_secrets TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'keys cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
