-- +goose Up
-- The ledger. The Go side of every rule below is in server/ledger; here stands
-- what the database refuses although the code should never ask for it.

-- An account is one line of the books: a user's wallet in one currency, or one
-- of the house's own accounts (bank clearing, suspense, fee).
CREATE TABLE accounts (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id  uuid        NOT NULL UNIQUE,
    owner      uuid,
    currency   text        NOT NULL CHECK (length(currency) = 3),
    kind       text        NOT NULL CHECK (kind IN ('wallet', 'clearing', 'suspense', 'fee')),
    balance    bigint      NOT NULL DEFAULT 0,
    held       bigint      NOT NULL DEFAULT 0 CHECK (held >= 0),
    seq        bigint      NOT NULL DEFAULT 0 CHECK (seq >= 0),
    floor      bigint,
    status     text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'frozen')),
    -- No posting is ever dated before as_of: it is what makes an answer to
    -- "what was the balance at t" final once it has been given.
    as_of      timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT accounts_owner_kind CHECK ((owner IS NULL) = (kind <> 'wallet')),
    -- Or the application could open a wallet that may be overdrawn.
    CONSTRAINT accounts_wallet_floor CHECK (kind <> 'wallet' OR (floor IS NOT NULL AND floor >= 0)),
    -- 2^53: a JSON number beyond it loses its last digit in many a reader.
    CONSTRAINT accounts_balance_exact CHECK (balance > -9007199254740992 AND balance < 9007199254740992),
    CONSTRAINT accounts_floor CHECK (floor IS NULL OR balance - held >= floor)
) WITH (fillfactor = 50); -- room for HOT updates: every transfer rewrites two rows

CREATE UNIQUE INDEX accounts_wallet ON accounts (owner, currency) WHERE owner IS NOT NULL;
CREATE UNIQUE INDEX accounts_house ON accounts (kind, currency) WHERE owner IS NULL;

