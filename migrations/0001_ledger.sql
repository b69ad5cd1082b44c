-- +goose Up
-- The ledger. The Go side of every rule below is in server/ledger; the constraints and
-- triggers here refuse what that code never asks for.

-- A function reads the tables of the schema public and the operators of PostgreSQL, whatever
-- search_path its caller has. pg_temp is last: it would be searched first otherwise, and a
-- temporary table named postings would be what the triggers read.

-- An account has a balance in one currency. It belongs to a user (a wallet) or to no user
-- (a system account: bank clearing, suspense, fee).
CREATE TABLE accounts (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id  uuid        NOT NULL UNIQUE,
    owner      uuid,
    currency   text        NOT NULL CHECK (length(currency) = 3),
    kind       text        NOT NULL CHECK (kind IN ('wallet', 'clearing', 'suspense', 'fee')),
    balance    bigint      NOT NULL DEFAULT 0,
    held       bigint      NOT NULL DEFAULT 0 CHECK (held >= 0),
    seq        bigint      NOT NULL DEFAULT 0 CHECK (seq >= 0), -- of the newest posting
    floor      bigint, -- the least that balance - held may be; NULL where the account may be overdrawn
    status     text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'frozen')),
    -- No posting is ever dated before as_of, so that an answer to "what was the balance at
    -- t" never changes once it has been given.
    as_of      timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT accounts_owner_kind CHECK ((owner IS NULL) = (kind <> 'wallet')),
    -- The application's role cannot open a wallet that may be overdrawn.
    CONSTRAINT accounts_wallet_floor CHECK (kind <> 'wallet' OR (floor IS NOT NULL AND floor >= 0)),
    -- 2^53: many JSON readers lose the last digit of a larger number.
    CONSTRAINT accounts_balance_exact CHECK (balance > -9007199254740992 AND balance < 9007199254740992),
    CONSTRAINT accounts_floor CHECK (floor IS NULL OR balance - held >= floor)
) WITH (fillfactor = 50); -- free space for HOT updates: every transfer updates two rows

CREATE UNIQUE INDEX accounts_wallet ON accounts (owner, currency) WHERE owner IS NOT NULL;
CREATE UNIQUE INDEX accounts_system ON accounts (kind, currency) WHERE owner IS NULL;

-- A transfer is one command that a caller gave under an idempotency key, and its result.
-- Captures, voids and reversals are rows too (target is the transfer that they act on), so
-- that one unique constraint covers every key that ever moved money.
--
-- A transfer of kind suspense books a discrepancy between clearing and suspense: the
-- clearing account then agrees with the bank's statement.
CREATE TABLE transfers (
    id              uuid        PRIMARY KEY,
    kind            text        NOT NULL CHECK (kind IN
        ('transfer', 'authorization', 'deposit', 'withdrawal', 'reversal', 'capture', 'void', 'suspense')),
    state           text        NOT NULL CHECK (state IN ('pending', 'posted', 'voided', 'refused')),
    debit_account   bigint      NOT NULL,
    credit_account  bigint,
    amount          bigint      NOT NULL CHECK (amount BETWEEN 1 AND 1000000000000000),
    posted_amount   bigint      NOT NULL DEFAULT 0,
    reversed_amount bigint      NOT NULL DEFAULT 0,
    currency        text        NOT NULL CHECK (length(currency) = 3),
    owner           uuid        NOT NULL,
    idem_key        text        NOT NULL CHECK (length(idem_key) BETWEEN 1 AND 255),
    fingerprint     bytea       NOT NULL CHECK (octet_length(fingerprint) = 32),
    memo            text        NOT NULL DEFAULT '' CHECK (length(memo) <= 200),
    reason          text        NOT NULL DEFAULT '' CHECK (length(reason) <= 200),
    target          uuid,
    expires_at      timestamptz,
    created_at      timestamptz NOT NULL,
    resolved_at     timestamptz,
    memo_key        text CHECK (length(memo_key) <= 4000), -- the memo as searches compare it; NULL where that is the memo in lower case
    CONSTRAINT transfers_key UNIQUE (owner, idem_key),
    CONSTRAINT transfers_two_accounts CHECK (debit_account <> credit_account),
    CONSTRAINT transfers_payee CHECK (credit_account IS NOT NULL OR state = 'refused'),
    CONSTRAINT transfers_resolved CHECK ((state = 'pending') = (resolved_at IS NULL)),
    CONSTRAINT transfers_pending_kinds CHECK (state <> 'pending' OR kind IN ('authorization', 'deposit', 'withdrawal')),
    CONSTRAINT transfers_posted CHECK (
        posted_amount BETWEEN 0 AND amount AND (state = 'posted') = (posted_amount > 0)),
    CONSTRAINT transfers_reversed CHECK (reversed_amount BETWEEN 0 AND posted_amount),
    CONSTRAINT transfers_target CHECK ((target IS NOT NULL) = (kind IN ('reversal', 'capture', 'void'))),
    CONSTRAINT transfers_expiry CHECK (expires_at IS NULL OR kind = 'authorization'),
    CONSTRAINT transfers_refused_reason CHECK (state NOT IN ('refused', 'voided') OR reason <> '')
);
-- There are no foreign keys from here to accounts: they cost 40 % of PostgreSQL's time for a
-- transfer (docs/decisions.md). Nothing may delete an account, and the trigger on postings
-- and the audit compare the tables.
CREATE INDEX transfers_debit ON transfers (debit_account, id);
CREATE INDEX transfers_credit ON transfers (credit_account, id);
CREATE INDEX transfers_target_of ON transfers (target) WHERE target IS NOT NULL;
CREATE INDEX transfers_expiring ON transfers (expires_at) WHERE state = 'pending' AND expires_at IS NOT NULL;
-- For counting what is open. A transfer between wallets is never pending.
CREATE INDEX transfers_pending_debit ON transfers (debit_account) WHERE state = 'pending';
CREATE INDEX transfers_pending_credit ON transfers (credit_account) WHERE state = 'pending';

