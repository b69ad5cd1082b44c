-- +goose Up
-- The addresses that a user has signed in from. The Go side is server/auth/knownaddress.go.
--
-- address is the HMAC under which login_throttle counts that address: the table does not
-- show where a user has been. At most 20 rows are kept for a user, and none for longer
-- than 90 days after its last use.
CREATE TABLE known_addresses (
    user_id uuid        NOT NULL REFERENCES users (id),
    address bytea       NOT NULL CHECK (octet_length(address) = 32),
    used_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, address)
);
CREATE INDEX known_addresses_used ON known_addresses (used_at);

GRANT SELECT, DELETE, INSERT (user_id, address, used_at), UPDATE (used_at) ON known_addresses TO kizo_app;

-- An e-mail address belongs to the user who has verified it. Until then it identifies
-- nobody to others: any number of users may have signed up with it, none of them is paid
-- by it, and none keeps its owner from signing up.
ALTER TABLE users
    ADD COLUMN email_verified_at timestamptz,
    ADD COLUMN findable_by_email bool NOT NULL DEFAULT true;
DROP INDEX users_email;
CREATE UNIQUE INDEX users_email ON users (email) WHERE email_verified_at IS NOT NULL;
CREATE INDEX users_email_any ON users (email);
-- Whose an address is, the owner of the tables records (kizod user verify-email).
GRANT UPDATE (findable_by_email) ON users TO kizo_app;

DROP TRIGGER users_access ON users;
CREATE CONSTRAINT TRIGGER users_access AFTER UPDATE ON users
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((NEW.role, NEW.status, NEW.handle, NEW.email, NEW.email_verified_at, NEW.findable_by_email) IS DISTINCT FROM
          (OLD.role, OLD.status, OLD.handle, OLD.email, OLD.email_verified_at, OLD.findable_by_email))
    EXECUTE FUNCTION note_access_change('user');

-- The form in which searches compare a memo (package fold), where that is not the memo in
-- lower case. name_key is the same of a name. Names and memos from before get what
-- PostgreSQL can do: ICU's lower case, ß as ss, compatibility composition.
ALTER TABLE transfers ADD COLUMN memo_key text CHECK (length(memo_key) <= 4000);
GRANT INSERT (memo_key) ON transfers TO kizo_app;
-- +goose StatementBegin
DO $$
DECLARE
    icu  text := CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_collation WHERE collname = 'und-x-icu') THEN ' COLLATE "und-x-icu"' ELSE '' END;
    form text := $form$left(replace(replace(replace(replace(normalize(lower(normalize(%1$I, NFKC)$form$ || icu || $form$), NFKC),
                 'ß', 'ss'), 'ς', 'σ'), 'ı', 'i'), E'i\u0307', 'i'), 160)$form$;
BEGIN
    EXECUTE format('UPDATE transfers SET memo_key = ' || form || ' WHERE memo ~ ''[^ -~]''', 'memo');
    EXECUTE format('UPDATE users SET name_key = ' || form || ' WHERE name ~ ''[^ -~]''', 'name');
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'addresses that several users share have no way down: restore a backup'; END $$;
-- +goose StatementEnd
