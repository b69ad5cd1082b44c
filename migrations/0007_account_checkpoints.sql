-- +goose Up
-- Phase: expand
-- accounts.credited is the sum of all postings that came into an account since this migration,
-- and account_checkpoints has its value after about every 128th posting. What came in between two
-- postings is the difference of two values of credited, and each of these is a checkpoint and the
-- postings from there on, of which there are few: so the totals of a month cost the same in an
-- account with ten million postings as in one with a hundred. What went out follows from the
-- balances. Only differences have a meaning: postings from before this migration are not counted.
--
-- kizod of the version before goes on as it did: the triggers below write both for it too.
SET LOCAL lock_timeout = '5s';

-- numeric, since turnover has no limit as a balance has.
ALTER TABLE accounts ADD COLUMN credited numeric NOT NULL DEFAULT 0;

CREATE TABLE account_checkpoints (
    account_id bigint      NOT NULL,
    seq        bigint      NOT NULL CHECK (seq >= 1), -- of a posting
    credited   numeric     NOT NULL CHECK (credited >= 0), -- accounts.credited after that posting
    posted_at  timestamptz NOT NULL, -- of that posting
    PRIMARY KEY (account_id, seq)
);
CREATE TRIGGER account_checkpoints_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON account_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- As before, and: it adds to credited what came in, and writes a checkpoint after the last new
-- posting of an account if its number passes a multiple of 128.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION apply_own_postings() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
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
               COALESCE(pg_catalog.sum(p.amount) FILTER (WHERE p.amount OPERATOR(pg_catalog.>) 0), 0) AS came,
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
           SET balance = a.balance OPERATOR(pg_catalog.+) s.moved, seq = s.last, as_of = s.last_at,
               credited = a.credited OPERATOR(pg_catalog.+) s.came
          FROM sums s
         WHERE a.id OPERATOR(pg_catalog.=) ANY (ARRAY[s.account])
           AND s.numbers OPERATOR(pg_catalog.=) s.postings
           AND s.first OPERATOR(pg_catalog.=) (a.seq OPERATOR(pg_catalog.+) 1)
           AND s.last OPERATOR(pg_catalog.=) (a.seq OPERATOR(pg_catalog.+) s.postings)
           AND s.first_at OPERATOR(pg_catalog.>) a.as_of
           AND s.currency OPERATOR(pg_catalog.=) a.currency
           AND s.other_currency OPERATOR(pg_catalog.=) a.currency
        RETURNING a.id, a.seq, a.credited, a.as_of, s.first),
    noted AS (
        INSERT INTO public.account_checkpoints (account_id, seq, credited, posted_at)
        SELECT a.id, a.seq, a.credited, a.as_of FROM applied a
         WHERE (a.seq OPERATOR(pg_catalog./) 128) OPERATOR(pg_catalog.>)
               ((a.first OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog./) 128))
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

-- As before, and: it counts the postings in the table postings, as the function above counts
-- those in the rows of transfers. It runs as the owner of the tables, since the application's role
-- writes neither credited nor checkpoints.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION refuse_unexplained_balance() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE bad pg_catalog.int8;
BEGIN
    SELECT n.id INTO bad
      FROM earlier o JOIN later n ON n.id OPERATOR(pg_catalog.=) o.id
     CROSS JOIN LATERAL (
           SELECT pg_catalog.count(*) AS postings, COALESCE(pg_catalog.sum(p.amount), 0) AS moved,
                  pg_catalog.min(p.posted_at) AS first_at, pg_catalog.max(p.posted_at) AS last_at
             FROM public.postings p
            WHERE p.account_id OPERATOR(pg_catalog.=) n.id
              AND p.seq OPERATOR(pg_catalog.>) o.seq AND p.seq OPERATOR(pg_catalog.<=) n.seq) p
     WHERE (n.seq OPERATOR(pg_catalog.-) o.seq) OPERATOR(pg_catalog.<>) p.postings
        OR (n.balance OPERATOR(pg_catalog.-) o.balance) OPERATOR(pg_catalog.<>) p.moved
        OR n.as_of OPERATOR(pg_catalog.<) o.as_of OR p.first_at OPERATOR(pg_catalog.<) o.as_of
        OR n.as_of OPERATOR(pg_catalog.<) p.last_at
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account % does not change as its postings say', bad
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;

    WITH counted AS (
        UPDATE public.accounts a
           SET credited = a.credited OPERATOR(pg_catalog.+) p.came
          FROM earlier o JOIN later n ON n.id OPERATOR(pg_catalog.=) o.id
         CROSS JOIN LATERAL (
               SELECT COALESCE(pg_catalog.sum(p.amount) FILTER (WHERE p.amount OPERATOR(pg_catalog.>) 0), 0) AS came,
                      pg_catalog.max(p.posted_at) AS last_at
                 FROM public.postings p
                WHERE p.account_id OPERATOR(pg_catalog.=) n.id
                  AND p.seq OPERATOR(pg_catalog.>) o.seq AND p.seq OPERATOR(pg_catalog.<=) n.seq) p
         WHERE a.id OPERATOR(pg_catalog.=) ANY (ARRAY[n.id]) AND n.seq OPERATOR(pg_catalog.>) o.seq
        RETURNING a.id, a.seq, a.credited, p.last_at, o.seq AS seq_before)
    INSERT INTO public.account_checkpoints (account_id, seq, credited, posted_at)
    SELECT c.id, c.seq, c.credited, c.last_at FROM counted c
     WHERE (c.seq OPERATOR(pg_catalog./) 128) OPERATOR(pg_catalog.>) (c.seq_before OPERATOR(pg_catalog./) 128);
    RETURN NULL;
END $$;
-- +goose StatementEnd

GRANT SELECT ON account_checkpoints TO kizo_app;

-- +goose Down
-- No migration drops the books.
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