-- A posting changes the balance of one account. A posted transfer has exactly two.
CREATE TABLE postings (
    account_id    bigint      NOT NULL,
    seq           bigint      NOT NULL CHECK (seq >= 1),
    transfer_id   uuid        NOT NULL,
    amount        bigint      NOT NULL CHECK (amount <> 0),
    balance_after bigint      NOT NULL,
    posted_at     timestamptz NOT NULL,
    PRIMARY KEY (account_id, seq),
    CONSTRAINT postings_once UNIQUE (transfer_id, account_id)
);

-- The number of an event is the id of the transaction that added it, plus a constant that
-- grows with every restore and is 0 until then. Ids of transactions belong to a PostgreSQL
-- cluster: a dump that is restored into another cluster has events whose numbers are above
-- every transaction of that cluster, and readers, which stop at the oldest running
-- transaction, would never reach them. `kizod repair` (server/ledger/repair.go) replaces
-- this function; nothing else may. PostgreSQL inlines it.
-- +goose StatementBegin
CREATE FUNCTION event_number(transaction_id xid8) RETURNS xid8
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN transaction_id;
-- +goose StatementEnd

-- An event says that a transfer entered a state. digest is the SHA-256 of the canonical
-- encoding of the transfer (server/ledger/canonical.go). The order of events is (xid, id);
-- read only below pg_snapshot_xmin(pg_current_snapshot()), or an event that is committed
-- late is skipped (server/ledger/events.go).
CREATE TABLE events (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid            xid8        NOT NULL DEFAULT event_number(pg_current_xact_id()),
    transfer_id    uuid        NOT NULL,
    state          text        NOT NULL CHECK (state IN ('pending', 'posted', 'voided', 'refused')),
    debit_account  bigint      NOT NULL,
    credit_account bigint,
    at             timestamptz NOT NULL,
    digest         bytea       NOT NULL CHECK (octet_length(digest) = 32)
);
-- For the one reader of all events. New rows are at the index's end, so it costs little.
CREATE INDEX events_order ON events (xid, id);
-- For a client that fetches the missed events of its own accounts.
CREATE INDEX events_debit ON events (debit_account, xid, id);
CREATE INDEX events_credit ON events (credit_account, xid, id) WHERE credit_account IS NOT NULL;

-- What the open authorizations and withdrawals of an account reserve, kept by the two
-- triggers below. The application's role cannot write it, so that accounts.held, which the
-- role can write, is compared with something.
CREATE TABLE account_holds (
    account_id bigint PRIMARY KEY,
    held       bigint NOT NULL CHECK (held >= 0)
) WITH (fillfactor = 50);

-- The status of an owner applies to all accounts of that owner, also to those that are
-- opened later. A freeze and the opening of an account both lock the owner's row, and do so
-- before they lock an account.
CREATE TABLE account_owners (
    owner  uuid PRIMARY KEY,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'frozen'))
);

-- Append-only tables, and rows that are never deleted.
-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER postings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON postings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transfers_no_delete BEFORE DELETE OR TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER accounts_no_delete BEFORE DELETE OR TRUNCATE ON accounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER account_owners_no_delete BEFORE DELETE OR TRUNCATE ON account_owners
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Double entry: one statement adds both postings of a transfer, the posted amount leaves its
-- debit account and arrives at its credit account, and both accounts have its currency.
-- (postings_once ensures that the two are on different accounts and that no later statement
-- adds a third.) OFFSET 0 keeps the look-ups by key: a session keeps the plan that it made
-- when the tables were small, and as a plain join that plan reads whole tables.
--
-- This function and refuse_unexplained_balance run for every batch. They name the schema of
-- everything that they read, operators included, and so need no search_path: setting one for
-- each call took 6 % of the database's time for a batch.
-- +goose StatementBegin
CREATE FUNCTION refuse_unbalanced() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER postings_balanced AFTER INSERT ON postings
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced();

