-- +goose Up
-- Phase: expand
-- The inbox of a user (server/notices). kizod of the version before does not show it; what
-- it does to an account is in it all the same.
SET LOCAL lock_timeout = '5s';

-- What a user should know: changes of the access to the account, and payments. source identifies
-- what the notice is about, so that a user has one notice of it. mail_due is set until the notice
-- has been mailed, or is too old for a mail.
CREATE TABLE notices (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id     uuid        NOT NULL REFERENCES users (id),
    source      text        NOT NULL CHECK (length(source) BETWEEN 1 AND 100),
    kind        text        NOT NULL CHECK (kind ~ '^[a-z_]{1,40}$'),
    at          timestamptz NOT NULL,
    client      text        NOT NULL DEFAULT '' CHECK (length(client) <= 120 AND client !~ '[[:cntrl:]]'),
    address     text        NOT NULL DEFAULT '' CHECK (length(address) <= 64),
    detail      text        NOT NULL DEFAULT '' CHECK (length(detail) <= 200 AND detail !~ '[[:cntrl:]]'),
    transfer_id uuid,       -- of a payment; the following three belong to it
    amount      bigint      CHECK (amount > 0), -- minor units
    currency    text        CHECK (currency ~ '^[A-Z]{3}$'),
    payee_id    uuid,       -- NULL: the bank
    mail_due    boolean     NOT NULL DEFAULT false,
    mailed_at   timestamptz,
    read_at     timestamptz,
    CONSTRAINT notices_source UNIQUE (user_id, source),
    CONSTRAINT notices_payment CHECK (num_nonnulls(transfer_id, amount, currency) IN (0, 3) AND (payee_id IS NULL OR transfer_id IS NOT NULL))
);
CREATE INDEX notices_user ON notices (user_id, id);
CREATE INDEX notices_unread ON notices (user_id, id) WHERE read_at IS NULL;
CREATE INDEX notices_mail_due ON notices (user_id, id) WHERE mail_due;
CREATE INDEX notices_mailed ON notices (user_id, mailed_at) WHERE mailed_at IS NOT NULL;
CREATE INDEX notices_at ON notices (at);

-- What was read or mailed stays so.
CREATE TRIGGER notices_read BEFORE UPDATE ON notices FOR EACH ROW
    WHEN (OLD.read_at IS NOT NULL AND NEW.read_at IS DISTINCT FROM OLD.read_at
          OR OLD.mailed_at IS NOT NULL AND NEW.mailed_at IS DISTINCT FROM OLD.mailed_at
          OR NOT OLD.mail_due AND NEW.mail_due)
    EXECUTE FUNCTION refuse_change();

-- A user has at most 250 notices about the account, and 250 about payments, so that payments do not
-- push out the others. Rows that another session has locked are skipped, so that two of them cannot
-- deadlock; the next notice deletes what is left.
-- +goose StatementBegin
CREATE FUNCTION bound_notices() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    DELETE FROM notices WHERE id = ANY(ARRAY(
        SELECT n.id FROM notices n
         WHERE n.user_id = NEW.user_id AND (n.transfer_id IS NULL) = (NEW.transfer_id IS NULL)
         ORDER BY n.id DESC OFFSET 250
           FOR UPDATE SKIP LOCKED));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER notices_bound AFTER INSERT ON notices FOR EACH ROW EXECUTE FUNCTION bound_notices();

-- A security event makes a notice in its transaction, whichever statement inserts it. Events that
-- make none are listed in the trigger, and an event that is new makes one. Events that an attacker
-- or a script repeats make one in a day (UTC). Nothing is mailed to an address that is not
-- verified, or about an event that has a mail of its own or is no attack.
-- +goose StatementBegin
CREATE FUNCTION add_security_notice() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO notices (user_id, source, kind, at, client, address, detail, mail_due)
    SELECT u.id,
           CASE WHEN NEW.event IN ('locked_out', 'second_factor_failed', 'key_refused')
                THEN NEW.event || to_char(NEW.at AT TIME ZONE 'UTC', ' YYYY-MM-DD ') || md5(NEW.detail)
                ELSE 'event ' || NEW.id END,
           NEW.event, NEW.at, NEW.client, NEW.address, NEW.detail,
           NEW.event NOT IN ('viewed_by_operator', 'action_approved', 'password_reset_requested', 'email_change_requested')
               AND u.email_verified_at IS NOT NULL
      FROM users u WHERE u.id = NEW.user_id AND u.status <> 'closed'
    ON CONFLICT (user_id, source) DO NOTHING;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER security_events_notice AFTER INSERT ON security_events FOR EACH ROW
    WHEN (NEW.event NOT IN ('signed_up', 'signed_in', 'sign_in_failed', 'signed_out', 'session_revoked', 'device_denied',
        'email_verified', 'stepped_up', 'step_up_failed', 'account_closed'))
    EXECUTE FUNCTION add_security_notice();

GRANT SELECT, DELETE, UPDATE (read_at) ON notices TO kizo_app;

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'users cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
