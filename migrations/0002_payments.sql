-- +goose Up
-- A payment is the bank's side of a deposit or withdrawal, and the outbox at the
-- same time: the row is the truth, a queue's task is only a hint to look at it.
--
--   pending ──claim──► unknown ──bank says──► executed   (transfer posted)
--      the bank has      │  ▲                 rejected   (transfer voided)
--      not been asked    └──┘ no answer: ask again
--                        │
--                        └── too long ──► needs_review   (hold kept, an operator decides)
CREATE TABLE payments (
    transfer_id  uuid        PRIMARY KEY REFERENCES transfers (id),
    direction    text        NOT NULL CHECK (direction IN ('deposit', 'withdrawal')),
    external_ref text        NOT NULL UNIQUE CHECK (length(external_ref) BETWEEN 1 AND 64),
    amount       bigint      NOT NULL CHECK (amount BETWEEN 1 AND 1000000000000000),
    currency     text        NOT NULL CHECK (length(currency) = 3),
    state        text        NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'unknown', 'executed', 'rejected', 'needs_review')),
    attempts     integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- When somebody must look next; a claim moves it to the end of its lease, so
    -- a dead worker's payment falls due by itself.
    next_at      timestamptz,
    lease_until  timestamptz,
    fence        bigint      NOT NULL DEFAULT 0 CHECK (fence >= 0),
    bank_ref     text        NOT NULL DEFAULT '' CHECK (length(bank_ref) <= 200),
    last_error   text        NOT NULL DEFAULT '' CHECK (length(last_error) <= 500),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT payments_due CHECK ((next_at IS NULL) = (state IN ('executed', 'rejected', 'needs_review'))),
    CONSTRAINT payments_leased CHECK (lease_until IS NULL OR next_at IS NOT NULL)
);
CREATE INDEX payments_next ON payments (next_at) WHERE next_at IS NOT NULL;

GRANT SELECT, INSERT,
      UPDATE (state, attempts, next_at, lease_until, fence, bank_ref, last_error, updated_at)
      ON payments TO kizo_app;
-- Truth about what the bank was asked never goes away.
CREATE TRIGGER payments_keep BEFORE DELETE OR TRUNCATE ON payments
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger has no way down: restore a backup'; END $$;
-- +goose StatementEnd
