-- +goose Up
-- Phase: expand
SET LOCAL lock_timeout = '5s';

-- An audit in which every invariant held, and what the next incremental audit needs to continue it
-- (server/ledger/audit_signed.go). The signature is an HMAC with a key that is not in the database.
CREATE TABLE signed_audits (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL, -- of the snapshot
    mode       text        NOT NULL CHECK (mode IN ('full', 'incremental')),
    full_at    timestamptz NOT NULL, -- of the last full audit, this one or an earlier one
    epoch      xid8        NOT NULL, -- event_number('0')
    horizon    xid8        NOT NULL, -- events that the snapshot did not contain have this number or a higher one
    latest     timestamptz NOT NULL, -- no posting of the snapshot is dated after it
    -- Per currency, of the accounts that had postings below the horizon: their number, the sum of
    -- their balances, and a digest of their balances and of the numbers of their last postings.
    currencies text[]      NOT NULL,
    accounts   bigint[]    NOT NULL,
    balances   numeric[]   NOT NULL,
    digests    numeric[]   NOT NULL,
    key_id     text        NOT NULL CHECK (length(key_id) BETWEEN 1 AND 64),
    signature  bytea       NOT NULL CHECK (octet_length(signature) = 32),
    CONSTRAINT signed_audits_full CHECK (full_at <= at AND (mode <> 'full' OR full_at = at)),
    CONSTRAINT signed_audits_currencies CHECK (cardinality(currencies) = cardinality(accounts)
        AND cardinality(currencies) = cardinality(balances) AND cardinality(currencies) = cardinality(digests))
);
CREATE TRIGGER signed_audits_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON signed_audits
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT (at, mode, full_at, epoch, horizon, latest, currencies, accounts, balances, digests, key_id, signature)
    ON signed_audits TO kizo_app;

-- +goose Down
-- No migration drops the books.
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
