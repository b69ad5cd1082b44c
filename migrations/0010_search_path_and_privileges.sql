-- +goose Up
-- What the application's role could still do although the code never does it. See
-- "The database refuses what the code never asks for" in docs/decisions.md.
SET LOCAL lock_timeout = '10s';

-- What an account holds back, added up from its open authorizations and withdrawals
-- by the two triggers below. The application's role cannot write it, so that
-- accounts.held, which it can, has something to be compared with.
CREATE TABLE account_holds (
    account_id bigint PRIMARY KEY,
    held       bigint NOT NULL CHECK (held >= 0)
) WITH (fillfactor = 50);

-- Triggers of rows, since a WHEN costs a transfer between wallets nothing that can be
-- measured: a trigger of statements took 5 to 10 % of the database's time for a batch.
-- +goose StatementBegin
CREATE FUNCTION add_hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO account_holds AS h (account_id, held) VALUES (NEW.debit_account, NEW.amount)
        ON CONFLICT (account_id) DO UPDATE SET held = h.held + excluded.held;
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION release_hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE account_holds SET held = held - OLD.amount WHERE account_id = OLD.debit_account;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER transfers_add_hold AFTER INSERT ON transfers FOR EACH ROW
    WHEN (NEW.state = 'pending' AND NEW.kind IN ('authorization', 'withdrawal'))
    EXECUTE FUNCTION add_hold();
CREATE TRIGGER transfers_release_hold AFTER UPDATE ON transfers FOR EACH ROW
    WHEN (OLD.state = 'pending' AND NEW.state <> 'pending' AND OLD.kind IN ('authorization', 'withdrawal'))
    EXECUTE FUNCTION release_hold();
-- The triggers' lock keeps new holds out until this transaction ends.
INSERT INTO account_holds (account_id, held)
SELECT debit_account, sum(amount)::bigint
  FROM transfers
 WHERE state = 'pending' AND kind IN ('authorization', 'withdrawal')
 GROUP BY debit_account;

-- An account's held changes to what its open holds add up to, and to nothing else.
-- +goose StatementBegin
CREATE FUNCTION refuse_unheld() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.held <> COALESCE((SELECT h.held FROM account_holds h WHERE h.account_id = NEW.id), 0) THEN
        RAISE EXCEPTION 'account % does not hold what its open transfers say', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER accounts_held AFTER UPDATE ON accounts FOR EACH ROW
    WHEN (NEW.held <> OLD.held) EXECUTE FUNCTION refuse_unheld();

-- The bank is asked for what a pending transfer says and for nothing else, and a
-- withdrawal only while its money is held: a payment is inserted after its account
-- has been updated.
-- +goose StatementBegin
CREATE FUNCTION refuse_unbacked_payment() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE bad uuid;
BEGIN
    SELECT p.transfer_id INTO bad
      FROM added p
      LEFT JOIN LATERAL (SELECT * FROM transfers x WHERE x.id = p.transfer_id OFFSET 0) t
        ON t.state = 'pending' AND t.kind = p.direction AND t.amount = p.amount AND t.currency = p.currency
      LEFT JOIN LATERAL (SELECT * FROM accounts x WHERE x.id = t.debit_account OFFSET 0) a ON true
      LEFT JOIN LATERAL (SELECT * FROM account_holds x WHERE x.account_id = t.debit_account OFFSET 0) h ON true
     WHERE t.id IS NULL OR p.direction = 'withdrawal' AND a.held IS DISTINCT FROM h.held
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the payment of transfer % has no pending transfer, or none whose money is held', bad
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER payments_backed AFTER INSERT ON payments
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbacked_payment();

-- A payment that has ended stays so, and a fence only grows: with a smaller one, a
-- worker whose lease was taken over could speak for the payment again.
CREATE TRIGGER payments_ended BEFORE UPDATE ON payments FOR EACH ROW
    WHEN (OLD.state IN ('executed', 'rejected') AND (NEW.state, NEW.bank_ref, NEW.attempts, NEW.unconfirmed)
              IS DISTINCT FROM (OLD.state, OLD.bank_ref, OLD.attempts, OLD.unconfirmed)
          OR NEW.fence < OLD.fence OR NEW.attempts < OLD.attempts)
    EXECUTE FUNCTION refuse_reviving();
CREATE TRIGGER statement_lines_ended BEFORE UPDATE ON statement_lines FOR EACH ROW
    WHEN (OLD.state <> 'open' AND NEW.state <> OLD.state)
    EXECUTE FUNCTION refuse_reviving();

