-- +goose Up
-- How often a log-in has failed lately, by account and by address. The Go side is
-- server/auth/throttle.go; what a row means is said there.
--
-- key is an HMAC under the pepper: nobody can read out of this table which e-mail
-- addresses were tried, or from where. failures_until says when the last of the
-- failures will be forgotten, and with it how many there are: one for each whole
-- period from now until then.
CREATE TABLE login_throttle (
    key            bytea       PRIMARY KEY CHECK (octet_length(key) = 32),
    failures_until timestamptz NOT NULL,
    blocked_until  timestamptz NOT NULL CHECK (blocked_until <= failures_until)
);
-- Whatever is forgotten is pruned.
CREATE INDEX login_throttle_forgotten ON login_throttle (failures_until);

GRANT SELECT, INSERT, UPDATE, DELETE ON login_throttle TO kizo_app;

-- +goose Down
DROP TABLE login_throttle;
