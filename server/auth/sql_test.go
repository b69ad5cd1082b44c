package auth

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/JDevAman/kizo/internal/testkit"
)

// packageFiles parses this package without its tests.
func packageFiles(t *testing.T) []*ast.File {
	t.Helper()
	entries, err := os.ReadDir(".")
	testkit.Must(t, err)
	var files []*ast.File
	for _, entry := range entries {
		if name := entry.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			testkit.Must(t, err)
			files = append(files, file)
		}
	}
	return files
}

// constants returns the text constants of the package whose names have this prefix.
func constants(t *testing.T, prefix string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, file := range packageFiles(t) {
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, prefix) {
				return true
			}
			if text, ok := spec.Values[0].(*ast.BasicLit); ok && text.Kind == token.STRING {
				value, err := strconv.Unquote(text.Value)
				testkit.Must(t, err)
				found[spec.Names[0].Name] = value
			}
			return true
		})
	}
	return found
}

func TestStatementsFitTheSchema(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	conn := testkit.Connect(t, h.db.AppURL)
	if found := testkit.PrepareStatements(t, conn, nil); found < 20 {
		t.Fatalf("only %d statements found", found)
	}
}

func TestCodesListsEveryCode(t *testing.T) {
	t.Parallel()
	declared := constants(t, "Code")
	listed := map[string]bool{}
	for _, c := range Codes() {
		listed[string(c)] = true
	}
	testkit.Equal(t, "different codes in the list", len(listed), len(Codes()))
	testkit.Equal(t, "listed", len(listed), len(declared))
	for name, c := range declared {
		if !listed[c] {
			t.Errorf("%s is not in Codes()", name)
		}
	}
}

func TestForbiddenImports(t *testing.T) {
	t.Parallel()
	for _, file := range packageFiles(t) {
		for _, imported := range file.Imports {
			path, err := strconv.Unquote(imported.Path.Value)
			testkit.Must(t, err)
			for _, forbidden := range []string{"net/http", "gofiber", "asynq", "viper", "kizo/server/ledger", "kizo/server/api", "kizo/server/settle", "kizo/server/bank", "kizo/server/embedded", "kizo/tui", "kizo/client"} {
				if strings.Contains(path, forbidden) {
					t.Errorf("server/auth imports %s", path)
				}
			}
		}
	}
}

