-- +goose Up
-- A discrepancy stays in its table for ever. One that a later look at the bank's statement
-- has resolved has a row here, and no longer counts as open.
SET LOCAL lock_timeout = '5s';

CREATE TABLE closed_discrepancies (
    discrepancy_id bigint      PRIMARY KEY REFERENCES discrepancies (id),
    cause          text        NOT NULL CHECK (length(cause) BETWEEN 1 AND 500),
    closed_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TRIGGER closed_discrepancies_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON closed_discrepancies
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT (discrepancy_id, cause) ON closed_discrepancies TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger has no way down: restore a backup'; END $$;
-- +goose StatementEnd
