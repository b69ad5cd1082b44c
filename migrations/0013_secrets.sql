-- +goose Up
-- The signing keys and peppers that the processes of this database share, and which
-- process holds which. The Go side is server/auth/registry.go and rotation.go.
--
-- The secrets themselves are in the secrets file. check_value is an HMAC under the secret
-- over its kind and id: it tells whether two secrets are the same and nothing else.
CREATE TABLE secret_keys (
    kind        text  NOT NULL CHECK (kind IN ('pepper', 'signing_key')),
    id          text COLLATE "C" NOT NULL CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    check_value bytea NOT NULL CHECK (octet_length(check_value) = 32),
    -- prepared: distributed, not used yet. active: signs or hashes. retired: still
    -- accepted. removed: accepted no longer, and never again.
    state       text  NOT NULL CHECK (state IN ('prepared', 'active', 'retired', 'removed')),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    used_at     timestamptz, -- when a process last reported that it signs or hashes with it
    PRIMARY KEY (kind, id)
);
CREATE UNIQUE INDEX secret_keys_active ON secret_keys (kind) WHERE state = 'active';

-- Its one row is locked by each process that changes secret_keys or checks a secrets file against
-- it, so that no process starts between the check and the change.
CREATE TABLE secret_keys_lock (
    one bool PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO secret_keys_lock DEFAULT VALUES;

-- Running processes; each updates its row every ten seconds and deletes it at its end.
-- held and used are ids as in secret_keys, written kind:id.
CREATE TABLE kizod_processes (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL CHECK (length(name) <= 200), -- host and process id, for people
    roles      text        NOT NULL CHECK (length(roles) <= 200),
    version    text        NOT NULL CHECK (length(version) <= 200),
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    held       text[]      NOT NULL,
    used       text[]      NOT NULL
);

-- +goose StatementBegin
CREATE FUNCTION refuse_reviving_secret() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the % % has been removed and stays so', OLD.kind, OLD.id;
END $$;
-- +goose StatementEnd
CREATE TRIGGER secret_keys_removed BEFORE UPDATE ON secret_keys FOR EACH ROW
    WHEN (OLD.state = 'removed') EXECUTE FUNCTION refuse_reviving_secret();

-- A password under a removed pepper could never be checked again. FOR KEY SHARE makes
-- the removal, which locks the row FOR UPDATE before it counts the users, wait for this
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

GRANT SELECT, INSERT (kind, id, check_value, state), UPDATE (state, used_at) ON secret_keys TO kizo_app;
GRANT SELECT, UPDATE ON secret_keys_lock TO kizo_app; -- UPDATE allows SELECT … FOR SHARE and FOR UPDATE
GRANT SELECT, DELETE, INSERT (id, name, roles, version, held, used), UPDATE (held, used, seen_at) ON kizod_processes TO kizo_app;

-- +goose Down
DROP TRIGGER users_pepper ON users;
DROP FUNCTION refuse_removed_pepper();
DROP TABLE kizod_processes, secret_keys_lock, secret_keys;
DROP FUNCTION refuse_reviving_secret();
