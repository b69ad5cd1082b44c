-- +goose Up
-- What the bank answered before it was asked a second time: should the two differ,
-- one of them was a lie, also where the process that heard the first is gone.
ALTER TABLE payments ADD COLUMN unconfirmed text NOT NULL DEFAULT ''
    CHECK (unconfirmed IN ('', 'executed', 'rejected'));
GRANT UPDATE (unconfirmed) ON payments TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger has no way down: restore a backup'; END $$;
-- +goose StatementEnd
