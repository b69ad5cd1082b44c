-- +goose Up
-- Phase: expand
-- Users close their account (server/auth/closeaccount.go). Nothing of the books is deleted. kizod
-- of the version before closes none, and treats a closed user as suspended, with frozen wallets.
SET LOCAL lock_timeout = '5s';

-- Wider: users_status_check
ALTER TABLE users
    DROP CONSTRAINT users_status_check,
    ADD CONSTRAINT users_states CHECK (status IN ('active', 'suspended', 'closed')) NOT VALID;
CREATE TRIGGER users_closed BEFORE UPDATE ON users FOR EACH ROW
    WHEN (OLD.status = 'closed') EXECUTE FUNCTION refuse_change_after_end();

ALTER TABLE account_owners ADD COLUMN IF NOT EXISTS closed_at timestamptz; -- NULL: not closed

-- The locks of the accounts make the trigger wait for each batch that posts to one of them or
-- opens a transfer; the statements after it see what that batch has committed. A later batch finds
-- the accounts frozen. Opening an account locks the row of the owner (copy_status_from_owner).
-- +goose StatementBegin
CREATE FUNCTION refuse_closing_with_money() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' OR NEW.status <> 'frozen' THEN
        RAISE EXCEPTION 'accounts are closed in transactions with READ COMMITTED, and are frozen then';
    END IF;
    PERFORM FROM accounts a WHERE a.owner = NEW.owner ORDER BY a.id FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM accounts a WHERE a.owner = NEW.owner AND (a.balance <> 0 OR a.held <> 0))
       OR EXISTS (SELECT FROM accounts a JOIN transfers t ON t.debit_account = a.id AND t.state = 'pending' WHERE a.owner = NEW.owner)
       OR EXISTS (SELECT FROM accounts a JOIN transfers t ON t.credit_account = a.id AND t.state = 'pending' WHERE a.owner = NEW.owner) THEN
        RAISE EXCEPTION 'the owner % has money or pending transfers', NEW.owner
            USING ERRCODE = 'check_violation', CONSTRAINT = 'account_owners_closed_empty';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER account_owners_closed_empty BEFORE INSERT OR UPDATE OF closed_at ON account_owners FOR EACH ROW
    WHEN (NEW.closed_at IS NOT NULL) EXECUTE FUNCTION refuse_closing_with_money();
CREATE TRIGGER account_owners_closed BEFORE UPDATE ON account_owners FOR EACH ROW
    WHEN (OLD.closed_at IS NOT NULL) EXECUTE FUNCTION refuse_change_after_end();

-- Replaces what names a person. The handle stays, so that no other user gets it. The application's
-- role cannot change an e-mail address by itself, and closes only users whose accounts are closed.
-- +goose StatementBegin
CREATE FUNCTION close_user(for_user uuid, at timestamptz) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE users u
       SET status = 'closed', status_reason = '', name = 'Closed account', name_key = 'closed account',
           email = u.id || '@closed.invalid', email_verified_at = NULL, findable_by_email = false,
           password_hash = '$argon2id$v=19$closed', updated_at = greatest(u.updated_at, at)
     WHERE u.id = for_user AND u.status = 'active' AND u.role = 'user'
       AND EXISTS (SELECT FROM account_owners o WHERE o.owner = for_user AND o.closed_at IS NOT NULL);
    RETURN FOUND;
END $$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION close_user FROM PUBLIC;

GRANT UPDATE (closed_at) ON account_owners TO kizo_app;
GRANT EXECUTE ON FUNCTION close_user TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
