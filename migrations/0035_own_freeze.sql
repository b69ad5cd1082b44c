-- +goose Up
-- Phase: expand
-- A user lifts the freeze that the same user made (kizo unfreeze-me), and not one of an operator.
-- Freezes from before have no owner, so operators lift them. kizod of the version before knows no
-- owner of a freeze: one that it makes is lifted by an operator.
SET LOCAL lock_timeout = '5s';
ALTER TABLE account_owners ADD COLUMN IF NOT EXISTS frozen_by_owner boolean NOT NULL DEFAULT false;

-- Whatever lifts a freeze ends its ownership, so that a later freeze is not the user's.
-- +goose StatementBegin
CREATE FUNCTION end_own_freeze() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    NEW.frozen_by_owner := false;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER account_owners_own_freeze BEFORE INSERT OR UPDATE ON account_owners FOR EACH ROW
    WHEN (NEW.frozen_by_owner AND NEW.status <> 'frozen') EXECUTE FUNCTION end_own_freeze();

GRANT INSERT (frozen_by_owner), UPDATE (frozen_by_owner) ON account_owners TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
