package ledger_test

import (
	"cmp"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
)

// SQLSTATE (PostgreSQL manual, appendix A).
const (
	noPrivilege = "42501"
	generated   = "428C9" // a value for an identity column
	integrity   = "23000" // a trigger of the schema
	check       = "23514"
	duplicate   = "23505"
)

// TestDatabaseRefuses: the database refuses statements that the code must never send. Each
// statement is executed by itself, on the tables of oneOfEverything: $alice and $bob are accounts
// with money, $euro is an account in another currency, and $posted, $pending and $refused are
// transfers. $posted has its postings in its row, $captured has them in the table.
func TestDatabaseRefuses(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	names := h.oneOfEverything()
	app, owner := testkit.Connect(t, h.db.AppURL), testkit.Connect(t, h.db.AdminURL)
	for _, tt := range []struct {
		name, state, sql string
		asOwner          bool
	}{
		{"change a posting", noPrivilege, `UPDATE postings SET amount = 1`, false},
		{"delete a posting", noPrivilege, `DELETE FROM postings`, false},
		{"truncate the postings", noPrivilege, `TRUNCATE postings`, false},
		{"change an event", noPrivilege, `UPDATE events SET state = 'posted'`, false},
		{"delete an event", noPrivilege, `DELETE FROM events`, false},
		{"truncate the events", noPrivilege, `TRUNCATE events`, false},
		{"an event with an id of its own", noPrivilege, `INSERT INTO events (id, transfer_id, state, debit_account, at, digest)
			OVERRIDING SYSTEM VALUE VALUES (1, '$posted', 'posted', 1, now(), sha256(''))`, false},
		{"an event of another transaction", noPrivilege, `INSERT INTO events (xid, transfer_id, state, debit_account, at, digest)
			VALUES ('1', '$posted', 'posted', 1, now(), sha256(''))`, false},
		{"a transfer's amount", noPrivilege, `UPDATE transfers SET amount = 1`, false},
		{"a transfer's owner", noPrivilege, `UPDATE transfers SET owner = gen_random_uuid()`, false},
		{"a transfer's key", noPrivilege, `UPDATE transfers SET idem_key = 'x'`, false},
		{"a transfer's memo", noPrivilege, `UPDATE transfers SET memo = 'x'`, false},
		{"a transfer's tags", noPrivilege, `UPDATE transfers SET tags = 'a=b'`, false},
		{"a transfer's accounts", noPrivilege, `UPDATE transfers SET debit_account = credit_account`, false},
		{"a transfer's fingerprint", noPrivilege, `UPDATE transfers SET fingerprint = sha256('')`, false},
		{"delete a transfer", noPrivilege, `DELETE FROM transfers`, false},
		{"delete an account", noPrivilege, `DELETE FROM accounts`, false},
		{"delete a payment", noPrivilege, `DELETE FROM payments`, false},
		{"another amount for the bank", noPrivilege, `UPDATE payments SET amount = amount + 1`, false},
		{"another reference for the bank", noPrivilege, `UPDATE payments SET external_ref = 'x'`, false},
		{"truncate the transfers", noPrivilege, `TRUNCATE transfers CASCADE`, false},
		{"change a signed audit", noPrivilege, `UPDATE signed_audits SET horizon = '3'`, false},
		{"delete a signed audit", noPrivilege, `DELETE FROM signed_audits`, false},
		{"truncate the signed audits", noPrivilege, `TRUNCATE signed_audits`, false},
		{"change a signed audit as the owner", integrity, `UPDATE signed_audits SET horizon = '3'`, true},
		{"delete a signed audit as the owner", integrity, `DELETE FROM signed_audits`, true},
		{"truncate the signed audits as the owner", integrity, `TRUNCATE signed_audits`, true},
		{"a signed audit with an id of its own", noPrivilege, `INSERT INTO signed_audits
			OVERRIDING SYSTEM VALUE VALUES (9, now(), 'full', now(), '0', '3', now(), '{}', '{}', '{}', '{}', 'a', sha256(''))`, false},
		{"a signed audit without a signature", check, `INSERT INTO signed_audits (at, mode, full_at, epoch, horizon, latest, currencies, accounts,
			balances, digests, key_id, signature) VALUES (now(), 'full', now(), '0', '3', now(), '{}', '{}', '{}', '{}', 'a', '')`, false},
		{"drop a table", noPrivilege, `DROP TABLE postings`, false},
		{"add a column", noPrivilege, `ALTER TABLE postings ADD COLUMN x int`, false},
		{"disable the triggers", noPrivilege, `ALTER TABLE postings DISABLE TRIGGER ALL`, false},
		{"drop a trigger", noPrivilege, `DROP TRIGGER postings_balanced ON postings`, false},
		{"replace a trigger's function", noPrivilege, `CREATE OR REPLACE FUNCTION refuse_unbalanced() RETURNS trigger LANGUAGE sql AS 'SELECT NULL'`, false},
		{"pretend to replicate", noPrivilege, `SET session_replication_role = 'replica'`, false},
		{"become the owner", noPrivilege, `SET ROLE kizo_owner`, false},
		{"a new wallet with a balance", noPrivilege, `INSERT INTO accounts (public_id, owner, currency, kind, floor, balance)
			VALUES (gen_random_uuid(), gen_random_uuid(), 'USD', 'wallet', 0, 100)`, false},
		{"a wallet with a negative floor", check, `INSERT INTO accounts (public_id, owner, currency, kind, floor)
			VALUES (gen_random_uuid(), gen_random_uuid(), 'USD', 'wallet', -100)`, false},
		{"a wallet without a floor", check, `INSERT INTO accounts (public_id, owner, currency, kind)
			VALUES (gen_random_uuid(), gen_random_uuid(), 'USD', 'wallet')`, false},
		{"a lower floor", noPrivilege, `UPDATE accounts SET floor = -100`, false},
		{"a second wallet in a currency", duplicate, `INSERT INTO accounts (public_id, owner, currency, kind, floor)
			SELECT gen_random_uuid(), owner, currency, 'wallet', 0 FROM accounts WHERE id = $alice`, false},
		{"money from nowhere", integrity, `UPDATE accounts SET balance = balance + 100 WHERE id = $alice`, false},
		{"money into nowhere", integrity, `UPDATE accounts SET balance = balance - 1 WHERE id = $alice`, false},
		{"money from one account to another without postings", integrity, `UPDATE accounts SET balance = balance + CASE id WHEN $alice THEN 1 ELSE -1 END
			WHERE id IN ($alice, $bob)`, false},
		{"a skipped sequence number", integrity, `UPDATE accounts SET seq = seq + 1 WHERE id = $alice`, false},
		{"a balance set back to that of an earlier posting", integrity, `UPDATE accounts a SET seq = p.seq, balance = p.balance_after
			FROM all_postings p WHERE a.id = $bob AND p.account_id = a.id AND p.seq = a.seq - 1`, false},
		{"an as-of that goes back", integrity, `UPDATE accounts SET as_of = as_of - interval '1 second' WHERE id = $alice`, false},
		{"another sum of what came in", noPrivilege, `UPDATE accounts SET credited = credited + 1 WHERE id = $alice`, false},
		{"a new account with a sum of what came in", noPrivilege, `INSERT INTO accounts (public_id, owner, currency, kind, floor, credited)
			VALUES (gen_random_uuid(), gen_random_uuid(), 'USD', 'wallet', 0, 100)`, false},
		{"a checkpoint", noPrivilege, `INSERT INTO account_checkpoints VALUES ($alice, 2, 5, now())`, false},
		{"another checkpoint for one", noPrivilege, `INSERT INTO account_checkpoints SELECT account_id, seq, 0, posted_at FROM account_checkpoints
			ON CONFLICT (account_id, seq) DO UPDATE SET credited = 0`, false},
		{"change a checkpoint", noPrivilege, `UPDATE account_checkpoints SET credited = 0`, false},
		{"delete a checkpoint", noPrivilege, `DELETE FROM account_checkpoints`, false},
		{"truncate the checkpoints", noPrivilege, `TRUNCATE account_checkpoints`, false},
		{"below the floor", check, `UPDATE accounts SET balance = -1 WHERE id = $alice`, false},
		{"more held than there is", check, `UPDATE accounts SET held = balance + 1 WHERE id = $alice`, false},
		{"a negative held amount", check, `UPDATE accounts SET held = -1 WHERE id = $alice`, false},
		{"a balance beyond the limit of JSON numbers", check, `UPDATE accounts SET balance = 9007199254740992 WHERE id = $alice`, false},
		{"freeze or unfreeze one account", noPrivilege, `UPDATE accounts SET status = 'active' WHERE id = $alice`, false},
		{"a new account with a status", noPrivilege, `INSERT INTO accounts (public_id, owner, currency, kind, floor, status)
			VALUES (gen_random_uuid(), gen_random_uuid(), 'USD', 'wallet', 0, 'active')`, false},
		{"an unknown status", check, `UPDATE account_owners SET status = 'melted'`, false},
		{"delete the owners of accounts", noPrivilege, `DELETE FROM account_owners`, false},
		{"another owner of a freeze", noPrivilege, `UPDATE account_owners SET owner = gen_random_uuid()`, false},
		{"a posting alone", integrity, `INSERT INTO postings VALUES ($alice, 1000, '$pending', 5, 5, now())`, false},
		{"a third posting", integrity, `INSERT INTO postings VALUES ($other, 1000, '$posted', 5, 5, now())`, false},
		{"a second pair of postings", integrity, `INSERT INTO postings VALUES
			($other, 1000, '$posted', 10, 10, now()), ($euro, 1000, '$posted', -10, -10, now())`, false},
		{"the same pair again", duplicate, `INSERT INTO postings VALUES
			($bob, 1000, '$captured', 7, 7, now()), ($alice, 1000, '$captured', -7, -7, now())`, false},
		{"postings of a transfer that has its own", integrity, `INSERT INTO postings VALUES
			($bob, 1000, '$posted', 10, 10, now()), ($alice, 1000, '$posted', -10, -10, now())`, false},
		{"a posting with the number of one in a transfer", integrity, `WITH t AS (` + newTransfer("posted", `$alice`, `$bob`, `10`, `'USD'`) + ` RETURNING id)
			INSERT INTO postings SELECT a, n, id, x, x, now() FROM t, (VALUES ($alice, -10), ($bob, 10)) v (a, x)
				CROSS JOIN LATERAL (SELECT seq AS n FROM all_postings o WHERE o.transfer_id = '$posted' AND o.account_id = a) o`, false},
		{"the balance of an own posting twice", integrity, `UPDATE accounts a SET seq = a.seq + 1, balance = a.balance + p.amount, as_of = clock_timestamp()
			FROM all_postings p WHERE a.id = p.account_id AND p.transfer_id = '$posted'`, false},
		{"own postings after a gap", integrity, ownPostings("debit_seq", `d.seq + 2`), false},
		{"own postings with the newest number again", integrity, ownPostings("debit_seq", `d.seq`), false},
		{"own postings with an earlier number", integrity, ownPostings("credit_seq", `1`), false},
		{"own postings with a number twice in a statement", integrity, ownPostings("rows", `2`), false},
		{"own postings in another currency", integrity, ownPostings("currency", `'EUR'`), false},
		{"own postings in two currencies", integrity, ownPostings("credit", `$euro`), false},
		{"own postings on an unknown account", integrity, ownPostings("credit_account", `999999`), false},
		{"own postings with an id of another time", integrity, ownPostings("id", `gen_random_uuid()`), false},
		{"own postings before as_of", integrity, ownPostings("at", `d.as_of - interval '1 second'`), false},
		{"own postings on a frozen account", integrity, `UPDATE account_owners SET status = 'frozen' FROM accounts a WHERE a.id = $bob AND a.owner = account_owners.owner; ` + ownPostings(), false},
		{"own postings on an account whose limit was not read", integrity, `INSERT INTO wallet_limits (account_id, max_per_day) VALUES ($bob, 1); SET LOCAL kizo.remembered_accounts = 'on'; ` + ownPostings(), false},
		{"own postings at as_of", integrity, ownPostings("at", `d.as_of`), false},
		{"an own event before its transaction", integrity, ownPostings("event_xid", `'3'`), false},
		{"an own event of a later transaction", integrity, ownPostings("event_xid", `(pg_current_xact_id()::text::bigint + 1000)::text::xid8`), false},
		{"two own events with one position", duplicate, ownPostings("rows", `2`, "debit_seq", `d.seq + n`, "credit_seq", `c.seq + n`, "event_id", `-1`), false},
		{"own postings of a pending transfer", check, ownPostings("kind", `'authorization'`, "state", `'pending'`, "posted_amount", `0`, "resolved_at", `NULL`), false},
		{"own postings of a refused transfer", check, ownPostings("state", `'refused'`, "posted_amount", `0`, "reason", `'x'`), false},
		{"own postings of a deposit", check, ownPostings("kind", `'deposit'`), false},
		{"own postings of an authorization", check, ownPostings("kind", `'authorization'`), false},
		{"own postings of a part of the amount", check, ownPostings("posted_amount", `4`), false},
		{"own postings of more than there is", check, ownPostings("amount", `d.balance + 1`, "posted_amount", `d.balance + 1`), false},
		{"an own posting without a debit number", check, ownPostings("debit_seq", `NULL`), false},
		{"an own posting without a debit balance", check, ownPostings("debit_balance", `NULL`), false},
		{"an own posting without a credit number", check, ownPostings("credit_seq", `NULL`), false},
		{"an own posting without a credit balance", check, ownPostings("credit_balance", `NULL`), false},
		{"an own event without a number", check, ownPostings("event_xid", `NULL`), false},
		{"an own event without an id", check, ownPostings("event_id", `NULL`), false},
		{"an own event without a digest", check, ownPostings("digest", `NULL`), false},
		{"an own event with a short digest", check, ownPostings("digest", `'x'`), false},
		{"change own postings", noPrivilege, `UPDATE transfers SET debit_seq = 1, debit_balance = 5`, false},
		{"change an own event", noPrivilege, `UPDATE transfers SET event_id = 1, event_xid = '3', digest = sha256('')`, false},
		{"ids of events that were given before", noPrivilege, `SELECT setval('events_id_seq', 1)`, false},
		{"a limit raised at once", integrity, `UPDATE wallet_limits SET max_per_day = 31`, false},
		{"a limit per transfer raised at once", integrity, `UPDATE wallet_limits SET max_per_transfer = 21`, false},
		{"a limit removed at once", integrity, `UPDATE wallet_limits SET max_per_day = NULL`, false},
		{"a limit raised too soon", integrity, `UPDATE wallet_limits SET next_per_transfer = 20, next_per_day = 31, next_at = now() + interval '23 hours'`, false},
		{"a limit removed in the past", integrity, `UPDATE wallet_limits SET next_at = now() - interval '1 day'`, false},
		{"a raise that comes sooner", integrity, `UPDATE wallet_limits SET next_per_transfer = 20, next_per_day = 31, next_at = now() + interval '24 hours';
			UPDATE wallet_limits SET next_at = now() + interval '23 hours'`, false},
		{"a raise that becomes higher", integrity, `UPDATE wallet_limits SET next_per_transfer = 20, next_per_day = 31, next_at = now() + interval '25 hours';
			UPDATE wallet_limits SET next_per_day = 32, next_at = now() + interval '23 hours'`, false},
		{"a new limit that ends at once", integrity, `INSERT INTO wallet_limits VALUES ($bob, 5, 5, NULL, NULL, now())`, false},
		{"a limit of no wallet", integrity, `INSERT INTO wallet_limits VALUES (999999, 5, 5)`, false},
		{"a limit of nothing", check, `INSERT INTO wallet_limits VALUES ($bob, 0, 0)`, false},
		{"a change of a limit without a time", check, `UPDATE wallet_limits SET next_per_day = 31, next_at = NULL`, false},
		{"a limit of another wallet", noPrivilege, `UPDATE wallet_limits SET account_id = $bob`, false},
		{"delete a limit", noPrivilege, `DELETE FROM wallet_limits`, false},
		{"delete a limit as the owner", integrity, `DELETE FROM wallet_limits`, true},
		{"a limited wallet that is not marked", noPrivilege, `UPDATE accounts SET limited = false`, false},
		{"more spent than a user's limit allows", integrity, `UPDATE wallet_spending SET spent = 31`, false},
		{"spending of another day beyond the limit", integrity, `INSERT INTO wallet_spending VALUES ($euro, '2026-01-01', 31)`, false},
		{"spending of a wallet without a limit", integrity, `INSERT INTO wallet_spending VALUES ($bob, '2026-01-01', 1)`, false},
		{"less than nothing spent", check, `UPDATE wallet_spending SET spent = -1`, false},
		{"forget what was spent", noPrivilege, `DELETE FROM wallet_spending`, false},
		{"spending of another wallet", noPrivilege, `UPDATE wallet_spending SET account_id = $bob`, false},
		{"a transfer of another wallet that counts", integrity, `INSERT INTO wallet_limited_transfers VALUES ('$posted', $euro, current_date)`, false},
		{"a transfer above the limit that counts", integrity, `UPDATE wallet_limits SET max_per_transfer = 9;
			INSERT INTO wallet_limited_transfers VALUES ('$limited', $euro, current_date)`, false},
		{"a transfer that counts twice", duplicate, `INSERT INTO wallet_limited_transfers VALUES ('$limited', $euro, current_date)`, false},
		{"a transfer that counts on another day", noPrivilege, `UPDATE wallet_limited_transfers SET day = day + 1`, false},
		{"a transfer that counts no more, as the owner", integrity, `DELETE FROM wallet_limited_transfers`, true},
		{"postings that do not sum to zero", integrity, `INSERT INTO postings VALUES
			($bob, 1000, '$pending', 10, 10, now()), ($alice, 1000, '$pending', -9, -9, now())`, false},
		{"postings of a pending transfer", integrity, `INSERT INTO postings VALUES
			($bob, 1000, '$pending', 10, 10, now()), ($alice, 1000, '$pending', -10, -10, now())`, false},
		{"postings of no transfer", integrity, `INSERT INTO postings VALUES
			($bob, 1000, gen_random_uuid(), 10, 10, now())`, false},
		{"a posting on no account", integrity, `INSERT INTO postings VALUES
			(0, 1, '$posted', 10, 10, now()), (-1, 1, '$posted', -10, -10, now())`, false},
		{"postings in two currencies", integrity, `WITH t AS (` + newTransfer("posted", `$alice`, `$euro`, `10`, `'USD'`) + ` RETURNING id)
			INSERT INTO postings SELECT a, 1000, id, x, x, now() FROM t, (VALUES ($alice, -10), ($euro, 10)) v (a, x)`, false},
		{"a sequence number used twice", duplicate, `INSERT INTO postings VALUES ($alice, 1, '$pending', 5, 5, now())`, false},
		{"a posting of amount 0", check, `INSERT INTO postings VALUES ($alice, 1000, '$pending', 0, 5, now())`, false},
		{"reopen a posted transfer", integrity, `UPDATE transfers SET state = 'pending', posted_amount = 0, resolved_at = NULL WHERE id = '$posted'`, false},
		{"void a posted transfer", integrity, `UPDATE transfers SET state = 'voided', posted_amount = 0, reason = 'x' WHERE id = '$posted'`, false},
		{"post a refused transfer", integrity, `UPDATE transfers SET state = 'posted', posted_amount = amount WHERE id = '$refused'`, false},
		{"another reason", integrity, `UPDATE transfers SET reason = 'because' WHERE id = '$refused'`, false},
		{"reverse more than was posted", check, `UPDATE transfers SET reversed_amount = posted_amount + 1 WHERE id = '$posted'`, false},
		{"decrease a reversed amount", integrity, `UPDATE transfers SET reversed_amount = 0 WHERE id = '$reversed'`, false},
		{"post more than the amount", check, `UPDATE transfers SET state = 'posted', posted_amount = amount + 1, resolved_at = now() WHERE id = '$pending'`, false},
		{"post nothing", check, `UPDATE transfers SET state = 'posted', resolved_at = now() WHERE id = '$pending'`, false},
		{"end without a time", check, `UPDATE transfers SET state = 'voided', reason = 'x' WHERE id = '$pending'`, false},
		{"end without a reason", check, `UPDATE transfers SET state = 'voided', resolved_at = now() WHERE id = '$pending'`, false},
		{"an amount of 0", check, newTransfer("pending", `$alice`, `$bob`, `0`, `'USD'`), false},
		{"a negative amount", check, newTransfer("pending", `$alice`, `$bob`, `-5`, `'USD'`), false},
		{"an amount above the maximum", check, newTransfer("pending", `$alice`, `$bob`, `1000000000000001`, `'USD'`), false},
		{"a transfer to oneself", check, newTransfer("pending", `$alice`, `$alice`, `5`, `'USD'`), false},
		{"a key twice", duplicate, `INSERT INTO transfers (id, kind, state, debit_account, credit_account, amount, currency, owner, idem_key, fingerprint, created_at)
			SELECT gen_random_uuid(), 'deposit', 'pending', $alice, $bob, 5, 'USD', owner, idem_key, fingerprint, now() FROM transfers WHERE id = '$posted'`, false},

		{"release held money", integrity, `UPDATE accounts SET held = 0 WHERE id = $alice`, false},
		{"hold more than the open holds", integrity, `UPDATE accounts SET held = held + 1 WHERE id = $alice`, false},
		{"hold on an account without holds", integrity, `UPDATE accounts SET held = 1 WHERE id = $bob`, false},
		{"change the sum of the holds", noPrivilege, `UPDATE account_holds SET held = 0`, false},
		{"delete the sum of the holds", noPrivilege, `DELETE FROM account_holds`, false},
		{"a new transfer with a reversed amount", noPrivilege, `INSERT INTO transfers (id, reversed_amount) VALUES (gen_random_uuid(), 1)`, false},
		{"reopen an ended payment", integrity, `UPDATE payments SET state = 'unknown', next_at = now() WHERE state = 'executed'`, false},
		{"put an ended payment up for review", integrity, `UPDATE payments SET state = 'needs_review' WHERE state = 'executed'`, false},
		{"reject an executed payment", integrity, `UPDATE payments SET state = 'rejected' WHERE state = 'executed'`, false},
		{"another reference of the bank", integrity, `UPDATE payments SET bank_ref = 'forged' WHERE state = 'executed'`, false},
		{"decrease a fencing token", integrity, `UPDATE payments SET fence = 3 WHERE state = 'pending';
			UPDATE payments SET fence = 2 WHERE state = 'pending'`, false},
		{"decrease the number of attempts", integrity, `UPDATE payments SET attempts = 3 WHERE state = 'pending';
			UPDATE payments SET attempts = 0 WHERE state = 'pending'`, false},
		{"a new payment that is executed", noPrivilege, `INSERT INTO payments (transfer_id, direction, external_ref, amount, currency, state)
			VALUES ('$pending', 'withdrawal', 'x', 10, 'USD', 'executed')`, false},
		{"a payment of a transfer between wallets", integrity, newPayment(`'$posted'`, 10), false},
		{"a payment of an authorization", integrity, newPayment(`'$pending'`, 10), false},
		{"a payment of more than the transfer", integrity, `WITH t AS (` + newTransferOf("withdrawal", "pending", `$bob`, `$other`, `10`, `'USD'`) + ` RETURNING id)
			INSERT INTO payments (transfer_id, direction, external_ref, amount, currency, next_at) SELECT id, 'withdrawal', 'x', 11, 'USD', now() FROM t`, false},
		{"a withdrawal whose money is not held", integrity, `WITH t AS (` + newTransferOf("withdrawal", "pending", `$bob`, `$other`, `10`, `'USD'`) + ` RETURNING id)
			INSERT INTO payments (transfer_id, direction, external_ref, amount, currency, next_at) SELECT id, 'withdrawal', 'x', 10, 'USD', now() FROM t`, false},
		{"a statement line that is open again", integrity, `INSERT INTO statement_lines (seq, external_ref, direction, amount, currency, outcome, at)
			VALUES (1, 'x', 'deposit', 1, 'USD', 'executed', now()); UPDATE statement_lines SET state = 'matched'; UPDATE statement_lines SET state = 'open'`, false},
		{"another amount on the statement", noPrivilege, `UPDATE statement_lines SET amount = amount + 1`, false},
		{"delete a statement line", noPrivilege, `DELETE FROM statement_lines`, false},
		{"delete a callback", integrity, `INSERT INTO bank_callbacks (event_id, external_ref) VALUES ('x', 'x'); DELETE FROM bank_callbacks`, false},
		{"a callback with a past time", noPrivilege, `INSERT INTO bank_callbacks (event_id, external_ref, received_at) VALUES ('y', 'y', now() - interval '1 year')`, false},
		{"change a discrepancy", noPrivilege, `UPDATE discrepancies SET detail = ''`, false},
		{"delete a discrepancy", noPrivilege, `DELETE FROM discrepancies`, false},
		{"change the log of a payment", noPrivilege, `UPDATE payment_log SET detail = ''`, false},
		{"delete the log of a payment", noPrivilege, `DELETE FROM payment_log`, false},
		{"change an operator's action", noPrivilege, `UPDATE operator_actions SET reason = ''`, false},
		{"delete an operator's action", noPrivilege, `DELETE FROM operator_actions`, false},
		{"an action with a past time", noPrivilege, `INSERT INTO operator_actions (operator, action, subject, reason, at)
			VALUES (gen_random_uuid(), 'a', 's', 'r', now() - interval '1 year')`, false},

		{"a temporary table", noPrivilege, `CREATE TEMPORARY TABLE postings (account_id bigint)`, false},
		{"a temporary table by SELECT INTO", noPrivilege, `SELECT 1 AS account_id INTO TEMPORARY postings`, false},
		{"a temporary table in pg_temp", noPrivilege, `CREATE TABLE pg_temp.postings (account_id bigint)`, false},
		{"a temporary table by search_path", noPrivilege, `SET LOCAL search_path = pg_temp, public; CREATE TABLE postings (account_id bigint)`, false},
		{"a temporary view", noPrivilege, `CREATE TEMPORARY VIEW transfers AS SELECT 1 AS id`, false},
		{"a temporary sequence", noPrivilege, `CREATE TEMPORARY SEQUENCE accounts`, false},
		{"a temporary function", noPrivilege, `CREATE FUNCTION pg_temp.sum(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'`, false},
		{"a temporary operator", noPrivilege, `CREATE OPERATOR pg_temp.<> (FUNCTION = int8eq, LEFTARG = bigint, RIGHTARG = bigint)`, false},
		{"a temporary domain", noPrivilege, `CREATE DOMAIN pg_temp.uuid AS text`, false},
		{"a temporary type", noPrivilege, `CREATE TYPE pg_temp.uuid AS ENUM ('none')`, false},
		{"a schema", noPrivilege, `CREATE SCHEMA evil`, false},
		{"a schema of its own name", noPrivilege, `CREATE SCHEMA kizo_app`, false},
		{"a table", noPrivilege, `CREATE TABLE evil (x int)`, false},
		{"a view", noPrivilege, `CREATE VIEW evil AS SELECT 1`, false},
		{"a materialized view", noPrivilege, `CREATE MATERIALIZED VIEW evil AS SELECT 1`, false},
		{"a function", noPrivilege, `CREATE FUNCTION sum(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'`, false},
		{"an aggregate", noPrivilege, `CREATE AGGREGATE sum(bigint) (SFUNC = int8pl, STYPE = bigint)`, false},
		{"an operator", noPrivilege, `CREATE OPERATOR public.<> (FUNCTION = int8eq, LEFTARG = bigint, RIGHTARG = bigint)`, false},
		{"a domain", noPrivilege, `CREATE DOMAIN uuid AS text`, false},
		{"a type", noPrivilege, `CREATE TYPE uuid AS ENUM ('none')`, false},
		{"a cast", noPrivilege, `CREATE CAST (bigint AS text) WITHOUT FUNCTION`, false},
		{"an operator class", noPrivilege, `CREATE OPERATOR CLASS evil DEFAULT FOR TYPE bigint USING btree AS STORAGE bigint`, false},
		{"a language", noPrivilege, `CREATE LANGUAGE evil HANDLER plpgsql_call_handler`, false},
		{"drop an extension", noPrivilege, `DROP EXTENSION plpgsql`, false},
		{"a rule", noPrivilege, `CREATE RULE evil AS ON UPDATE TO accounts DO INSTEAD NOTHING`, false},
		{"a trigger", noPrivilege, `CREATE TRIGGER evil BEFORE INSERT ON postings FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`, false},
		{"an event trigger", noPrivilege, `CREATE EVENT TRIGGER evil ON ddl_command_start EXECUTE FUNCTION refuse_change()`, false},
		{"the search_path of a function", noPrivilege, `ALTER FUNCTION refuse_unexplained_balance() RESET search_path`, false},
		{"drop a function", noPrivilege, `DROP FUNCTION refuse_unexplained_balance() CASCADE`, false},
		{"the settings of the database", noPrivilege, `ALTER DATABASE postgres SET search_path = evil`, false},
		{"the settings of the server", noPrivilege, `ALTER SYSTEM SET fsync = off`, false},
		{"more rights", noPrivilege, `ALTER ROLE CURRENT_USER SUPERUSER`, false},
		{"become a superuser", noPrivilege, `SET SESSION AUTHORIZATION kizo_admin`, false},
		{"read a file of the server", noPrivilege, `SELECT pg_read_file('postgresql.conf')`, false},
		{"run a program on the server", noPrivilege, `COPY (SELECT 1) TO PROGRAM 'cat'`, false},

		{"the owner: change a posting", integrity, `UPDATE postings SET amount = 1`, true},
		{"the owner: delete a posting", integrity, `DELETE FROM postings`, true},
		{"the owner: truncate the postings", integrity, `TRUNCATE postings`, true},
		{"the owner: change an event", integrity, `UPDATE events SET state = 'posted'`, true},
		{"the owner: delete an event", integrity, `DELETE FROM events`, true},
		{"the owner: truncate the events", integrity, `TRUNCATE events`, true},
		{"the owner: change a checkpoint", integrity, `UPDATE account_checkpoints SET credited = 0`, true},
		{"the owner: delete a checkpoint", integrity, `DELETE FROM account_checkpoints`, true},
		{"the owner: truncate the checkpoints", integrity, `TRUNCATE account_checkpoints`, true},
		{"the owner: a checkpoint of no posting", check, `INSERT INTO account_checkpoints VALUES ($alice, 0, 5, now())`, true},
		{"the owner: a checkpoint below nothing", check, `INSERT INTO account_checkpoints VALUES ($alice, 2, -1, now())`, true},
		{"the owner: delete a transfer", integrity, `DELETE FROM transfers`, true},
		{"the owner: delete an account", integrity, `DELETE FROM accounts`, true},
		{"the owner: delete a payment", integrity, `DELETE FROM payments`, true},
		{"the owner: change own postings", integrity, `UPDATE transfers SET debit_balance = debit_balance + 1 WHERE id = '$posted'`, true},
		{"the owner: remove own postings", integrity, `UPDATE transfers SET debit_seq = NULL, debit_balance = NULL, credit_seq = NULL,
			credit_balance = NULL, event_xid = NULL, event_id = NULL, digest = NULL WHERE id = '$posted'`, true},
		{"the owner: add own postings later", integrity, `UPDATE transfers SET debit_seq = 1000, debit_balance = 0, credit_seq = 1000,
			credit_balance = 0, event_xid = '3', event_id = -1, digest = sha256('') WHERE id = '$captured'`, true},
		{"the owner: another amount of own postings", integrity, `UPDATE transfers SET amount = 11, posted_amount = 11 WHERE id = '$posted'`, true},
		{"the owner: an event with an id of its own", generated, `INSERT INTO events (id, transfer_id, state, debit_account, at, digest)
			VALUES (1, '$posted', 'posted', 1, now(), sha256(''))`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := app
			if tt.asOwner {
				conn = owner
			}
			err := execAll(conn, names.Replace(tt.sql))
			wantState(t, err, tt.state)
		})
	}
	h.books()
}

