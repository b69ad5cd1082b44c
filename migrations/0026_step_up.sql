-- +goose Up
-- Phase: expand
-- Recent second factors of sessions, and the amounts above which users want one for a transfer
-- (server/auth/stepup.go). kizod of the version before does not ask for them, so users should rely
-- on them only after every kizod has been replaced.
SET LOCAL lock_timeout = '5s';

-- When the session last had a code of the second factor; NULL: never.
ALTER TABLE sessions ADD COLUMN IF NOT EXISTS stepped_up_at timestamptz;

CREATE TRIGGER sessions_no_step_up_after_end BEFORE UPDATE ON sessions FOR EACH ROW
    WHEN (OLD.revoked_at IS NOT NULL AND NEW.stepped_up_at IS DISTINCT FROM OLD.stepped_up_at)
    EXECUTE FUNCTION refuse_change_after_end();
CREATE CONSTRAINT TRIGGER sessions_stepped_up AFTER UPDATE ON sessions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.stepped_up_at IS DISTINCT FROM OLD.stepped_up_at)
    EXECUTE FUNCTION record_access_change('session');

-- Without a row, transfers in the currency need no step-up. The thresholds end with the second
-- factor.
CREATE TABLE step_up_thresholds (
    user_id  uuid   NOT NULL REFERENCES second_factors (user_id) ON DELETE CASCADE,
    currency text   NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount   bigint NOT NULL CHECK (amount BETWEEN 0 AND 1000000000000000), -- minor units
    PRIMARY KEY (user_id, currency)
);

-- The session caches know who has a second factor, and the thresholds.
-- +goose StatementBegin
CREATE FUNCTION record_second_factor_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE next_version bigint;
BEGIN
    UPDATE access_version SET version = version + 1 RETURNING version INTO next_version;
    INSERT INTO access_changes (version, kind, subject_id) VALUES (next_version, 'user', COALESCE(NEW.user_id, OLD.user_id));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER second_factors_confirmed AFTER UPDATE ON second_factors
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.confirmed_at IS DISTINCT FROM OLD.confirmed_at)
    EXECUTE FUNCTION record_second_factor_change();
CREATE CONSTRAINT TRIGGER second_factors_removed AFTER DELETE ON second_factors
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION record_second_factor_change();
CREATE CONSTRAINT TRIGGER step_up_thresholds_access AFTER INSERT OR UPDATE OR DELETE ON step_up_thresholds
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION record_second_factor_change();

GRANT INSERT (stepped_up_at), UPDATE (stepped_up_at) ON sessions TO kizo_app;
GRANT SELECT, DELETE, INSERT (user_id, currency, amount), UPDATE (amount) ON step_up_thresholds TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
