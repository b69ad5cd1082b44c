-- +goose Up
-- Phase: expand
-- Users verify and change their e-mail address with a mailed code (server/auth/emailcode.go).
SET LOCAL lock_timeout = '5s';

-- The application's role cannot verify or change an address by itself: only to the one that a valid
-- code of this user was made for.
-- +goose StatementBegin
CREATE FUNCTION confirm_email(for_user uuid, for_purpose text, hash bytea, at timestamptz) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE users u SET email = m.email, email_verified_at = at, updated_at = greatest(u.updated_at, at)
      FROM mailed_codes m
     WHERE u.id = for_user AND m.user_id = for_user AND m.purpose = for_purpose AND m.code_hash = hash
       AND m.failures < 5 AND m.expires_at > at
       AND (m.purpose = 'change_email' OR m.purpose = 'verify_email' AND m.email = u.email);
    RETURN FOUND;
END $$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION confirm_email FROM PUBLIC;
GRANT EXECUTE ON FUNCTION confirm_email TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
