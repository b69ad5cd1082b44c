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

// pgPort names the socket, unless the setting port says otherwise: nothing listens on TCP.
const pgPort = 5432

const instanceName = "postgres.json"

// Instance is where a running PostgreSQL listens.
type Instance struct {
	PID       int    `json:"pid"`
	SocketDir string `json:"socket_dir"`
	Port      int    `json:"port"`
	TempDir   bool   `json:"temp_dir,omitempty"` // SocketDir is to be removed at stop
}

// URL is a connection string for pgx.
func (i Instance) URL(database, user string) string {
	query := url.Values{
		"host":    {i.SocketDir},
		"port":    {strconv.Itoa(i.Port)},
		"sslmode": {"disable"}, // or PGSSL* of the environment would be obeyed
	}
	// pgx reads a plus sign in a query as it stands, unlike forms do.
	escaped := strings.ReplaceAll(query.Encode(), "+", "%20")
	u := url.URL{Scheme: "postgres", User: url.User(user), Path: "/" + database, RawQuery: escaped}
	return u.String()
}

// Attach finds the PostgreSQL that runs on dir, started by this process or by
// another; running is false where there is none. It takes no lock and leaves
// the server alone.
func Attach(dir string) (instance Instance, running bool, err error) {
	instance, err = readInstance(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Instance{}, false, nil
	}
	if err != nil {
		return Instance{}, false, fmt.Errorf("read where PostgreSQL listens: %w", err)
	}
	if !alive(instance.PID) {
		return Instance{}, false, nil
	}
	conn, err := net.Dial("unix", filepath.Join(instance.SocketDir, fmt.Sprintf(".s.PGSQL.%d", instance.Port)))
	if errors.Is(err, fs.ErrPermission) {
		return Instance{}, false, fmt.Errorf("PostgreSQL runs on %s for another user: %w", dir, err)
	}
	if err != nil {
		return Instance{}, false, nil //nolint:nilerr // the pid is another's by now
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

// writeInstance replaces the file in one step, for readers without a lock.
func writeInstance(dir string, instance Instance) error {
	text, err := json.Marshal(instance)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, instanceName)
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("note where PostgreSQL listens: %w", err)
	}
	return os.Rename(path+".new", path)
}

// forgetInstance removes what a run left, ended well or not.
func forgetInstance(dir string) {
	if old, err := readInstance(dir); err == nil {
		socketDir{Path: old.SocketDir, Temp: old.TempDir}.remove()
	}
	os.Remove(filepath.Join(dir, instanceName))
}
