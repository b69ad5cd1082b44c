-- +goose Up
-- Phase: expand
-- Notices about payments (server/notices/watcher.go). kizod of the version before makes none.
SET LOCAL lock_timeout = '5s';

-- The position up to which the events of the ledger have been read for notices. It is NULL until
-- the first process reads; began_at is the time of that.
CREATE TABLE notice_cursor (
    singleton boolean     PRIMARY KEY DEFAULT true CHECK (singleton),
    position  text        CHECK (length(position) BETWEEN 1 AND 40),
    began_at  timestamptz,
    CONSTRAINT notice_cursor_begun CHECK ((position IS NULL) = (began_at IS NULL))
);
INSERT INTO notice_cursor DEFAULT VALUES;
CREATE TRIGGER notice_cursor_kept BEFORE DELETE OR TRUNCATE ON notice_cursor
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Whom a user has paid since began_at. Older payments are looked up in transfers if a pair is new.
CREATE TABLE known_payees (
    payer_id uuid NOT NULL,
    payee_id uuid NOT NULL,
    PRIMARY KEY (payer_id, payee_id)
);

GRANT SELECT, UPDATE (position, began_at) ON notice_cursor TO kizo_app;
GRANT SELECT, INSERT (payer_id, payee_id) ON known_payees TO kizo_app;
GRANT INSERT (user_id, source, kind, at, transfer_id, amount, currency, payee_id, mail_due) ON notices TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