-- A transfer is one command that a caller gave under a key, and what came of
-- it. Captures and voids are rows too (target names the authorization), so that
-- one unique constraint holds every key that ever moved money.
CREATE TABLE transfers (
    id              uuid        PRIMARY KEY,
    kind            text        NOT NULL CHECK (kind IN
        ('transfer', 'authorization', 'deposit', 'withdrawal', 'reversal', 'capture', 'void')),
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
-- No foreign keys from here to accounts: a check per row and key costs more
-- than the row itself (docs/decisions.md), nothing may delete an account, and the
-- postings trigger and the audit compare the sets.
CREATE INDEX transfers_debit ON transfers (debit_account, id);
CREATE INDEX transfers_credit ON transfers (credit_account, id);
CREATE INDEX transfers_target_of ON transfers (target) WHERE target IS NOT NULL;
CREATE INDEX transfers_expiring ON transfers (expires_at) WHERE state = 'pending' AND expires_at IS NOT NULL;

-- A posting is one line on one account; a posted transfer has exactly two.
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

-- An event says that a transfer took a state. It names all that a leaf of the
-- coming log needs: digest is SHA-256 of the one canonical encoding of the
-- transfer (server/ledger/canonical.go). Read it only below
-- pg_snapshot_xmin(pg_current_snapshot()), or a late commit is skipped.
CREATE TABLE events (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid            xid8        NOT NULL DEFAULT pg_current_xact_id(),
    transfer_id    uuid        NOT NULL,
    state          text        NOT NULL CHECK (state IN ('pending', 'posted', 'voided', 'refused')),
    debit_account  bigint      NOT NULL,
    credit_account bigint,
    at             timestamptz NOT NULL,
    digest         bytea       NOT NULL CHECK (octet_length(digest) = 32)
);

-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER postings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON postings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transfers_keep BEFORE DELETE OR TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER accounts_keep BEFORE DELETE OR TRUNCATE ON accounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Double entry: one statement adds both lines of a transfer, what was posted
-- leaves its debit account and arrives at its credit account, and both are of
-- its currency. (That the two are not on one account, and that a later statement
-- adds no third, is postings_once.) OFFSET 0 makes the look-ups stay look-ups: a
-- session keeps the plan it made when the tables were small, and as a plain join
-- that plan reads all of them.
-- +goose StatementBegin
CREATE FUNCTION refuse_unbalanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE bad uuid;
BEGIN
    SELECT p.transfer_id INTO bad
      FROM added p
      LEFT JOIN LATERAL (SELECT * FROM transfers x WHERE x.id = p.transfer_id OFFSET 0) t
        ON t.state = 'posted'
       AND p.amount = CASE p.account_id WHEN t.debit_account THEN -t.posted_amount
                                        WHEN t.credit_account THEN t.posted_amount END
      LEFT JOIN LATERAL (SELECT * FROM accounts x WHERE x.id = p.account_id OFFSET 0) a
        ON a.currency = t.currency
     GROUP BY p.transfer_id
    HAVING count(*) <> 2 OR count(a.id) <> 2
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

-- No money from nowhere: an account moves on by the lines that were added to it,
-- all of them and nothing else, and none is dated before what has been answered.
-- +goose StatementBegin
CREATE FUNCTION refuse_unposted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE bad bigint;
BEGIN
    SELECT n.id INTO bad
      FROM earlier o JOIN later n ON n.id = o.id
     CROSS JOIN LATERAL (
           SELECT count(*) AS lines, COALESCE(sum(p.amount), 0) AS moved,
                  min(p.posted_at) AS first_at, max(p.posted_at) AS last_at
             FROM postings p WHERE p.account_id = n.id AND p.seq > o.seq AND p.seq <= n.seq) p
     WHERE n.seq - o.seq <> p.lines OR n.balance - o.balance <> p.moved
        OR n.as_of < o.as_of OR p.first_at < o.as_of OR n.as_of < p.last_at
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account % does not change as its postings say', bad
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER accounts_posted AFTER UPDATE ON accounts
    REFERENCING OLD TABLE AS earlier NEW TABLE AS later FOR EACH STATEMENT EXECUTE FUNCTION refuse_unposted();

-- A final state is final, and what a transfer says never changes.
-- +goose StatementBegin
CREATE FUNCTION refuse_reopening() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'pending' AND NEW.reversed_amount < OLD.reversed_amount
       OR OLD.state <> 'pending' AND
       (NEW.state, NEW.posted_amount, NEW.reason, NEW.resolved_at)
           IS DISTINCT FROM (OLD.state, OLD.posted_amount, OLD.reason, OLD.resolved_at) THEN
        RAISE EXCEPTION 'transfer % is % for good', OLD.id, OLD.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER transfers_final BEFORE UPDATE ON transfers
    FOR EACH ROW EXECUTE FUNCTION refuse_reopening();

-- The application's role owns nothing and gets what the code needs, column by
-- column: it cannot open an account with money in it, or rewrite a line.
-- +goose StatementBegin
DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'kizo_app') THEN
        CREATE ROLE kizo_app LOGIN;
    END IF;
END $$;
-- +goose StatementEnd
GRANT SELECT ON goose_db_version TO kizo_app; -- kizod refuses to serve on another schema
GRANT SELECT, INSERT (public_id, owner, currency, kind, floor),
      UPDATE (balance, held, seq, as_of, status) ON accounts TO kizo_app;
GRANT SELECT, INSERT, UPDATE (state, posted_amount, reversed_amount, reason, resolved_at) ON transfers TO kizo_app;
GRANT SELECT, INSERT ON postings TO kizo_app;
GRANT SELECT, INSERT (transfer_id, state, debit_account, credit_account, at, digest) ON events TO kizo_app;

-- +goose Down
-- Books are not dropped by a migration.
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION 'the ledger has no way down: restore a backup'; END $$;
-- +goose StatementEnd