// TestDatabaseRefuses: the database refuses what the application's role may not do.
func TestDatabaseRefuses(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, user := h.signUp("alice")
	_, _, err := h.Refresh(t.Context(), tokens.RefreshToken, Client{})
	testkit.Must(t, err)
	testkit.Must(t, h.LogOut(t.Context(), tokens.SessionID))
	// Relative to the time of the database, since its clock decides what has expired.
	h.clock.Advance(time.Since(h.clock.Now()))
	open := h.logIn("alice")
	u, s, o := "'"+user.ID.String()+"'", "'"+tokens.SessionID.String()+"'", "'"+open.SessionID.String()+"'"
	newUser := func(column, value string) string {
		values := map[string]string{
			"id": "gen_random_uuid()", "email": "'x@example.com'", "handle": "'xx'", "name": "'X'", "name_key": "'x'",
			"password_hash": "'$argon2id$v=19$x'", "pepper_id": "'p1'", "created_at": "now()", "updated_at": "now()",
		}
		values[column] = value
		var names, all []string
		for name, v := range values {
			names, all = append(names, name), append(all, v)
		}
		return fmt.Sprintf("INSERT INTO users (%s) VALUES (%s)", strings.Join(names, ", "), strings.Join(all, ", "))
	}
	_, live := h.createKey(user.ID, "live")
	_, gone := h.createKey(user.ID, "gone")
	testkit.Must(t, h.RevokeAPIKey(t.Context(), user.ID, gone.ID, Client{}))
	waiting, err := h.BeginDeviceLogin(t.Context(), Client{})
	testkit.Must(t, err)
	h.decide(user, open.SessionID, waiting.UserCode, true)
	k, g := "'"+live.ID.String()+"'", "'"+gone.ID.String()+"'"
	for sql, state := range map[string]string{
		"DELETE FROM api_keys": "42501",
		"UPDATE api_keys SET user_id = gen_random_uuid() WHERE id = " + k:                                                                  "42501",
		"UPDATE api_keys SET scopes = '{ops:write}' WHERE id = " + k:                                                                       "42501",
		"UPDATE api_keys SET networks = '{}' WHERE id = " + k:                                                                              "42501",
		"UPDATE api_keys SET revoked_at = NULL WHERE id = " + g:                                                                            "23000",
		"UPDATE api_keys SET rotated_at = now() WHERE id = " + g:                                                                           "23000",
		"UPDATE api_key_secrets SET expires_at = expires_at + interval '1 second' WHERE key_id = " + k:                                     "23000",
		"UPDATE api_key_secrets SET key_id = " + k + " WHERE key_id = " + g:                                                                "42501",
		"UPDATE api_key_secrets SET secret_hash = sha256('x') WHERE key_id = " + k:                                                         "42501",
		"DELETE FROM api_key_secrets WHERE key_id = " + k:                                                                                  "23000",
		"INSERT INTO api_key_secrets (secret_hash, key_id, created_at, expires_at) VALUES (sha256('x'), " + k + ", now(), now() + '1d')":   "23505",
		"INSERT INTO api_key_secrets (secret_hash, key_id, created_at, expires_at) VALUES (sha256('x'), " + g + ", now(), now() + '1d')":   "23000",
		"INSERT INTO api_key_secrets (secret_hash, key_id, created_at, expires_at) VALUES (sha256('x'), " + k + ", now(), now() + '367d')": "23514",
		"INSERT INTO api_key_secrets (secret_hash, key_id, created_at, expires_at) VALUES ('x', " + k + ", now(), now() + '1d')":           "23514",
		"INSERT INTO api_keys (id, user_id, name, scopes, created_at) SELECT gen_random_uuid(), id, 'live', '{read}', now() FROM users":    "23505",
		"INSERT INTO api_keys (id, user_id, name, scopes, created_at) SELECT gen_random_uuid(), id, 'x', '{all}', now() FROM users":        "23514",
		"INSERT INTO api_keys (id, user_id, name, scopes, created_at) SELECT gen_random_uuid(), id, 'x', '{}', now() FROM users":           "23514",
		"INSERT INTO api_keys (id, user_id, name, scopes, created_at) SELECT gen_random_uuid(), id, 'x', '{read,NULL}', now() FROM users":  "23514",
		"INSERT INTO api_keys (id, user_id, name, scopes, created_at) SELECT gen_random_uuid(), id, E'x\n', '{read}', now() FROM users":    "23514",
		"DELETE FROM users WHERE id = " + u:                                            "42501",
		"TRUNCATE sessions CASCADE":                                                    "42501",
		"UPDATE users SET email = 'thief@example.com' WHERE id = " + u:                 "42501",
		"INSERT INTO former_handles SELECT 'thief', id, now() FROM users":              "42501",
		"UPDATE former_handles SET user_id = gen_random_uuid()":                        "42501",
		"DELETE FROM former_handles":                                                   "42501",
		"UPDATE device_logins SET decided_by = gen_random_uuid()":                      "23000",
		"UPDATE device_logins SET approved = false":                                    "23000",
		"UPDATE device_logins SET expires_at = 'infinity'":                             "42501",
		"UPDATE device_logins SET user_code_hash = sha256('x')":                        "42501",
		"UPDATE known_devices SET token_hash = sha256('x')":                            "42501",
		"UPDATE known_devices SET user_id = gen_random_uuid()":                         "42501",
		"UPDATE sessions SET user_id = gen_random_uuid() WHERE id = " + s:              "42501",
		"UPDATE sessions SET expires_at = 'infinity' WHERE id = " + s:                  "42501",
		"UPDATE refresh_tokens SET expires_at = 'infinity' WHERE session_id = " + s:    "42501",
		"ALTER TABLE users DISABLE TRIGGER ALL":                                        "42501",
		newUser("role", "'operator'"):                                                  "42501",
		newUser("status", "'active'"):                                                  "42501",
		"UPDATE sessions SET revoked_at = NULL, revoked_reason = NULL WHERE id = " + s: "23000",
		"UPDATE refresh_tokens SET used_at = NULL WHERE session_id = " + s:             "23000",
		"UPDATE users SET role = 'operator' WHERE id = " + u:                           "42501",
		"DELETE FROM access_version":                                                   "42501",
		"UPDATE access_changes SET subject_id = gen_random_uuid()":                     "42501",
		"DELETE FROM access_changes":                                                   "23000",
		"DELETE FROM sessions WHERE id = " + o:                                         "23000",
		"DELETE FROM refresh_tokens WHERE session_id = " + o:                           "23000",
		"UPDATE users SET password_hash = 'plain' WHERE id = " + u:                     "23514",
		"UPDATE users SET name = E'a\\x1b[2J' WHERE id = " + u:                         "23514",
		newUser("email", "'X@example.com'"):                                            "23514",
		newUser("email", "'x'"):                                                        "23514",
		newUser("handle", "'X'"):                                                       "23514",
		newUser("handle", "'xx'||chr(10)"):                                             "23514",
		newUser("handle", "'alice'"):                                                   "23505",
		newUser("email_verified_at", "now()"):                                          "42501",
		"UPDATE users SET email_verified_at = now() WHERE id = " + u:                   "42501",
		"INSERT INTO refresh_tokens (token_hash, session_id, issued_at, expires_at) SELECT sha256(id::text::bytea), id, now(), now() + '1d' FROM sessions": "23505",
	} {
		_, err := h.pool.Exec(t.Context(), sql)
		if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != state {
			t.Errorf("%s\n\tgot %v, want %s", sql, err, state)
		}
	}
	if _, err := h.pool.Exec(t.Context(), newUser("name", "'Y'")); err != nil {
		t.Errorf("an allowed statement: %v", err)
	}
	// Two verified users of one address are refused, and the application's role verifies none.
	twin, err := h.signUpWith("alice@example.com", "twin", goodPassword)
	testkit.Must(t, err)
	h.verify("alice")
	_, err = h.owner().pool.Exec(t.Context(), `UPDATE users SET email_verified_at = now() WHERE id = $1`, twin.ID)
	wantCode(t, taken(err), CodeEmailTaken)
}

