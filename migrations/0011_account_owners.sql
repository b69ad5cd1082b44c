-- +goose Up
-- A freeze belongs to the owner of accounts and not to one account: what the owner
-- opens later is frozen as well.
SET LOCAL lock_timeout = '5s';

-- The owner's row is the lock between a freeze and an account that is being opened. It
-- is taken before the accounts, by both.
CREATE TABLE account_owners (
    owner  uuid PRIMARY KEY,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'frozen'))
);

-- Opening an account locks its owner's row, so that a freeze waits for the account to be
-- visible, or the account sees the freeze.
-- +goose StatementBegin
CREATE FUNCTION take_owner_status() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO account_owners (owner) VALUES (NEW.owner) ON CONFLICT (owner) DO NOTHING;
    SELECT o.status INTO STRICT NEW.status FROM account_owners o WHERE o.owner = NEW.owner FOR SHARE;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER accounts_owner_status BEFORE INSERT ON accounts FOR EACH ROW
    WHEN (NEW.owner IS NOT NULL) EXECUTE FUNCTION take_owner_status();

-- The accounts follow, in id order, as a batch of transfers locks them.
-- +goose StatementBegin
CREATE FUNCTION give_owner_status() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM FROM accounts a WHERE a.owner = NEW.owner ORDER BY a.id FOR NO KEY UPDATE;
    UPDATE accounts a SET status = NEW.status WHERE a.owner = NEW.owner AND a.status <> NEW.status;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER account_owners_status AFTER INSERT OR UPDATE ON account_owners
    FOR EACH ROW EXECUTE FUNCTION give_owner_status();
CREATE TRIGGER account_owners_keep BEFORE DELETE OR TRUNCATE ON account_owners
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A user with a frozen account is frozen: the accounts that are active were opened after
-- the freeze.
INSERT INTO account_owners (owner, status)
SELECT owner, CASE WHEN bool_or(status = 'frozen') THEN 'frozen' ELSE 'active' END
  FROM accounts WHERE owner IS NOT NULL GROUP BY owner;

REVOKE UPDATE (status) ON accounts FROM kizo_app;
GRANT SELECT, INSERT (owner, status), UPDATE (status) ON account_owners TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger has no way down: restore a backup'; END $$;
-- +goose StatementEnd
