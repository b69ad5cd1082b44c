-- +goose Up
-- Settlement: payments at the bank, the bank's statement, and the discrepancies between
-- statement and books. The Go side is in server/settle.

-- A row that has ended does not change.
-- +goose StatementBegin
CREATE FUNCTION refuse_change_after_end() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'a row of % has ended and does not change', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd

-- A payment is the bank's leg of a deposit or withdrawal. The row decides; a task in the
-- queue only makes a worker look at it.
--
--   pending ──claim──► unknown ──the bank answers──► executed   (transfer posted)
--    the bank was        │  ▲                        rejected   (transfer voided)
--    not called          └──┘ no answer: call again
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
    -- When the payment is due. A claim moves it to the end of its lease, so that the payment
    -- of a dead worker becomes due again.
    next_at      timestamptz,
    lease_until  timestamptz,
    fence        bigint      NOT NULL DEFAULT 0 CHECK (fence >= 0), -- the fencing token
    bank_ref     text        NOT NULL DEFAULT '' CHECK (length(bank_ref) <= 200),
    last_error   text        NOT NULL DEFAULT '' CHECK (length(last_error) <= 500),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The outcome that Submit returned and Status has not confirmed yet. If the two differ,
    -- one answer was wrong, also when the process that got the first one is gone.
    unconfirmed  text        NOT NULL DEFAULT '' CHECK (unconfirmed IN ('', 'executed', 'rejected')),
    -- The traceparent of the request that opened the payment: every call to the bank is made
    -- under it, days later and from other processes too. Written once.
    trace        text        NOT NULL DEFAULT ''
        CHECK (trace = '' OR trace ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'),
    CONSTRAINT payments_due CHECK ((next_at IS NULL) = (state IN ('executed', 'rejected', 'needs_review'))),
    CONSTRAINT payments_leased CHECK (lease_until IS NULL OR next_at IS NOT NULL)
);
CREATE INDEX payments_next ON payments (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX payments_review ON payments (transfer_id) WHERE state = 'needs_review';

-- Payments are never deleted: they are the record of what the bank was asked for.
CREATE TRIGGER payments_no_delete BEFORE DELETE OR TRUNCATE ON payments
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- An ended payment does not change, and a fence only grows: with a smaller one, a worker
-- whose lease another took over could settle the payment again.
CREATE TRIGGER payments_ended BEFORE UPDATE ON payments FOR EACH ROW
    WHEN (OLD.state IN ('executed', 'rejected') AND (NEW.state, NEW.bank_ref, NEW.attempts, NEW.unconfirmed)
              IS DISTINCT FROM (OLD.state, OLD.bank_ref, OLD.attempts, OLD.unconfirmed)
          OR NEW.fence < OLD.fence OR NEW.attempts < OLD.attempts)
    EXECUTE FUNCTION refuse_change_after_end();

-- A payment asks the bank for what its pending transfer says, and a withdrawal only while
-- its money is held. A payment is inserted after its account has been updated.
-- +goose StatementBegin
CREATE FUNCTION refuse_unbacked_payment() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE bad uuid;
BEGIN
    SELECT p.transfer_id INTO bad
      FROM added p
      LEFT JOIN LATERAL (SELECT * FROM transfers x WHERE x.id = p.transfer_id OFFSET 0) t
        ON t.state = 'pending' AND t.kind = p.direction AND t.amount = p.amount AND t.currency = p.currency
      LEFT JOIN LATERAL (SELECT * FROM accounts x WHERE x.id = t.debit_account OFFSET 0) a ON true
      LEFT JOIN LATERAL (SELECT * FROM account_holds x WHERE x.account_id = t.debit_account OFFSET 0) h ON true
     WHERE t.id IS NULL OR p.direction = 'withdrawal' AND a.held IS DISTINCT FROM h.held
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the payment of transfer % has no pending transfer, or none whose money is held', bad
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER payments_backed AFTER INSERT ON payments
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbacked_payment();

-- Answers of the bank and decisions about a payment, in order: part of the timeline that
-- `kizo explain` prints.
CREATE TABLE payment_log (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transfer_id uuid        NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempt     integer     NOT NULL,
    kind        text        NOT NULL CHECK (kind IN
        ('executed', 'rejected', 'unknown', 'not_seen', 'contradiction', 'stopped', 'needs_review', 'callback')),
    detail      text        NOT NULL DEFAULT '' CHECK (length(detail) <= 500)
);
CREATE INDEX payment_log_transfer ON payment_log (transfer_id, id);

-- A line of the bank's statement. It is open until its payment has ended; then the two match
-- or make a discrepancy.
CREATE TABLE statement_lines (
    seq          bigint      PRIMARY KEY, -- the bank's own numbering
    external_ref text        NOT NULL CHECK (length(external_ref) BETWEEN 1 AND 64),
    direction    text        NOT NULL CHECK (direction IN ('deposit', 'withdrawal')),
    amount       bigint      NOT NULL CHECK (amount > 0),
    currency     text        NOT NULL CHECK (length(currency) = 3),
    outcome      text        NOT NULL CHECK (outcome IN ('executed', 'rejected')),
    bank_ref     text        NOT NULL DEFAULT '' CHECK (length(bank_ref) <= 200),
    at           timestamptz NOT NULL,
    state        text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'matched', 'differs')),
    read_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX statement_lines_open ON statement_lines (seq) WHERE state = 'open';
