-- +goose Up
-- What operators see and do: the bank's statement as it was read, every
-- difference between it and the books, and an append-only log of their actions.

-- A transfer of kind suspense books what the bank did and Kizo did not, or the
-- other way round, between clearing and suspense: the clearing account then says
-- what the statement says, and the difference waits in an account of its own.
ALTER TABLE transfers DROP CONSTRAINT transfers_kind_check;
ALTER TABLE transfers ADD CONSTRAINT transfers_kind_check CHECK (kind IN
    ('transfer', 'authorization', 'deposit', 'withdrawal', 'reversal', 'capture', 'void', 'suspense'));

-- A line of the bank's statement. It stays open until the payment that it is
-- about has ended; then the two either agree or make a discrepancy.
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
    suspense_id  uuid, -- the transfer that booked it, where one could
    found_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT discrepancies_once UNIQUE (external_ref, kind)
);

-- A callback's event, so that a second delivery does nothing.
CREATE TABLE bank_callbacks (
    event_id     text        PRIMARY KEY CHECK (length(event_id) BETWEEN 1 AND 200),
    external_ref text        NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX bank_callbacks_old ON bank_callbacks (received_at);

-- What was asked about a payment and what came back, in order: the timeline that
-- `kizo explain` shows.
CREATE TABLE payment_log (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transfer_id uuid        NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempt     integer     NOT NULL,
    what        text        NOT NULL CHECK (what IN
        ('executed', 'rejected', 'unknown', 'not_seen', 'contradiction', 'stopped', 'needs_review', 'callback')),
    detail      text        NOT NULL DEFAULT '' CHECK (length(detail) <= 500)
);
CREATE INDEX payment_log_transfer ON payment_log (transfer_id, id);

CREATE TABLE operator_actions (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operator uuid        NOT NULL,
    action   text        NOT NULL CHECK (length(action) BETWEEN 1 AND 60),
    subject  text        NOT NULL CHECK (length(subject) <= 200),
    reason   text        NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TRIGGER discrepancies_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON discrepancies
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER operator_actions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON operator_actions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER payment_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER statement_lines_keep BEFORE DELETE OR TRUNCATE ON statement_lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT (seq, external_ref, direction, amount, currency, outcome, bank_ref, at),
      UPDATE (state) ON statement_lines TO kizo_app;
GRANT SELECT, INSERT (kind, external_ref, transfer_id, detail, suspense_id) ON discrepancies TO kizo_app;
GRANT SELECT, INSERT (transfer_id, attempt, what, detail) ON payment_log TO kizo_app;
GRANT SELECT, INSERT (event_id, external_ref), DELETE ON bank_callbacks TO kizo_app;
GRANT SELECT, INSERT (operator, action, subject, reason) ON operator_actions TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger has no way down: restore a backup'; END $$;
-- +goose StatementEnd
