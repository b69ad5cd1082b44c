-- +goose Up
-- Events are ordered by events.xid, which was the id of the transaction that added
-- them. Those ids are the cluster's own: a dump that is restored into another cluster
-- brings events whose numbers lie above every transaction of that cluster, and readers,
-- who stop at the oldest running transaction, would never reach them.
--
-- From here on the column holds event_number(id of the transaction): the id, plus a
-- constant that grows with every restore. It is 0 until then, and the function is
-- inlined, so it costs nothing. `kizod repair` (server/ledger/repair.go) replaces the
-- function; nothing else may.
SET LOCAL lock_timeout = '5s';
-- +goose StatementBegin
CREATE FUNCTION event_number(transaction_id xid8) RETURNS xid8
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN transaction_id;
-- +goose StatementEnd
GRANT EXECUTE ON FUNCTION event_number(xid8) TO kizo_app;
ALTER TABLE events ALTER COLUMN xid SET DEFAULT event_number(pg_current_xact_id());

-- The audit compares every identity column with its sequence: logical replication
-- copies the rows and not the sequences.
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO kizo_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON SEQUENCES TO kizo_app;

-- +goose Down
ALTER TABLE events ALTER COLUMN xid SET DEFAULT pg_current_xact_id();
DROP FUNCTION event_number(xid8);
