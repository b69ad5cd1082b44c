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

-- +goose Down
DROP TABLE known_addresses;
