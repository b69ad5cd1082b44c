-- +goose Up
-- Phase: expand
-- Spending limits of API keys, which the ledger decides in its batches (server/ledger/limits.go).
-- kizod of the version before knows no limited key: server/database.go lets a kizod of this version
-- serve only after the last older one has disconnected.
SET LOCAL lock_timeout = '5s';

ALTER TABLE api_keys ADD COLUMN limited bool NOT NULL DEFAULT false; -- has rows in spending_limits
GRANT INSERT (limited) ON api_keys TO kizo_app;

-- What a key may spend: in these currencies only, and to these payees only, if there are any.
CREATE TABLE spending_limits (
    limit_id         uuid        NOT NULL, -- of the key
    currency         text        NOT NULL CHECK (length(currency) = 3),
    owner            uuid        NOT NULL,
    max_per_transfer bigint      CHECK (max_per_transfer BETWEEN 1 AND 1000000000000000),
    max_per_day      bigint      CHECK (max_per_day BETWEEN 1 AND 1000000000000000),
    payees           uuid[]      CHECK (cardinality(payees) BETWEEN 1 AND 100),
    locked_at        timestamptz, -- never written; the right to write it allows SELECT … FOR NO KEY UPDATE
    PRIMARY KEY (limit_id, currency)
);

-- What was spent under a limit on a day in UTC: the amounts of posted and pending transfers.
CREATE TABLE limit_spending (
    limit_id uuid   NOT NULL,
    currency text   NOT NULL,
    day      date   NOT NULL,
    spent    bigint NOT NULL CHECK (spent >= 0),
    PRIMARY KEY (limit_id, currency, day)
) WITH (fillfactor = 50);

-- The transfers that count against a limit. Transfers without a limit have no row.
CREATE TABLE limited_transfers (
    transfer_id uuid PRIMARY KEY,
    limit_id    uuid NOT NULL,
    day         date NOT NULL -- of its creation, in UTC
);
CREATE INDEX limited_transfers_day ON limited_transfers (limit_id, day);
CREATE TRIGGER limited_transfers_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON limited_transfers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- +goose StatementBegin
CREATE FUNCTION refuse_spending_beyond_limit() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM spending_limits l WHERE l.limit_id = NEW.limit_id AND l.currency = NEW.currency
                      AND (l.max_per_day IS NULL OR NEW.spent <= l.max_per_day)) THEN
        RAISE EXCEPTION 'the limit % does not allow that', NEW.limit_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER limit_spending_allowed BEFORE INSERT OR UPDATE ON limit_spending
    FOR EACH ROW EXECUTE FUNCTION refuse_spending_beyond_limit();

GRANT SELECT, INSERT (limit_id, currency, owner, max_per_transfer, max_per_day, payees), UPDATE (locked_at) ON spending_limits TO kizo_app;
GRANT SELECT, INSERT, UPDATE (spent) ON limit_spending TO kizo_app;
GRANT SELECT, INSERT ON limited_transfers TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'limits cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
