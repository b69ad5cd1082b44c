-- +goose Up
-- Phase: expand
-- The ledger may decide a transfer on an account as it remembers it (server/ledger/remembered.go),
-- without a lock. apply_own_postings rejects it if the account has other postings. Its status is
-- compared here, and whether its owner has set a limit, which such a transfer does not count.
--
-- A transfer with its own postings is new, and a frozen account takes part in no new transfer.
-- Authorizations and payments from before the freeze are posted by statements of a session, at
-- trigger depth 0, and not by a trigger.
SET LOCAL lock_timeout = '5s';

-- +goose StatementBegin
CREATE FUNCTION refuse_outdated_account() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'account % is frozen, or has a limit that was not read', NEW.id
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER accounts_outdated AFTER UPDATE ON accounts FOR EACH ROW
    WHEN ((NEW.status = 'frozen' OR NEW.limited AND current_setting('kizo.remembered_accounts', true) = 'on')
        AND NEW.seq <> OLD.seq AND pg_trigger_depth() > 0)
    EXECUTE FUNCTION refuse_outdated_account();

-- +goose Down
-- No migration drops the books.
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