// newTransfer is a row that the application may write, as far as its privileges go.
func newTransfer(state, debit, credit, amount, currency string) string {
	return newTransferOf("deposit", state, debit, credit, amount, currency)
}

func newTransferOf(kind, state, debit, credit, amount, currency string) string {
	posted, resolved := `0`, `NULL`
	if state == "posted" {
		posted, resolved = amount, `now()`
	}
	return `INSERT INTO transfers (id, kind, state, debit_account, credit_account, amount, posted_amount, currency, owner, idem_key, fingerprint, created_at, resolved_at)
		VALUES (gen_random_uuid(), '` + kind + `', '` + state + `', ` + debit + `, ` + credit + `, ` + amount + `, ` + posted + `, ` + currency +
		`, gen_random_uuid(), 'k', sha256(''), now(), ` + resolved + `)`
}

// ownPostings inserts a transfer from $alice to $bob with its postings in its row, which the
// application may do, after changes: names of columns (or rows: how many; credit: the account; at:
// their time), each followed by its expression.
func ownPostings(changes ...string) string {
	values := [][2]string{
		{"id", `(encode(int8send((floor(extract(epoch FROM at) * 1000)::bigint << 16) | (7 << 12) | (extract(microseconds FROM at)::bigint % 1000)), 'hex')
			|| '8' || substr(md5(random()::text), 1, 15))::uuid`},
		{"kind", `'transfer'`}, {"state", `'posted'`}, {"debit_account", `d.id`}, {"credit_account", `c.id`},
		{"amount", `5`}, {"posted_amount", `5`}, {"currency", `'USD'`}, {"owner", `gen_random_uuid()`}, {"idem_key", `'k'`},
		{"fingerprint", `sha256('')`}, {"created_at", `at`}, {"resolved_at", `at`}, {"reason", `''`},
		{"debit_seq", `d.seq + 1`}, {"debit_balance", `d.balance - 5`}, {"credit_seq", `c.seq + 1`}, {"credit_balance", `c.balance + 5`},
		{"event_xid", `event_number(pg_current_xact_id())`}, {"event_id", `nextval('events_id_seq')`}, {"digest", `sha256('')`},
	}
	other := map[string]string{"rows": `1`, "credit": `$bob`, "at": `clock_timestamp()`}
	changed := map[string]string{}
	for i := 0; i < len(changes); i += 2 {
		changed[changes[i]] = changes[i+1]
	}
	maps.Copy(other, changed)
	var columns, expressions []string
	for _, v := range values {
		columns, expressions = append(columns, v[0]), append(expressions, cmp.Or(changed[v[0]], v[1]))
	}
	return `INSERT INTO transfers (` + strings.Join(columns, ", ") + `) SELECT ` + strings.Join(expressions, ", ") + `
		FROM accounts d CROSS JOIN accounts c CROSS JOIN LATERAL (SELECT ` + other["at"] + ` AS at OFFSET 0) t
		CROSS JOIN generate_series(1, ` + other["rows"] + `) n WHERE d.id = $alice AND c.id = ` + other["credit"]
}

// TestOwnPostingsAreAccepted: what TestDatabaseRefuses changes is accepted unchanged.
func TestOwnPostingsAreAccepted(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	names := h.oneOfEverything()
	app := testkit.Connect(t, h.db.AppURL)
	for _, sql := range []string{ownPostings(), ownPostings("rows", `2`, "debit_seq", `d.seq + n`, "credit_seq", `c.seq + n`)} {
		if err := execAll(app, "BEGIN; "+names.Replace(sql)+"; ROLLBACK"); err != nil {
			t.Error(err)
		}
	}
}

// newPayment would have the bank pay out money.
func newPayment(transfer string, amount int) string {
	return fmt.Sprintf(`INSERT INTO payments (transfer_id, direction, external_ref, amount, currency, next_at)
		VALUES (%s, 'withdrawal', 'x', %d, 'USD', now())`, transfer, amount)
}

// TestApplicationMayDoItsWork: the same role can do all that the ledger asks; or
// else the test above would prove little.
func TestApplicationMayDoItsWork(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.oneOfEverything()
	if err := h.SetStatus(t.Context(), h.user(5), ledger.Frozen); err != nil {
		t.Error(err)
	}
	h.books()
}
