-- +goose Up
-- Phase: expand
SET LOCAL lock_timeout = '5s';
ALTER TABLE transfers VALIDATE CONSTRAINT transfers_own_postings;

-- +goose Down
-- No migration drops the books.
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
