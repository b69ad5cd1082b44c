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

	"github.com/JDevAman/kizo/server/embedded"
)

// SuperuserPassword is the password of the role postgres on a [Server].
const SuperuserPassword = "superuser-password"

// Server is a PostgreSQL of one test's own, set up as an operator's server is: it
// listens on a TCP port of 127.0.0.1, asks every role for its password
// (scram-sha-256), has a superuser named postgres, and has none of Kizo's roles or
// databases.
type Server struct {
	*embedded.Postgres
	Dir  string // pgdata is in it
	Port int    // on 127.0.0.1
}

// NewServer starts a server on a new directory. port 0 picks a free one.
func NewServer(t testing.TB, port int, options ...Option) *Server {
	t.Helper()
	return StartServer(t, TempDir(t), port, options...)
}

// StartServer starts a server on dir, which may hold a restored pgdata. It stops when
// the test ends.
func StartServer(t testing.TB, dir string, port int, options ...Option) *Server {
	t.Helper()
	if port == 0 {
		port = FreePort(t)
	}
	// The file is of this server alone: a restored pgdata has the one of its origin.
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
	t.Cleanup(func() { _ = pg.Kill() }) // the data is not read again
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

// SocketURL connects as the superuser by the unix socket, without a password.
func (s *Server) SocketURL(database string) string {
	return s.URL(database, embedded.AdminRole)
}

// RoleURL connects by TCP, as a role with its password.
func (s *Server) RoleURL(database, role, password string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword(role, password), Path: "/" + database,
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)), RawQuery: "sslmode=disable",
	}).String()
}

// FreePort is a port of 127.0.0.1 that is free now.
func FreePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
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
