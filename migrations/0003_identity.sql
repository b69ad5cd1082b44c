-- +goose Up
-- Who may ask. The Go side of every rule below is in server/auth.

-- name_key is the name in lower case, written by the application: lower() in
-- the database depends on its locale, and a search must not.
CREATE TABLE users (
    id            uuid        PRIMARY KEY,
    email         text COLLATE "C" NOT NULL
        CHECK (length(email) BETWEEN 3 AND 254 AND email ~ '^[!-~]+@[!-~]+$' AND email !~ '[A-Z]'),
    handle        text COLLATE "C" NOT NULL CHECK (handle ~ '^[a-z][a-z0-9_]{1,29}$'),
    name          text        NOT NULL CHECK (length(name) BETWEEN 1 AND 80 AND name !~ '[[:cntrl:]]'),
    name_key      text COLLATE "C" NOT NULL CHECK (name_key <> ''),
    password_hash text        NOT NULL CHECK (password_hash LIKE '$argon2id$v=19$%' AND length(password_hash) <= 255),
    pepper_id     text        NOT NULL CHECK (pepper_id ~ '^[a-z0-9_-]{1,32}$'),
    role          text        NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'operator')),
    status        text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    status_reason text        NOT NULL DEFAULT '' CHECK (length(status_reason) <= 200),
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL CHECK (updated_at >= created_at)
);
-- Under the collation "C" a prefix is a range of the ordinary index, whatever
-- the plan: the search by handle and by name reads these two.
CREATE UNIQUE INDEX users_email ON users (email);
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

-- Used tokens stay as long as their family may live: a second use must be seen.
CREATE TABLE refresh_tokens (
    token_hash bytea       PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    session_id uuid        NOT NULL REFERENCES sessions (id),
    issued_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > issued_at),
    used_at    timestamptz
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);
-- One live token per family, so that no race can ever leave two.
CREATE UNIQUE INDEX refresh_tokens_live ON refresh_tokens (session_id) WHERE used_at IS NULL;

-- What has ended stays ended.
-- +goose StatementBegin
CREATE FUNCTION refuse_reviving() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a row of % has ended and stays so', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER sessions_ended BEFORE UPDATE ON sessions FOR EACH ROW
    WHEN (OLD.revoked_at IS NOT NULL AND (NEW.revoked_at, NEW.revoked_reason)
          IS DISTINCT FROM (OLD.revoked_at, OLD.revoked_reason))
    EXECUTE FUNCTION refuse_reviving();
CREATE TRIGGER refresh_tokens_ended BEFORE UPDATE ON refresh_tokens FOR EACH ROW
    WHEN (OLD.used_at IS NOT NULL AND NEW.used_at IS DISTINCT FROM OLD.used_at)
    EXECUTE FUNCTION refuse_reviving();

-- Nobody signs up as an operator, no user is deleted, and no session or token
-- changes hands.
GRANT SELECT,
      INSERT (id, email, handle, name, name_key, password_hash, pepper_id, created_at, updated_at),
      UPDATE (name, name_key, password_hash, pepper_id, role, status, status_reason, updated_at)
      ON users TO kizo_app;
GRANT SELECT, DELETE,
      INSERT (id, user_id, created_at, last_used_at, expires_at, client, address),
      UPDATE (last_used_at, revoked_at, revoked_reason, client, address)
      ON sessions TO kizo_app;
GRANT SELECT, DELETE,
      INSERT (token_hash, session_id, issued_at, expires_at),
      UPDATE (used_at)
      ON refresh_tokens TO kizo_app;

-- +goose Down
DROP TABLE refresh_tokens, sessions, users;
DROP FUNCTION refuse_reviving();