-- An account's balance changes by its new postings, by all of them and by nothing else, and
-- no posting is dated before a balance that has been given as an answer.
-- +goose StatementBegin
CREATE FUNCTION refuse_unexplained_balance() RETURNS trigger LANGUAGE plpgsql AS $$
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
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER accounts_posted AFTER UPDATE ON accounts
    REFERENCING OLD TABLE AS earlier NEW TABLE AS later FOR EACH STATEMENT EXECUTE FUNCTION refuse_unexplained_balance();

-- A final state does not change, nor does what belongs to it.
-- +goose StatementBegin
CREATE FUNCTION refuse_change_of_final_transfer() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF OLD.state <> 'pending' AND NEW.reversed_amount < OLD.reversed_amount
       OR OLD.state <> 'pending' AND
       (NEW.state, NEW.posted_amount, NEW.reason, NEW.resolved_at)
           IS DISTINCT FROM (OLD.state, OLD.posted_amount, OLD.reason, OLD.resolved_at) THEN
        RAISE EXCEPTION 'transfer % is %, which is final', OLD.id, OLD.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER transfers_final BEFORE UPDATE ON transfers
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_final_transfer();

-- Holds. These are row triggers, since their WHEN costs a transfer between wallets nothing
-- that can be measured; a statement trigger took 5 to 10 % of the database's time for a batch.
-- +goose StatementBegin
CREATE FUNCTION add_hold() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO account_holds AS h (account_id, held) VALUES (NEW.debit_account, NEW.amount)
        ON CONFLICT (account_id) DO UPDATE SET held = h.held + excluded.held;
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION release_hold() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
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

-- accounts.held changes to the sum of the account's open holds, and to nothing else.
-- +goose StatementBegin
CREATE FUNCTION refuse_unexplained_hold() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NEW.held <> COALESCE((SELECT h.held FROM account_holds h WHERE h.account_id = NEW.id), 0) THEN
        RAISE EXCEPTION 'account % does not hold what its open transfers say', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER accounts_held AFTER UPDATE ON accounts FOR EACH ROW
    WHEN (NEW.held <> OLD.held) EXECUTE FUNCTION refuse_unexplained_hold();

-- Opening an account locks its owner's row: a freeze waits until the account is visible, or
-- the account gets the status of the freeze.
-- +goose StatementBegin
CREATE FUNCTION copy_status_from_owner() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO account_owners (owner) VALUES (NEW.owner) ON CONFLICT (owner) DO NOTHING;
    SELECT o.status INTO STRICT NEW.status FROM account_owners o WHERE o.owner = NEW.owner FOR SHARE;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER accounts_owner_status BEFORE INSERT ON accounts FOR EACH ROW
    WHEN (NEW.owner IS NOT NULL) EXECUTE FUNCTION copy_status_from_owner();

-- A freeze locks the accounts in id order, as a batch of transfers does.
-- +goose StatementBegin
CREATE FUNCTION copy_status_to_accounts() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM FROM accounts a WHERE a.owner = NEW.owner ORDER BY a.id FOR NO KEY UPDATE;
    UPDATE accounts a SET status = NEW.status WHERE a.owner = NEW.owner AND a.status <> NEW.status;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER account_owners_status AFTER INSERT OR UPDATE ON account_owners
    FOR EACH ROW EXECUTE FUNCTION copy_status_to_accounts();

-- The application's role owns nothing and has the rights that the code needs, by column: it
-- cannot open an account with money in it, or change a posting.
-- +goose StatementBegin
DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'kizo_app') THEN
        CREATE ROLE kizo_app LOGIN;
    END IF;
END $$;
-- +goose StatementEnd
GRANT SELECT ON goose_db_version TO kizo_app; -- kizod refuses to serve on another schema
GRANT SELECT, INSERT (public_id, owner, currency, kind, floor),
      UPDATE (balance, held, seq, as_of) ON accounts TO kizo_app;
GRANT SELECT, INSERT (id, kind, state, debit_account, credit_account, amount, posted_amount, currency, owner, idem_key,
      fingerprint, memo, reason, target, expires_at, created_at, resolved_at, memo_key),
      UPDATE (state, posted_amount, reversed_amount, reason, resolved_at) ON transfers TO kizo_app;
GRANT SELECT, INSERT (account_id, seq, transfer_id, amount, balance_after, posted_at) ON postings TO kizo_app;
GRANT SELECT, INSERT (transfer_id, state, debit_account, credit_account, at, digest) ON events TO kizo_app;
GRANT SELECT ON account_holds TO kizo_app;
GRANT SELECT, INSERT (owner, status), UPDATE (status) ON account_owners TO kizo_app;
GRANT EXECUTE ON FUNCTION event_number(xid8) TO kizo_app;
-- The audit compares every identity column with its sequence: logical replication copies the
-- rows and not the sequences.
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO kizo_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON SEQUENCES TO kizo_app;

-- +goose Down
-- No migration drops the books.
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger cannot be migrated down: restore a backup'; END $$;
-- +goose StatementEnd
