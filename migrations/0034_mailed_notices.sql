-- +goose Up
-- Phase: expand
-- Mail with notices (server/notices/digest.go). kizod of the version before sends none.
SET LOCAL lock_timeout = '5s';
GRANT UPDATE (mail_due, mailed_at) ON notices TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
