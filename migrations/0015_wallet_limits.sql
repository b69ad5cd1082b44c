-- +goose Up
-- Phase: expand
-- Spending limits that users set on their own wallets, which the ledger decides in its batches
-- (server/ledger/walletlimits.go). A lower limit holds at once, a higher one a day later.
-- kizod of the version before counts nothing of this: server/database.go lets a kizod of this
-- version serve only after the last older one has disconnected.
SET LOCAL lock_timeout = '5s';

-- Set with the first limit and never unset: a batch reads the limits of such accounts only.
ALTER TABLE accounts ADD COLUMN IF NOT EXISTS limited bool NOT NULL DEFAULT false;

-- The lock of the account protects the rows of the next three tables.
CREATE TABLE wallet_limits (
    account_id        bigint PRIMARY KEY,
    max_per_transfer  bigint CHECK (max_per_transfer BETWEEN 1 AND 1000000000000000), -- NULL: no maximum
    max_per_day       bigint CHECK (max_per_day BETWEEN 1 AND 1000000000000000),
    next_per_transfer bigint CHECK (next_per_transfer BETWEEN 1 AND 1000000000000000), -- from next_at on
    next_per_day      bigint CHECK (next_per_day BETWEEN 1 AND 1000000000000000),
    next_at           timestamptz, -- NULL: no change was asked for
    CONSTRAINT wallet_limits_next CHECK (next_at IS NOT NULL OR (next_per_transfer IS NULL AND next_per_day IS NULL))
);

-- What was spent from a limited wallet on a day in UTC: amounts of posted and pending transfers.
CREATE TABLE wallet_spending (
    account_id bigint NOT NULL,
    day        date   NOT NULL,
    spent      bigint NOT NULL CHECK (spent >= 0),
    PRIMARY KEY (account_id, day)
) WITH (fillfactor = 50);

-- The transfers that count. Transfers from wallets without a limit have no row.
CREATE TABLE wallet_limited_transfers (
    transfer_id uuid   PRIMARY KEY,
    account_id  bigint NOT NULL,
    day         date   NOT NULL -- of its creation, in UTC
);
CREATE INDEX wallet_limited_transfers_day ON wallet_limited_transfers (account_id, day);
CREATE TRIGGER wallet_limited_transfers_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON wallet_limited_transfers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER wallet_limits_no_delete BEFORE DELETE OR TRUNCATE ON wallet_limits
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- +goose StatementBegin
CREATE FUNCTION refuse_early_raise() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    unlimited CONSTANT bigint := 9223372036854775807; -- above every maximum
    in_effect bool := TG_OP = 'UPDATE' AND OLD.next_at <= clock_timestamp();
BEGIN
    UPDATE accounts SET limited = true WHERE id = NEW.account_id AND kind = 'wallet' AND NOT limited;
    IF NOT FOUND THEN
        PERFORM FROM accounts WHERE id = NEW.account_id AND kind = 'wallet' FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'account % is no wallet', NEW.account_id USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;
    IF TG_OP = 'UPDATE' AND (
        COALESCE(NEW.max_per_transfer, unlimited) > COALESCE(CASE WHEN in_effect THEN OLD.next_per_transfer ELSE OLD.max_per_transfer END, unlimited)
        OR COALESCE(NEW.max_per_day, unlimited) > COALESCE(CASE WHEN in_effect THEN OLD.next_per_day ELSE OLD.max_per_day END, unlimited)) THEN
        RAISE EXCEPTION 'the limit of account % is raised at once', NEW.account_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.next_at < now() + interval '24 hours' AND (TG_OP = 'INSERT' OR OLD.next_at IS NULL OR NEW.next_at < OLD.next_at
        OR COALESCE(NEW.next_per_transfer, unlimited) > COALESCE(OLD.next_per_transfer, unlimited)
        OR COALESCE(NEW.next_per_day, unlimited) > COALESCE(OLD.next_per_day, unlimited)) THEN
        RAISE EXCEPTION 'the limit of account % is raised too soon', NEW.account_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER wallet_limits_raised BEFORE INSERT OR UPDATE ON wallet_limits
    FOR EACH ROW EXECUTE FUNCTION refuse_early_raise();

-- After a limit was lowered, more may have been spent than it allows: then nothing may be added.
-- +goose StatementBegin
CREATE FUNCTION refuse_spending_beyond_wallet_limit() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM wallet_limits l WHERE l.account_id = NEW.account_id
                      AND NEW.spent <= COALESCE(CASE WHEN l.next_at <= clock_timestamp() THEN l.next_per_day ELSE l.max_per_day END, NEW.spent)) THEN
        RAISE EXCEPTION 'the limit of account % does not allow that', NEW.account_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- After, not before: an INSERT that becomes an UPDATE adds only the difference.
CREATE TRIGGER wallet_spending_first AFTER INSERT ON wallet_spending
    FOR EACH ROW EXECUTE FUNCTION refuse_spending_beyond_wallet_limit();
CREATE TRIGGER wallet_spending_more AFTER UPDATE ON wallet_spending
    FOR EACH ROW WHEN (NEW.spent > OLD.spent) EXECUTE FUNCTION refuse_spending_beyond_wallet_limit();

-- +goose StatementBegin
CREATE FUNCTION refuse_transfer_beyond_wallet_limit() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM transfers t, wallet_limits l
                    WHERE t.id = NEW.transfer_id AND t.debit_account = NEW.account_id AND l.account_id = NEW.account_id
                      AND t.amount <= COALESCE(CASE WHEN l.next_at <= clock_timestamp() THEN l.next_per_transfer ELSE l.max_per_transfer END, t.amount)) THEN
        RAISE EXCEPTION 'the limit of account % does not allow the transfer %', NEW.account_id, NEW.transfer_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER wallet_limited_transfers_allowed BEFORE INSERT ON wallet_limited_transfers
    FOR EACH ROW EXECUTE FUNCTION refuse_transfer_beyond_wallet_limit();

GRANT SELECT, INSERT, UPDATE (max_per_transfer, max_per_day, next_per_transfer, next_per_day, next_at) ON wallet_limits TO kizo_app;
GRANT SELECT, INSERT, UPDATE (spent) ON wallet_spending TO kizo_app;
GRANT SELECT, INSERT ON wallet_limited_transfers TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'limits cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
