-- +goose Up
-- Phase: expand
-- Tags that the owner of a transfer gave it: lines of key=value in the order of the keys. Most
-- transfers have none, and NULL costs no space.
--
-- kizod of the version before goes on as it did, and writes no tags. The audit of that version
-- reports the events of transfers with tags, because their digests contain them.
SET LOCAL lock_timeout = '5s';

ALTER TABLE transfers ADD COLUMN IF NOT EXISTS tags text;
ALTER TABLE transfers ADD CONSTRAINT transfers_tags CHECK (
    tags ~ '^[a-z][a-z0-9_-]{0,31}=[A-Za-z0-9_./@+-]{1,64}(\n[a-z][a-z0-9_-]{0,31}=[A-Za-z0-9_./@+-]{1,64}){0,7}$') NOT VALID;

GRANT INSERT (tags) ON transfers TO kizo_app;

-- +goose Down
-- No migration drops the books.
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
