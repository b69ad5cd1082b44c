-- +goose Up
-- The traceparent of the request that a payment came with, so that whoever drives it,
-- days later and in another process, asks the bank in that request's name. Written
-- once; '' where the request came before there was one.
ALTER TABLE payments ADD COLUMN trace text NOT NULL DEFAULT ''
    CHECK (trace = '' OR trace ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$');

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger has no way down: restore a backup'; END $$;
-- +goose StatementEnd
