-- +goose Up
-- Identity: users, sessions, secrets, and what is recorded about access. The Go side is in
-- server/auth.

-- An e-mail address belongs to the user who has verified it. Until then any number of users
-- may have signed up with it, and no payment finds its way by it.
CREATE TABLE users (
    id                uuid        PRIMARY KEY,
    email             text COLLATE "C" NOT NULL
        CHECK (length(email) BETWEEN 3 AND 254 AND email ~ '^[!-~]+@[!-~]+$' AND email !~ '[A-Z]'),
    handle            text COLLATE "C" NOT NULL CHECK (handle ~ '^[a-z][a-z0-9_]{1,29}$'),
    name              text        NOT NULL CHECK (length(name) BETWEEN 1 AND 80 AND name !~ '[[:cntrl:]]'),
    -- The name as searches compare it. The application writes it, because lower() depends on
    -- the database's locale.
    name_key          text COLLATE "C" NOT NULL CHECK (name_key <> ''),
    password_hash     text        NOT NULL CHECK (password_hash LIKE '$argon2id$v=19$%' AND length(password_hash) <= 255),
    pepper_id         text        NOT NULL CHECK (pepper_id ~ '^[a-z0-9_-]{1,32}$'),
    role              text        NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'operator')),
    status            text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    status_reason     text        NOT NULL DEFAULT '' CHECK (length(status_reason) <= 200),
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL CHECK (updated_at >= created_at),
    email_verified_at timestamptz,
    findable_by_email bool        NOT NULL DEFAULT true
);
CREATE UNIQUE INDEX users_email ON users (email) WHERE email_verified_at IS NOT NULL;
CREATE INDEX users_email_any ON users (email);
-- Under the collation "C" a prefix is a range of an ordinary index, whatever the plan: the
-- searches by handle and by name read these two.
CREATE UNIQUE INDEX users_handle ON users (handle);
CREATE INDEX users_name_key ON users (name_key, handle);

-- A session is a family of refresh tokens; expires_at is absolute.
CREATE TABLE sessions (
    id             uuid        PRIMARY KEY,
    user_id        uuid        NOT NULL REFERENCES users (id),
    created_at     timestamptz NOT NULL,
    last_used_at   timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL CHECK (expires_at > created_at),
    revoked_at     timestamptz,
    revoked_reason text        CHECK (revoked_reason IN ('logout', 'revoked', 'reused', 'suspended')),
    client         text        NOT NULL DEFAULT '' CHECK (length(client) <= 120 AND client !~ '[[:cntrl:]]'),
    address        text        NOT NULL DEFAULT '' CHECK (length(address) <= 64),
    CONSTRAINT sessions_revoked CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
);
CREATE INDEX sessions_user ON sessions (user_id, id) WHERE revoked_at IS NULL;
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Used tokens are kept until their family expires, so that a second use is recognized.
CREATE TABLE refresh_tokens (
    token_hash bytea       PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    session_id uuid        NOT NULL REFERENCES sessions (id),
    issued_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > issued_at),
    used_at    timestamptz
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);
-- One unused token per family: no race can leave two.
CREATE UNIQUE INDEX refresh_tokens_live ON refresh_tokens (session_id) WHERE used_at IS NULL;

-- Only what has expired is deleted, and what has ended does not change.
CREATE TRIGGER sessions_expired BEFORE DELETE ON sessions FOR EACH ROW
    WHEN (OLD.expires_at > clock_timestamp())
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER sessions_ended BEFORE UPDATE ON sessions FOR EACH ROW
    WHEN (OLD.revoked_at IS NOT NULL AND (NEW.revoked_at, NEW.revoked_reason)
          IS DISTINCT FROM (OLD.revoked_at, OLD.revoked_reason))
    EXECUTE FUNCTION refuse_change_after_end();
CREATE TRIGGER refresh_tokens_expired BEFORE DELETE ON refresh_tokens FOR EACH ROW
    WHEN (OLD.expires_at > clock_timestamp())
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER refresh_tokens_ended BEFORE UPDATE ON refresh_tokens FOR EACH ROW
    WHEN (OLD.used_at IS NOT NULL AND NEW.used_at IS DISTINCT FROM OLD.used_at)
    EXECUTE FUNCTION refuse_change_after_end();

-- The session cache of a kizod is valid as long as this list does not name its entries. The
-- versions have no gaps and are in commit order, since each is drawn under the lock of the
-- one row of access_version: a reader that has read up to a version has missed nothing below it.
CREATE TABLE access_version (
    singleton bool   PRIMARY KEY DEFAULT true CHECK (singleton),
    version   bigint NOT NULL DEFAULT 0
);
INSERT INTO access_version DEFAULT VALUES;
CREATE TABLE access_changes (
    version    bigint PRIMARY KEY,
    kind       text   NOT NULL CHECK (kind IN ('session', 'user', 'name')), -- name: a user's name and nothing else
    subject_id uuid   NOT NULL
);

