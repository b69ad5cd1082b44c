-- +goose NO TRANSACTION
-- +goose Up
-- Phase: expand
SET lock_timeout = '10min';
-- The order of the events that transfers keep in their own row; events_order is that of the
-- others. New rows are at the index's end, so that it costs little.
DROP INDEX CONCURRENTLY IF EXISTS transfers_order;
CREATE UNIQUE INDEX CONCURRENTLY transfers_order ON transfers (event_xid, event_id) WHERE event_xid IS NOT NULL;

-- +goose Down
-- No migration drops the books.
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
