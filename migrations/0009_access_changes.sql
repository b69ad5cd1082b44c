-- +goose Up
-- What kizod remembers of sessions and users stays right for as long as this list
-- does not name them. The numbers have no gaps and are those of the commits' order,
-- since each is drawn under the lock of the one row: a reader that has read up to
-- n misses nothing below it.
CREATE TABLE access_epoch (
    one bool   PRIMARY KEY DEFAULT true CHECK (one),
    n   bigint NOT NULL DEFAULT 0
);
INSERT INTO access_epoch DEFAULT VALUES;
CREATE TABLE access_changes (
    n    bigint PRIMARY KEY,
    what text   NOT NULL CHECK (what IN ('session', 'user', 'name')), -- a name changed and nothing else
    id   uuid   NOT NULL
);

-- Deferred to the COMMIT: the one row is then the last lock that a transaction
-- takes, so it closes no circle.
-- +goose StatementBegin
CREATE FUNCTION note_access_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE number bigint;
BEGIN
    UPDATE access_epoch SET n = n + 1 RETURNING n INTO number;
    INSERT INTO access_changes (n, what, id) VALUES (number, TG_ARGV[0], NEW.id);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER sessions_access AFTER UPDATE ON sessions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((NEW.revoked_at, NEW.user_id, NEW.expires_at) IS DISTINCT FROM (OLD.revoked_at, OLD.user_id, OLD.expires_at))
    EXECUTE FUNCTION note_access_change('session');
CREATE CONSTRAINT TRIGGER users_access AFTER UPDATE ON users
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((NEW.role, NEW.status, NEW.handle, NEW.email) IS DISTINCT FROM (OLD.role, OLD.status, OLD.handle, OLD.email))
    EXECUTE FUNCTION note_access_change('user');
CREATE CONSTRAINT TRIGGER users_name AFTER UPDATE ON users
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.name IS DISTINCT FROM OLD.name)
    EXECUTE FUNCTION note_access_change('name');

GRANT SELECT ON access_epoch TO kizo_app;
GRANT SELECT, DELETE ON access_changes TO kizo_app;

-- +goose Down
DROP TRIGGER sessions_access ON sessions;
DROP TRIGGER users_access ON users;
DROP TRIGGER users_name ON users;
DROP FUNCTION note_access_change();
DROP TABLE access_changes, access_epoch;
