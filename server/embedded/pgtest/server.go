package pgtest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/freeport"
	"github.com/JDevAman/kizo/server/embedded"
)

// SuperuserPassword is the password of the role postgres on a [Server].
const SuperuserPassword = "superuser-password"

// Server is a PostgreSQL for one test, set up like the server of an operator: it listens on a TCP
// port of 127.0.0.1, requires every role's password (scram-sha-256), has a superuser named
// postgres, and has none of Kizo's roles or databases.
type Server struct {
	*embedded.Postgres
	Dir  string // holds pgdata
	Port int    // on 127.0.0.1
}

// NewServer starts a server on a new directory. Port 0 means a free one.
func NewServer(t testing.TB, port int, options ...Option) *Server {
	t.Helper()
	return StartServer(t, TempDir(t), port, options...)
}

// StartServer starts a server on dir, which may hold a restored pgdata. The server stops when the
// test ends.
func StartServer(t testing.TB, dir string, port int, options ...Option) *Server {
	t.Helper()
	if port == 0 {
		port = FreePort(t)
	}
	// This server gets a file of its own, since a restored pgdata contains that of the old server.
	hba := filepath.Join(TempDir(t), "pg_hba.conf")
	const rules = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n"
	if err := os.WriteFile(hba, []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := embedded.PostgresConfig{Dir: dir, Settings: map[string]string{
		"listen_addresses": "127.0.0.1", "port": strconv.Itoa(port), "hba_file": hba,
		"password_encryption": "scram-sha-256", "max_connections": "60",
	}}
	for _, option := range options {
		option(&cfg)
	}
	pg, err := embedded.StartPostgres(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pg.Kill() }) // the data is deleted
	s := &Server{Postgres: pg, Dir: dir, Port: port}
	s.ensureSuperuser(t)
	return s
}

func (s *Server) ensureSuperuser(t testing.TB) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.SocketURL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	const ensure = `DO $$ BEGIN
		IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'postgres') THEN
			CREATE ROLE postgres SUPERUSER LOGIN REPLICATION PASSWORD '` + SuperuserPassword + `';
		END IF; END $$`
	if _, err := conn.Exec(t.Context(), ensure); err != nil {
		t.Fatal(err)
	}
}

// SocketURL returns the URL of the superuser through the unix socket, without a password.
func (s *Server) SocketURL(database string) string {
	return s.URL(database, embedded.AdminRole)
}

// RoleURL returns the URL of a role through TCP, with its password.
func (s *Server) RoleURL(database, role, password string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword(role, password), Path: "/" + database,
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)), RawQuery: "sslmode=disable",
	}).String()
}

// FreePort returns a port of 127.0.0.1 on which nothing listens, and that no other test gets.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := freeport.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Exec runs statements as the superuser.
func (s *Server) Exec(t testing.TB, database string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.SocketURL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(fmt.Errorf("%s: %w", statement, err))
		}
	}
}
