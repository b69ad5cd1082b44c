-- +goose Up
-- Phase: expand
-- A transfer that is posted when it is inserted (a transfer between wallets, a reversal, a
-- booking to suspense) keeps its two postings and its event in its own row: one row and five
-- index entries instead of four rows and twelve. A transfer that was pending before it was
-- posted keeps them in the tables postings and events, as every transfer did before this
-- migration. Nothing is rewritten.
--
-- kizod of the version before goes on as it did. It does not read the new columns: a kizod of
-- this version serves only after the last older one has disconnected (server/database.go).
SET LOCAL lock_timeout = '5s';

ALTER TABLE transfers
    ADD COLUMN debit_seq      bigint, -- of the posting on debit_account
    ADD COLUMN debit_balance  bigint, -- of that account after it
    ADD COLUMN credit_seq     bigint,
    ADD COLUMN credit_balance bigint,
    ADD COLUMN event_xid      xid8,   -- as events.xid; the trigger below gives its bounds
    ADD COLUMN event_id       bigint, -- as events.id
    ADD COLUMN digest         bytea;  -- as events.digest
ALTER TABLE transfers ADD CONSTRAINT transfers_own_postings CHECK (
    CASE WHEN debit_seq IS NULL THEN
        debit_balance IS NULL AND credit_seq IS NULL AND credit_balance IS NULL
        AND event_xid IS NULL AND event_id IS NULL AND digest IS NULL
    ELSE
        kind IN ('transfer', 'reversal', 'suspense') AND state = 'posted' AND posted_amount = amount
        AND debit_balance IS NOT NULL AND credit_seq IS NOT NULL AND credit_balance IS NOT NULL
        AND event_xid IS NOT NULL AND event_id IS NOT NULL AND digest IS NOT NULL AND octet_length(digest) = 32
    END) NOT VALID;

-- A batch takes as many event ids at once as it can have transfers: at most 4096.
ALTER TABLE events ALTER COLUMN id SET INCREMENT BY 4096;

-- The postings and the events of all transfers, wherever they are kept.
CREATE VIEW all_postings AS
    SELECT debit_account AS account_id, debit_seq AS seq, id AS transfer_id, -posted_amount AS amount,
           debit_balance AS balance_after, resolved_at AS posted_at
      FROM transfers WHERE debit_seq IS NOT NULL
    UNION ALL
    SELECT credit_account, credit_seq, id, posted_amount, credit_balance, resolved_at
      FROM transfers WHERE debit_seq IS NOT NULL
    UNION ALL
    SELECT account_id, seq, transfer_id, amount, balance_after, posted_at FROM postings;
CREATE VIEW all_events AS
    SELECT event_id AS id, event_xid AS xid, id AS transfer_id, state, debit_account, credit_account,
           resolved_at AS at, digest
      FROM transfers WHERE debit_seq IS NOT NULL
    UNION ALL
    SELECT id, xid, transfer_id, state, debit_account, credit_account, at, digest FROM events;

-- Adds the postings of the inserted transfers to the balances of their accounts. Nothing else
-- changes those balances: the postings of an account have the numbers that follow its seq,
-- without a gap, they are dated after its as_of, and their currency is that of the account.
-- Double entry holds because both postings are the one amount of the row.
--
-- The id of such a transfer begins with the time of its postings (RFC 9562, section 5.7, with
-- microseconds in rand_a), so that along (debit_account, id) and (credit_account, id) the
-- postings of an account have the order of their numbers: a balance at a time is found by id.
--
-- The number of its event is that of the transaction, or a later one up to that of the newest
-- transaction that has ended. Since the accounts are locked, the events of an account then have
-- the order of its postings. The number of the transaction alone would not give it: a
-- transaction may take its number and then wait for the lock.
--
-- ANY (ARRAY[…]) leaves the planner only the look-up by key: a session keeps the plan that it
-- made when the tables were small. Everything is named with its schema, operators included, so
-- that the function needs no search_path. OPERATOR() has one precedence, hence the parentheses.
-- +goose StatementBegin
CREATE FUNCTION apply_own_postings() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    bad_transfer pg_catalog.uuid;
    bad_account  pg_catalog.int8;