// TestPlansReadIndexes: a generic plan, made without knowing the arguments, must read the indexes
// of a large table.
func TestPlansReadIndexes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	owner, err := pgx.Connect(t.Context(), h.db.AdminURL)
	testkit.Must(t, err)
	defer owner.Close(t.Context())
	_, err = owner.Exec(t.Context(), `
INSERT INTO users (id, email, handle, name, name_key, password_hash, pepper_id, created_at, updated_at)
SELECT gen_random_uuid(), 'u' || n || '@example.com', 'u' || n, 'N' || n, 'n' || n, '$argon2id$v=19$x', 'p1', now(), now()
  FROM generate_series(1, 20000) n;
INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at)
SELECT gen_random_uuid(), id, now(), now(), now() + '30d' FROM users;
INSERT INTO refresh_tokens (token_hash, session_id, issued_at, expires_at)
SELECT sha256(id::text::bytea), id, now(), now() + '30d' FROM sessions;
INSERT INTO login_throttle (key, failures_until, blocked_until)
SELECT sha256(id::text::bytea), now() + '1d', now() FROM sessions;
INSERT INTO api_keys (id, user_id, name, scopes, created_at)
SELECT gen_random_uuid(), id, 'k', '{read}', now() FROM users;
INSERT INTO api_key_secrets (secret_hash, key_id, created_at, expires_at)
SELECT sha256(id::text::bytea), id, now(), now() + '30d' FROM api_keys;
INSERT INTO known_addresses (user_id, address, used_at) SELECT user_id, sha256(id::text::bytea), now() FROM sessions;
INSERT INTO known_devices (user_id, token_hash, session_id, created_at, used_at) SELECT user_id, sha256(id::text::bytea), id, now(), now() FROM sessions;
INSERT INTO device_logins (id, device_code_hash, user_code_hash, address_key, client, address, created_at, expires_at)
SELECT id, sha256(id::text::bytea), sha256(id::text::bytea), sha256(id::text::bytea), '', '', now(), now() + '10min' FROM sessions;
ANALYZE known_addresses, known_devices, device_logins, users, sessions, refresh_tokens, login_throttle, api_keys, api_key_secrets;
SET plan_cache_mode = force_generic_plan`)
	testkit.Must(t, err)
	for name, c := range map[string]struct{ sql, args string }{
		"verify":  {sqlLookUpSessions, "ARRAY[gen_random_uuid(), gen_random_uuid()]"},
		"search":  {sqlSearchUsers, "'u77', 'u78', 10"},
		"login":   {sqlUserByHandle, "'', 'u77', NULL"},
		"login 2": {sqlUsersByHash, "'u77@example.com', '', NULL, '$argon2id$v=19$x', 'p1'"},
		"login 3": {sqlStaleUser, "'u77@example.com', '', NULL, '$argon2id$', 'p1'"},
		"known":   {sqlBeginKnownAttempt, "sha256('x'), now(), 60, 5, 15, 900, sha256('y'), 'u77@example.com', '', now()"},
		"failed":  {sqlCountFailure, "sha256('x'), now(), 60, 5, 15, 900, 'u77@example.com', '', 'c', 'a', sha256('y'), 60"},
		"find":    {sqlFindUsers, "ARRAY['u77@example.com'], ARRAY['u78', 'u79']"},
		"refresh": {sqlLockFamily, "'x'"},
		"list":    {sqlSessions, "gen_random_uuid(), now(), '14 days'"},
		"suspend": {sqlRevokeSessions, "gen_random_uuid(), now(), 'suspended'"},
		"prune":   {sqlPruneRefreshTokens, "now(), 10"},
		"prune 2": {sqlPruneSessions, "now(), 10"},
		"prune 3": {sqlPruneThrottle, "now(), 10"},
		"key":     {sqlLookUpAPIKeys, "ARRAY[sha256('x'), sha256('y')]"},
		"keys":    {sqlAPIKeys, "gen_random_uuid(), now(), 10"},
		"used":    {sqlNoteKeyUses, "ARRAY[gen_random_uuid()], ARRAY[now()], ARRAY[''], ARRAY[''], ARRAY['']"},
		"refused": {sqlRecordKeyRefusals, "ARRAY[gen_random_uuid()], ARRAY[now()], ARRAY[''], ARRAY[''], ARRAY['']"},
		"revoked": {sqlRevokeAPIKeys, "gen_random_uuid(), now(), 'x'"},
		"rotated": {sqlReplaceSecrets, "gen_random_uuid(), now(), now()"},
		"prune 4": {sqlPruneAPIKeySecrets, "now(), 10"},
		"device":  {sqlUseDevice, "gen_random_uuid(), sha256('x'), now(), gen_random_uuid(), now()"},
		"devices": {sqlAddDevice, "gen_random_uuid(), sha256('x'), now(), gen_random_uuid(), 19"},
		"poll":    {sqlLockDeviceLogin, "sha256('x')"},
		"code":    {sqlFindDeviceLogin, "ARRAY[sha256('x'), sha256('y')], now(), sha256('z'), gen_random_uuid()"},
		"decide":  {sqlDecideDeviceLogin, "gen_random_uuid(), ARRAY[sha256('x')], now(), true, gen_random_uuid(), gen_random_uuid()"},
		"expired": {sqlPruneDeviceLogins, "now(), 10"},
		"attempt": {sqlBeginAttempt, "sha256('x'), now(), 60, 5, 15, 900, sha256('y')"},
	} {
		_, err := owner.Exec(t.Context(), fmt.Sprintf("DEALLOCATE ALL; PREPARE it AS %s", c.sql))
		testkit.Must(t, err)
		rows, err := owner.Query(t.Context(), "EXPLAIN EXECUTE it("+c.args+")", pgx.QueryExecModeSimpleProtocol)
		testkit.Must(t, err)
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		testkit.Must(t, err)
		if text := strings.Join(plan, "\n"); strings.Contains(text, "Seq Scan") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}