-- The triggers are deferred to the COMMIT: the one row is then the last lock that a
-- transaction takes, and no deadlock can include it.
-- +goose StatementBegin
CREATE FUNCTION record_access_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE next_version bigint;
BEGIN
    UPDATE access_version SET version = version + 1 RETURNING version INTO next_version;
    INSERT INTO access_changes (version, kind, subject_id) VALUES (next_version, TG_ARGV[0], NEW.id);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER sessions_access AFTER UPDATE ON sessions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((NEW.revoked_at, NEW.user_id, NEW.expires_at) IS DISTINCT FROM (OLD.revoked_at, OLD.user_id, OLD.expires_at))
    EXECUTE FUNCTION record_access_change('session');
CREATE CONSTRAINT TRIGGER users_access AFTER UPDATE ON users
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((NEW.role, NEW.status, NEW.handle, NEW.email, NEW.email_verified_at, NEW.findable_by_email) IS DISTINCT FROM
          (OLD.role, OLD.status, OLD.handle, OLD.email, OLD.email_verified_at, OLD.findable_by_email))
    EXECUTE FUNCTION record_access_change('user');
CREATE CONSTRAINT TRIGGER users_name AFTER UPDATE ON users
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.name IS DISTINCT FROM OLD.name)
    EXECUTE FUNCTION record_access_change('name');

-- Every process has read a change long before 10,000 others follow it.
-- +goose StatementBegin
CREATE FUNCTION refuse_deleting_unread_changes() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM deleted d, access_version v WHERE d.version > v.version - 10000) THEN
        RAISE EXCEPTION 'a change of access may not have been read yet: % refused', TG_OP
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER access_changes_read AFTER DELETE ON access_changes
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION refuse_deleting_unread_changes();

-- Failed log-ins by account and by address; server/auth/throttle.go explains a row. key is an
-- HMAC under the pepper: the table does not show which addresses were tried, or from where.
-- failures_until is when the last of the failures expires, and so says how many there are:
-- one for each whole period from now until then.
CREATE TABLE login_throttle (
    key            bytea       PRIMARY KEY CHECK (octet_length(key) = 32),
    failures_until timestamptz NOT NULL,
    blocked_until  timestamptz NOT NULL CHECK (blocked_until <= failures_until)
);
CREATE INDEX login_throttle_expiry ON login_throttle (failures_until);

-- The addresses that a user has signed in from (server/auth/knownaddress.go). address is the
-- HMAC under which login_throttle counts that address. At most 20 rows are kept for a user,
-- and none for longer than 90 days after its last use.
CREATE TABLE known_addresses (
    user_id uuid        NOT NULL REFERENCES users (id),
    address bytea       NOT NULL CHECK (octet_length(address) = 32),
    used_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, address)
);
CREATE INDEX known_addresses_used ON known_addresses (used_at);

-- The signing keys and peppers that the processes of this database share, and which process
-- has which (server/auth/registry.go, rotation.go). The secrets themselves are in the secrets
-- file. check_value is an HMAC under the secret over its kind and id: it says whether two
-- secrets are the same, and nothing else.
CREATE TABLE secret_keys (
    kind        text  NOT NULL CHECK (kind IN ('pepper', 'signing_key')),
    id          text COLLATE "C" NOT NULL CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    check_value bytea NOT NULL CHECK (octet_length(check_value) = 32),
    -- prepared: distributed, not used yet. active: signs or hashes. retired: still
    -- accepted. removed: not accepted, and never again.
    state       text  NOT NULL CHECK (state IN ('prepared', 'active', 'retired', 'removed')),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    used_at     timestamptz, -- when a process last reported that it signs or hashes with it
    PRIMARY KEY (kind, id)
);
CREATE UNIQUE INDEX secret_keys_active ON secret_keys (kind) WHERE state = 'active';

-- A process locks the one row while it changes secret_keys or compares a secrets file with
-- it, so that no process starts between the comparison and the change.
CREATE TABLE secret_keys_lock (
    singleton bool PRIMARY KEY DEFAULT true CHECK (singleton)
);
INSERT INTO secret_keys_lock DEFAULT VALUES;

-- Running processes; each updates its row every ten seconds and deletes it when it stops.
-- held and used are ids as in secret_keys, written kind:id.
CREATE TABLE kizod_processes (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL CHECK (length(name) <= 200), -- host and process id, for operators
    roles      text        NOT NULL CHECK (length(roles) <= 200),
    version    text        NOT NULL CHECK (length(version) <= 200),
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    held       text[]      NOT NULL,
    used       text[]      NOT NULL
);

