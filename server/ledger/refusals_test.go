package ledger_test

import (
	"fmt"
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
// transfers.
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
		{"a transfer's accounts", noPrivilege, `UPDATE transfers SET debit_account = credit_account`, false},
		{"a transfer's fingerprint", noPrivilege, `UPDATE transfers SET fingerprint = sha256('')`, false},
		{"delete a transfer", noPrivilege, `DELETE FROM transfers`, false},
		{"delete an account", noPrivilege, `DELETE FROM accounts`, false},
		{"delete a payment", noPrivilege, `DELETE FROM payments`, false},
		{"another amount for the bank", noPrivilege, `UPDATE payments SET amount = amount + 1`, false},
		{"another reference for the bank", noPrivilege, `UPDATE payments SET external_ref = 'x'`, false},
		{"truncate the transfers", noPrivilege, `TRUNCATE transfers CASCADE`, false},
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
			FROM postings p WHERE a.id = $bob AND p.account_id = a.id AND p.seq = a.seq - 1`, false},
		{"an as-of that goes back", integrity, `UPDATE accounts SET as_of = as_of - interval '1 second' WHERE id = $alice`, false},
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
			($bob, 1000, '$posted', 10, 10, now()), ($alice, 1000, '$posted', -10, -10, now())`, false},
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
		{"the owner: delete a transfer", integrity, `DELETE FROM transfers`, true},
		{"the owner: delete an account", integrity, `DELETE FROM accounts`, true},
		{"the owner: delete a payment", integrity, `DELETE FROM payments`, true},
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
