-- +goose Up
-- What happened to the access of a user: sign-ins, failures, revocations, roles. The Go
-- side is server/auth/securityevents.go. Users see their own rows; a row is deleted once it is 180
-- days old, and the database refuses to delete one of less than 90 days.
SET LOCAL lock_timeout = '5s';
CREATE TABLE security_events (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    user_id    uuid        NOT NULL REFERENCES users (id),
    event      text        NOT NULL CHECK (event IN ('signed_up', 'signed_in', 'sign_in_failed', 'signed_out', 'session_revoked',
        'refresh_token_reused', 'suspended', 'reinstated', 'role_changed', 'email_verified')),
    session_id uuid,
    client     text        NOT NULL DEFAULT '' CHECK (length(client) <= 120 AND client !~ '[[:cntrl:]]'),
    address    text        NOT NULL DEFAULT '' CHECK (length(address) <= 64),
    detail     text        NOT NULL DEFAULT '' CHECK (length(detail) <= 200 AND detail !~ '[[:cntrl:]]')
);
CREATE INDEX security_events_user ON security_events (user_id, id);
CREATE INDEX security_events_at ON security_events (at);

CREATE TRIGGER security_events_append_only BEFORE UPDATE OR TRUNCATE ON security_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER security_events_keep BEFORE DELETE ON security_events
    FOR EACH ROW WHEN (OLD.at > pg_catalog.clock_timestamp() - interval '90 days')
    EXECUTE FUNCTION refuse_change();

GRANT SELECT, DELETE, INSERT (at, user_id, event, session_id, client, address, detail) ON security_events TO kizo_app;

-- +goose Down
DROP TABLE security_events;
