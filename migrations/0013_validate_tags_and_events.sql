-- +goose Up
-- Phase: expand
-- Reads the tables while transactions go on writing to them, as 0006 does.
SET LOCAL lock_timeout = '5s';
ALTER TABLE transfers VALIDATE CONSTRAINT transfers_tags;
ALTER TABLE security_events VALIDATE CONSTRAINT security_events_names;

-- +goose Down
-- No migration drops the books.
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