-- +goose StatementBegin
CREATE FUNCTION refuse_change_of_removed_secret() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the % % has been removed, and cannot be used again', OLD.kind, OLD.id;
END $$;
-- +goose StatementEnd
CREATE TRIGGER secret_keys_removed BEFORE UPDATE ON secret_keys FOR EACH ROW
    WHEN (OLD.state = 'removed') EXECUTE FUNCTION refuse_change_of_removed_secret();

-- A password under a removed pepper could never be checked again. FOR KEY SHARE makes the
-- removal, which locks the row FOR UPDATE before it counts the users, wait for this
-- transaction.
-- +goose StatementBegin
CREATE FUNCTION refuse_removed_pepper() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE found text;
BEGIN
    SELECT k.state INTO found FROM public.secret_keys k WHERE k.kind = 'pepper' AND k.id = NEW.pepper_id FOR KEY SHARE;
    IF found = 'removed' THEN
        RAISE EXCEPTION 'the pepper % has been removed', NEW.pepper_id;
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER users_pepper BEFORE INSERT OR UPDATE OF pepper_id ON users FOR EACH ROW
    EXECUTE FUNCTION refuse_removed_pepper();

-- Changes of a user's access: sign-ins, failures, revocations, roles. Users read their own
-- rows. kizod deletes a row after 180 days; the database refuses to delete one of less than 90.
CREATE TABLE security_events (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    user_id    uuid        NOT NULL REFERENCES users (id),
    event      text        NOT NULL CHECK (event IN ('signed_up', 'signed_in', 'sign_in_failed', 'signed_out', 'session_revoked',
        'refresh_token_reused', 'suspended', 'reinstated', 'role_changed', 'email_verified')),
    session_id uuid,
    client     text        NOT NULL DEFAULT '' CHECK (length(client) <= 120 AND client !~ '[[:cntrl:]]'),
    address    text        NOT NULL DEFAULT '' CHECK (length(address) <= 64),
    detail     text        NOT NULL DEFAULT '' CHECK (length(detail) <= 200 AND detail !~ '[[:cntrl:]]')
);
CREATE INDEX security_events_user ON security_events (user_id, id);
CREATE INDEX security_events_at ON security_events (at);
CREATE TRIGGER security_events_append_only BEFORE UPDATE OR TRUNCATE ON security_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER security_events_retained BEFORE DELETE ON security_events
    FOR EACH ROW WHEN (OLD.at > pg_catalog.clock_timestamp() - interval '90 days')
    EXECUTE FUNCTION refuse_change();

-- What operators did and why.
CREATE TABLE operator_actions (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operator uuid        NOT NULL,
    action   text        NOT NULL CHECK (length(action) BETWEEN 1 AND 60),
    subject  text        NOT NULL CHECK (length(subject) <= 200),
    reason   text        NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TRIGGER operator_actions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON operator_actions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The application's role cannot make a user an operator or verify an e-mail address (the
-- owner of the tables does: kizod user), delete a user, or give a session or token to another.
GRANT SELECT,
      INSERT (id, email, handle, name, name_key, password_hash, pepper_id, created_at, updated_at),
      UPDATE (name, name_key, password_hash, pepper_id, status, status_reason, updated_at, findable_by_email)
      ON users TO kizo_app;
GRANT SELECT, DELETE,
      INSERT (id, user_id, created_at, last_used_at, expires_at, client, address),
      UPDATE (last_used_at, revoked_at, revoked_reason, client, address)
      ON sessions TO kizo_app;
GRANT SELECT, DELETE,
      INSERT (token_hash, session_id, issued_at, expires_at),
      UPDATE (used_at)
      ON refresh_tokens TO kizo_app;
GRANT SELECT ON access_version TO kizo_app;
GRANT SELECT, DELETE ON access_changes TO kizo_app;
GRANT SELECT, INSERT, DELETE, UPDATE (failures_until, blocked_until) ON login_throttle TO kizo_app;
GRANT SELECT, DELETE, INSERT (user_id, address, used_at), UPDATE (used_at) ON known_addresses TO kizo_app;
GRANT SELECT, INSERT (kind, id, check_value, state), UPDATE (state, used_at) ON secret_keys TO kizo_app;
GRANT SELECT, UPDATE ON secret_keys_lock TO kizo_app; -- UPDATE allows SELECT … FOR SHARE and FOR UPDATE
GRANT SELECT, DELETE, INSERT (id, name, roles, version, held, used), UPDATE (held, used, seen_at) ON kizod_processes TO kizo_app;
GRANT SELECT, DELETE, INSERT (at, user_id, event, session_id, client, address, detail) ON security_events TO kizo_app;
GRANT SELECT, INSERT (operator, action, subject, reason) ON operator_actions TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users and sessions cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
