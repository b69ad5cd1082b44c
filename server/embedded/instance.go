package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// pgPort is the default port. It is only a part of the socket's name: nothing listens on TCP.
const pgPort = 5432

const instanceName = "postgres.json"

// Instance names the socket of a running PostgreSQL.
type Instance struct {
	PID       int    `json:"pid"`
	SocketDir string `json:"socket_dir"`
	Port      int    `json:"port"`
	TempDir   bool   `json:"temp_dir,omitempty"` // SocketDir is removed when the server stops
}

// URL returns a connection string for pgx.
func (i Instance) URL(database, user string) string {
	query := url.Values{
		"host":    {i.SocketDir},
		"port":    {strconv.Itoa(i.Port)},
		"sslmode": {"disable"}, // otherwise pgx reads PGSSL* from the environment
	}
	// pgx reads a plus sign in a query as a plus sign, unlike in a form.
	escaped := strings.ReplaceAll(query.Encode(), "+", "%20")
	u := url.URL{Scheme: "postgres", User: url.User(user), Path: "/" + database, RawQuery: escaped}
	return u.String()
}

// Attach finds the PostgreSQL that runs on dir, started by this or another process; running is
// false if there is none. It takes no lock and does not affect the server.
func Attach(dir string) (instance Instance, running bool, err error) {
	instance, err = readInstance(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Instance{}, false, nil
	}
	if err != nil {
		return Instance{}, false, fmt.Errorf("read the address of PostgreSQL: %w", err)
	}
	if !alive(instance.PID) {
		return Instance{}, false, nil
	}
	conn, err := net.Dial("unix", filepath.Join(instance.SocketDir, fmt.Sprintf(".s.PGSQL.%d", instance.Port)))
	if errors.Is(err, fs.ErrPermission) {
		return Instance{}, false, fmt.Errorf("PostgreSQL runs on %s for another user: %w", dir, err)
	}
	if err != nil {
		return Instance{}, false, nil //nolint:nilerr // another process has the pid now
	}
	conn.Close()
	return instance, true, nil
}

func readInstance(dir string) (Instance, error) {
	var instance Instance
	text, err := os.ReadFile(filepath.Join(dir, instanceName))
	if err != nil {
		return instance, err
	}
	return instance, json.Unmarshal(text, &instance)
}

// writeInstance replaces the file atomically, for readers without the lock.
func writeInstance(dir string, instance Instance) error {
	text, err := json.Marshal(instance)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, instanceName)
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the address of PostgreSQL: %w", err)
	}
	return os.Rename(path+".new", path)
}

// forgetInstance removes the files of the last run.
func forgetInstance(dir string) {
	if old, err := readInstance(dir); err == nil {
		socketDir{Path: old.SocketDir, Temp: old.TempDir}.remove()
	}
	os.Remove(filepath.Join(dir, instanceName))
}