-- What is pruned has expired. A used refresh token is what a second use is
-- recognized by, and an event id what a second delivery is recognized by.
CREATE TRIGGER sessions_expired BEFORE DELETE ON sessions FOR EACH ROW
    WHEN (OLD.expires_at > clock_timestamp())
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER refresh_tokens_expired BEFORE DELETE ON refresh_tokens FOR EACH ROW
    WHEN (OLD.expires_at > clock_timestamp())
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER bank_callbacks_expired BEFORE DELETE ON bank_callbacks FOR EACH ROW
    WHEN (OLD.received_at > clock_timestamp() - interval '7 days')
    EXECUTE FUNCTION refuse_change();

-- Every process has read a change long before 10,000 more have followed it.
-- +goose StatementBegin
CREATE FUNCTION refuse_forgetting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM gone g, access_epoch e WHERE g.n > e.n - 10000) THEN
        RAISE EXCEPTION 'a change of access may not have been read yet: % refused', TG_OP
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER access_changes_read AFTER DELETE ON access_changes
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION refuse_forgetting();

-- Columns that the code never writes: a role is granted by the owner of the tables,
-- and a row of the books begins as the code begins it.
REVOKE UPDATE ON users FROM kizo_app;
GRANT UPDATE (name, name_key, password_hash, pepper_id, status, status_reason, updated_at) ON users TO kizo_app;
REVOKE INSERT ON transfers, payments, postings FROM kizo_app;
GRANT INSERT (id, kind, state, debit_account, credit_account, amount, posted_amount, currency, owner, idem_key,
      fingerprint, memo, reason, target, expires_at, created_at, resolved_at) ON transfers TO kizo_app;
GRANT INSERT (transfer_id, direction, external_ref, amount, currency, trace, next_at) ON payments TO kizo_app;
GRANT INSERT (account_id, seq, transfer_id, amount, balance_after, posted_at) ON postings TO kizo_app;
GRANT SELECT ON account_holds TO kizo_app;
REVOKE UPDATE ON login_throttle FROM kizo_app;
GRANT UPDATE (failures_until, blocked_until) ON login_throttle TO kizo_app;

-- A function reads the tables of this schema and the operators of PostgreSQL,
-- whatever search_path its caller has. pg_temp stands last, or it would be searched
-- first: a temporary table named postings would be what the triggers read.
-- +goose StatementBegin
DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
              WHERE n.nspname = current_schema() AND pg_get_userbyid(p.proowner) = current_user LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', f, current_schema());
    END LOOP;
END $$;
-- +goose StatementEnd

-- The two functions that every batch of transfers runs name the schema of everything
-- that they read, operators included, and so need no search_path: setting it for each
-- call took 6 % of the database's time for a batch. A CASE with an operand and a GROUP BY
-- look an operator up by name and by type; the former is spelled out.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION refuse_unbalanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE bad pg_catalog.uuid;
BEGIN
    SELECT p.transfer_id INTO bad
      FROM added p
      LEFT JOIN LATERAL (SELECT * FROM public.transfers x WHERE x.id OPERATOR(pg_catalog.=) p.transfer_id OFFSET 0) t
        ON t.state OPERATOR(pg_catalog.=) 'posted'
       AND p.amount OPERATOR(pg_catalog.=)
           CASE WHEN p.account_id OPERATOR(pg_catalog.=) t.debit_account THEN OPERATOR(pg_catalog.-) t.posted_amount
                WHEN p.account_id OPERATOR(pg_catalog.=) t.credit_account THEN t.posted_amount END
      LEFT JOIN LATERAL (SELECT * FROM public.accounts x WHERE x.id OPERATOR(pg_catalog.=) p.account_id OFFSET 0) a
        ON a.currency OPERATOR(pg_catalog.=) t.currency
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
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION refuse_unposted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE bad pg_catalog.int8;
BEGIN
    SELECT n.id INTO bad
      FROM earlier o JOIN later n ON n.id OPERATOR(pg_catalog.=) o.id
     CROSS JOIN LATERAL (
           SELECT pg_catalog.count(*) AS lines, COALESCE(pg_catalog.sum(p.amount), 0) AS moved,
                  pg_catalog.min(p.posted_at) AS first_at, pg_catalog.max(p.posted_at) AS last_at
             FROM public.postings p
            WHERE p.account_id OPERATOR(pg_catalog.=) n.id
              AND p.seq OPERATOR(pg_catalog.>) o.seq AND p.seq OPERATOR(pg_catalog.<=) n.seq) p
     WHERE (n.seq OPERATOR(pg_catalog.-) o.seq) OPERATOR(pg_catalog.<>) p.lines
        OR (n.balance OPERATOR(pg_catalog.-) o.balance) OPERATOR(pg_catalog.<>) p.moved
        OR n.as_of OPERATOR(pg_catalog.<) o.as_of OR p.first_at OPERATOR(pg_catalog.<) o.as_of
        OR n.as_of OPERATOR(pg_catalog.<) p.last_at
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account % does not change as its postings say', bad
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger has no way down: restore a backup'; END $$;
-- +goose StatementEnd