BEGIN
    SELECT t.id INTO bad_transfer
      FROM added t
     CROSS JOIN LATERAL (SELECT
           (pg_catalog.date_part('epoch', t.resolved_at) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8 AS micros) p
     WHERE t.debit_seq IS NOT NULL
       AND (pg_catalog.substr(pg_catalog.uuid_send(t.id), 1, 8) OPERATOR(pg_catalog.<>) pg_catalog.int8send(
               ((p.micros OPERATOR(pg_catalog./) 1000) OPERATOR(pg_catalog.*) 65536)
               OPERATOR(pg_catalog.+) (28672 OPERATOR(pg_catalog.+) (p.micros OPERATOR(pg_catalog.%) 1000)))
        OR t.event_xid OPERATOR(pg_catalog.<) public.event_number(pg_catalog.pg_current_xact_id())
        OR t.event_xid OPERATOR(pg_catalog.>) public.event_number(pg_catalog.pg_current_xact_id())
           AND t.event_xid OPERATOR(pg_catalog.>=)
               public.event_number(pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())))
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transfer % has an id of another time or an event of another transaction', bad_transfer
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;

    WITH sums AS (
        SELECT p.account, pg_catalog.count(*) AS postings, pg_catalog.count(DISTINCT p.seq) AS numbers,
               pg_catalog.min(p.seq) AS first, pg_catalog.max(p.seq) AS last,
               pg_catalog.sum(p.amount)::pg_catalog.int8 AS moved,
               pg_catalog.min(t.resolved_at) AS first_at, pg_catalog.max(t.resolved_at) AS last_at,
               pg_catalog.min(t.currency) AS currency, pg_catalog.max(t.currency) AS other_currency
          FROM added t
         CROSS JOIN LATERAL (VALUES
               (t.debit_account, t.debit_seq, OPERATOR(pg_catalog.-) t.posted_amount),
               (t.credit_account, t.credit_seq, t.posted_amount)) p (account, seq, amount)
         WHERE t.debit_seq IS NOT NULL
         GROUP BY p.account),
    applied AS (
        UPDATE public.accounts a
           SET balance = a.balance OPERATOR(pg_catalog.+) s.moved, seq = s.last, as_of = s.last_at
          FROM sums s
         WHERE a.id OPERATOR(pg_catalog.=) ANY (ARRAY[s.account])
           AND s.numbers OPERATOR(pg_catalog.=) s.postings
           AND s.first OPERATOR(pg_catalog.=) (a.seq OPERATOR(pg_catalog.+) 1)
           AND s.last OPERATOR(pg_catalog.=) (a.seq OPERATOR(pg_catalog.+) s.postings)
           AND s.first_at OPERATOR(pg_catalog.>) a.as_of
           AND s.currency OPERATOR(pg_catalog.=) a.currency
           AND s.other_currency OPERATOR(pg_catalog.=) a.currency
        RETURNING a.id)
    SELECT s.account INTO bad_account
      FROM sums s
     WHERE NOT EXISTS (SELECT FROM applied a WHERE a.id OPERATOR(pg_catalog.=) s.account)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the new postings do not continue those of account %', bad_account
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER transfers_apply_postings AFTER INSERT ON transfers
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION apply_own_postings();

-- What a statement of a session changes in a balance is explained by the table postings. The
-- trigger above is no such statement: it changes balances by the postings that it was given, as
-- the owner of the tables. A trigger that the application's role created would run as that role.
CREATE OR REPLACE TRIGGER accounts_posted AFTER UPDATE ON accounts
    REFERENCING OLD TABLE AS earlier NEW TABLE AS later FOR EACH STATEMENT
    WHEN (pg_trigger_depth() = 0 OR NOT has_table_privilege('public.accounts', 'TRIGGER')) EXECUTE FUNCTION refuse_unexplained_balance();

-- As before, and: a transfer with its own postings has none in the table, and a posting follows
-- the seq of its account. Not every number up to that is in the table any more, so that its
-- primary key alone would accept a number again.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION refuse_unbalanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE bad pg_catalog.uuid;
BEGIN
    SELECT p.transfer_id INTO bad
      FROM added p
      LEFT JOIN LATERAL (SELECT * FROM public.transfers x WHERE x.id OPERATOR(pg_catalog.=) p.transfer_id OFFSET 0) t
        ON t.state OPERATOR(pg_catalog.=) 'posted' AND t.debit_seq IS NULL
       AND p.amount OPERATOR(pg_catalog.=)
           CASE WHEN p.account_id OPERATOR(pg_catalog.=) t.debit_account THEN OPERATOR(pg_catalog.-) t.posted_amount
                WHEN p.account_id OPERATOR(pg_catalog.=) t.credit_account THEN t.posted_amount END
      LEFT JOIN LATERAL (SELECT * FROM public.accounts x WHERE x.id OPERATOR(pg_catalog.=) p.account_id OFFSET 0) a
        ON a.currency OPERATOR(pg_catalog.=) t.currency AND p.seq OPERATOR(pg_catalog.>) a.seq
     GROUP BY p.transfer_id
    HAVING pg_catalog.count(*) OPERATOR(pg_catalog.<>) 2 OR pg_catalog.count(a.id) OPERATOR(pg_catalog.<>) 2
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'postings of transfer % do not balance', bad
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- As before, and: of a transfer with its own postings, nothing changes but reversed_amount, and
-- no transfer gets postings of its own later.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION refuse_change_of_final_transfer() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE reversed transfers;
BEGIN
    reversed := OLD;
    reversed.reversed_amount := NEW.reversed_amount;
    IF OLD.state <> 'pending' AND NEW.reversed_amount < OLD.reversed_amount
       OR OLD.state <> 'pending' AND
       (NEW.state, NEW.posted_amount, NEW.reason, NEW.resolved_at)
           IS DISTINCT FROM (OLD.state, OLD.posted_amount, OLD.reason, OLD.resolved_at)
       OR (OLD.debit_seq IS NOT NULL OR NEW.debit_seq IS NOT NULL) AND NEW IS DISTINCT FROM reversed THEN
        RAISE EXCEPTION 'transfer % is %, which is final', OLD.id, OLD.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd

GRANT INSERT (debit_seq, debit_balance, credit_seq, credit_balance, event_xid, event_id, digest) ON transfers TO kizo_app;
GRANT USAGE ON SEQUENCE events_id_seq TO kizo_app;
GRANT SELECT ON all_postings, all_events TO kizo_app;

-- +goose Down
-- No migration drops the books.
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
