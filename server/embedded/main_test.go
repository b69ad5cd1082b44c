package embedded

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
)

// helperDir makes the test binary a process that runs both servers in a directory until it is
// killed.
const helperDir = "KIZO_EMBEDDED_HELPER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		helper(dir)
		return
	}
	m.Run()
}

func helper(dir string) {
	ctx := context.Background()
	pg, err := StartPostgres(ctx, PostgresConfig{Dir: dir})
	if err == nil {
		err = pg.EnsureDatabase(ctx, "kizo")
	}
	if err == nil {
		_, err = StartRedis(ctx, RedisConfig{Dir: dir})
	}
	fmt.Println("started:", err)
	io.Copy(io.Discard, os.Stdin) // until killed
}

// startHelper starts such a process, and returns when both servers answer.
func startHelper(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperDir+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	testkit.Must(t, err)
	stdout, err := cmd.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, cmd.Start())
	t.Cleanup(func() { stdin.Close(); cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.Contains(line, "started: <nil>") {
		t.Fatalf("helper: %q, %v", line, err)
	}
	return cmd
}

// tempDir is the same as pgtest.TempDir, which these tests cannot use: it imports this package.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kizo-embedded-")
	testkit.Must(t, err)
	testkit.Must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func start(t *testing.T, cfg PostgresConfig) *Postgres {
	t.Helper()
	began := time.Now()
	pg, err := StartPostgres(t.Context(), cfg)
	testkit.Must(t, err)
	t.Logf("start: %v", time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() { pg.Kill() })
	return pg
}

func query[T any](t *testing.T, url, sql string, args ...any) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	testkit.Must(t, err)
	defer conn.Close(context.Background())
	var answer T
	testkit.Must(t, conn.QueryRow(t.Context(), sql, args...).Scan(&answer))
	return answer
}

func exec1(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	testkit.Must(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), sql)
	testkit.Must(t, err)
}