CREATE INDEX statement_lines_ref ON statement_lines (external_ref);

CREATE TABLE discrepancies (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text        NOT NULL CHECK (kind IN
        ('answers_differ', 'amount_differs', 'executed_not_posted', 'posted_not_executed',
         'unknown_ref', 'missing_at_bank', 'callback_differs')),
    external_ref text        NOT NULL,
    transfer_id  uuid,
    detail       text        NOT NULL CHECK (length(detail) <= 500),
    suspense_id  uuid, -- the transfer that booked it to suspense, if one did
    found_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT discrepancies_once UNIQUE (external_ref, kind)
);

-- A discrepancy that a later reading of the statement resolved has a row here, and is no
-- longer open.
CREATE TABLE closed_discrepancies (
    discrepancy_id bigint      PRIMARY KEY REFERENCES discrepancies (id),
    cause          text        NOT NULL CHECK (length(cause) BETWEEN 1 AND 500),
    closed_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Ids of callback events, so that a second delivery has no effect.
CREATE TABLE bank_callbacks (
    event_id     text        PRIMARY KEY CHECK (length(event_id) BETWEEN 1 AND 200),
    external_ref text        NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX bank_callbacks_received ON bank_callbacks (received_at);

CREATE TRIGGER payment_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER statement_lines_no_delete BEFORE DELETE OR TRUNCATE ON statement_lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER statement_lines_ended BEFORE UPDATE ON statement_lines FOR EACH ROW
    WHEN (OLD.state <> 'open' AND NEW.state <> OLD.state)
    EXECUTE FUNCTION refuse_change_after_end();
CREATE TRIGGER discrepancies_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON discrepancies
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER closed_discrepancies_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON closed_discrepancies
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- An event id is kept for as long as the bank may deliver it again.
CREATE TRIGGER bank_callbacks_expired BEFORE DELETE ON bank_callbacks FOR EACH ROW
    WHEN (OLD.received_at > clock_timestamp() - interval '7 days')
    EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT (transfer_id, direction, external_ref, amount, currency, trace, next_at),
      UPDATE (state, attempts, next_at, lease_until, fence, bank_ref, last_error, updated_at, unconfirmed)
      ON payments TO kizo_app;
GRANT SELECT, INSERT (transfer_id, attempt, kind, detail) ON payment_log TO kizo_app;
GRANT SELECT, INSERT (seq, external_ref, direction, amount, currency, outcome, bank_ref, at),
      UPDATE (state) ON statement_lines TO kizo_app;
GRANT SELECT, INSERT (kind, external_ref, transfer_id, detail, suspense_id) ON discrepancies TO kizo_app;
GRANT SELECT, INSERT (discrepancy_id, cause) ON closed_discrepancies TO kizo_app;
GRANT SELECT, INSERT (event_id, external_ref), DELETE ON bank_callbacks TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
