-- +goose Up
-- Phase: expand
-- Users change their handle (server/auth/changehandle.go). kizod of the version before finds users
-- by their present handles only, and is refused if it gives a reserved one to another user.
SET LOCAL lock_timeout = '5s';

-- The handles that users had before, and when they last gave them up. A handle stays reserved for
-- its user: no other user gets it, so that a payment to it can never reach another user.
CREATE TABLE former_handles (
    handle     text COLLATE "C" PRIMARY KEY,
    user_id    uuid        NOT NULL REFERENCES users (id),
    changed_at timestamptz NOT NULL
);
CREATE INDEX former_handles_user ON former_handles (user_id, changed_at);

CREATE TRIGGER former_handles_kept BEFORE DELETE OR TRUNCATE ON former_handles
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER former_handles_owner BEFORE UPDATE ON former_handles FOR EACH ROW
    WHEN ((NEW.handle, NEW.user_id) IS DISTINCT FROM (OLD.handle, OLD.user_id))
    EXECUTE FUNCTION refuse_change();

-- The trigger runs after the row is written, and with that after the wait for a transaction that
-- gives the same handle up: it reads what that one committed. A user who leaves a handle a second
-- time has made two changes since the first, so the row is more than a year old and does not
-- count.
-- +goose StatementBegin
CREATE FUNCTION reserve_handle() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'handles are given and changed in transactions with READ COMMITTED';
    END IF;
    IF EXISTS (SELECT FROM former_handles f WHERE f.handle = NEW.handle AND f.user_id <> NEW.id) THEN
        RAISE EXCEPTION 'the handle % is reserved for the user who had it', NEW.handle
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'users_handle_reserved';
    END IF;
    IF TG_OP = 'INSERT' OR NEW.handle = OLD.handle THEN
        RETURN NULL;
    END IF;
    IF (SELECT count(*) FROM former_handles f
         WHERE f.user_id = NEW.id AND f.changed_at > clock_timestamp() - interval '1 year') >= 2 THEN
        RAISE EXCEPTION 'the user % has changed the handle twice within a year', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'users_handle_changes';
    END IF;
    INSERT INTO former_handles AS f (handle, user_id, changed_at) VALUES (OLD.handle, OLD.id, clock_timestamp())
        ON CONFLICT (handle) DO UPDATE SET changed_at = excluded.changed_at;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER users_handle_reserved AFTER INSERT OR UPDATE OF handle ON users FOR EACH ROW
    EXECUTE FUNCTION reserve_handle();

GRANT SELECT ON former_handles TO kizo_app;
GRANT UPDATE (handle) ON users TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
