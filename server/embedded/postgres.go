package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	dataName   = "pgdata"
	logName    = "postgres.log"
	maxLogSize = 10 << 20 // bytes; checked at start

	// startLimit bounds a start whose context has no deadline. Recovery after
	// a crash of a busy server is what takes long.
	startLimit = 2 * time.Minute
)

// PostgresConfig says where and how PostgreSQL runs. Only Dir is required.
type PostgresConfig struct {
	Dir    string // holds pgdata, the log, the socket; made if missing
	BinDir string // where postgres and initdb are; empty: find them

	// Lock is Dir's lock, if the caller holds it already. It stays the
	// caller's. Without it StartPostgres locks Dir until Stop or Kill.
	Lock *DirLock

	// Settings are parameters of postgresql.conf and go before our own. The
	// defaults are fully durable.
	Settings map[string]string

	Log *slog.Logger // what this package does; the server has a file; nil: nothing
}

// Postgres is a running PostgreSQL server and its data directory.
type Postgres struct {
	Instance
	dir     string
	binDir  string
	child   *child
	lock    *DirLock // nil if it is the caller's
	release sync.Once
}

// StartPostgres starts the server on cfg.Dir, makes a cluster there if there is
// none, and returns when it answers. ctx bounds the start, not the server.
//
// Errors to expect: [InUseError], [NotFoundError], [VersionError],
// [UnreachableError].
func StartPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil || cfg.Dir == "" {
		return nil, errors.New("start PostgreSQL: no directory given")
	}
	cfg.Dir = dir
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	id, err := serviceUser()
	if err != nil {
		return nil, err
	}
	if owner, ok := ownerOf(filepath.Join(dir, dataName)); ok {
		id = owner
	}
	if err := prepareDir(dir, id); err != nil {
		return nil, err
	}
	p := &Postgres{dir: dir}
	if cfg.Lock == nil {
		if p.lock, err = Lock(dir); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := p.start(ctx, cfg, id); err != nil {
		_ = p.Kill() // the start's error says more
		return nil, err
	}
	return p, nil
}

func (p *Postgres) start(ctx context.Context, cfg PostgresConfig, id identity) error {
	data := filepath.Join(p.dir, dataName)
	major, err := dataVersion(data)
	if err != nil {
		return err
	}
	inst, err := findPostgres(ctx, cfg.BinDir, data, major)
	if err != nil {
		return err
	}
	p.binDir = inst.BinDir
	if err := stopOrphans(ctx, data, cfg.Log); err != nil {
		return err
	}
	forgetInstance(p.dir)
	removeHalfMade(p.dir)
	if major == 0 {
		cfg.Log.Info("making a PostgreSQL cluster", "version", inst.Major, "data", data)
		if err := initdb(ctx, inst, p.dir, id); err != nil {
			return err
		}
	} else if _, owned := ownerOf(data); id.drop && !owned {
		// Data of root, restored from a backup perhaps: postgres wants its own.
		if err := id.own(data); err != nil {
			return fmt.Errorf("give the data to %s: %w", id.name, err)
		}
	}
	port := pgPort
	if other, err := strconv.Atoi(cfg.Settings["port"]); err == nil {
		port = other
	}
	socket, err := makeSocketDir(p.dir, "pg.run", fmt.Sprintf(".s.PGSQL.%d.lock", port), id)
	if err != nil {
		return err
	}
	p.Instance = Instance{SocketDir: socket.Path, TempDir: socket.Temp, Port: port}
	return p.launch(ctx, inst, cfg, id)
}

func (p *Postgres) launch(ctx context.Context, inst Installation, cfg PostgresConfig, id identity) error {
	logFile, offset, err := openLog(p.LogPath())
	if err != nil {
		return err
	}
	defer logFile.Close() // the child has its own
	data := filepath.Join(p.dir, dataName)
	cmd := exec.Command(inst.postgres(), append([]string{"-D", data}, p.arguments(cfg.Settings)...)...)
	cmd.Dir = data
	cmd.Stdout, cmd.Stderr = logFile, logFile
	// SIGINT is the fast shutdown: also when this process is killed, the data
	// is closed in good order.
	p.child, err = startChild(cmd, id, syscall.SIGINT, staleEnvironment(data)...)
	if err != nil {
		return err
	}
	p.PID = p.child.pid()
	if err := writeInstance(p.dir, p.Instance); err != nil {
		return err
	}
	return p.child.ready(ctx, p.ping, func() string { return tail(p.LogPath(), offset) })
}

// staleEnvironment tells postgres that the pid in a stale postmaster.pid is no
// server's: after a reboot, or in a container, a stranger may have that number,
// and postgres would refuse to start. It is how pg_ctl tells it to ignore the
// shell; the check of shared memory for live backends remains.
func staleEnvironment(dataDir string) []string {
	if pid := postmasterPID(dataDir); pid > 0 {
		return []string{fmt.Sprintf("PG_GRANDPARENT_PID=%d", pid)}
	}
	return nil
}

// arguments are -c name=value, in order of name.
func (p *Postgres) arguments(override map[string]string) []string {
	settings := map[string]string{
		"listen_addresses":        "",
		"unix_socket_directories": `"` + strings.ReplaceAll(p.SocketDir, `"`, `""`) + `"`,
		"unix_socket_permissions": "0700",
		"port":                    fmt.Sprint(p.Port),
		"max_connections":         "200",
		"shared_buffers":          sharedBuffers(),
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"log_line_prefix":         "%m [%p] %q%u@%d ",
		"logging_collector":       "off", // or the log would go elsewhere
		"cluster_name":            "kizo",
	}
	maps.Copy(settings, override)
	var args []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

func (p *Postgres) ping(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres", AdminRole))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// openLog opens the server's log for appending; a large one is put aside first.
// offset is where this run's lines begin.
func openLog(path string) (file *os.File, offset int64, err error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogSize {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, 0, fmt.Errorf("put the old log aside: %w", err)
		}
	}
	file, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("open the log: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// LogPath is the server's log.
func (p *Postgres) LogPath() string { return filepath.Join(p.dir, logName) }

// BinDir is the directory of the server's programs.
func (p *Postgres) BinDir() string { return p.binDir }

// Pid is the process id of the postmaster.
func (p *Postgres) Pid() int { return p.PID }

// Done is closed when the server has exited, told to or not.
func (p *Postgres) Done() <-chan struct{} { return p.child.done }

// Stop shuts the server down: open transactions are rolled back, the data is
// closed in good order. When ctx ends first, it is stopped at once and
// recovers at the next start. Safe to call again, and after Kill.
func (p *Postgres) Stop(ctx context.Context) error {
	return p.end(ctx, step{syscall.SIGINT, time.Minute}, step{syscall.SIGQUIT, 7 * time.Second}, step{syscall.SIGKILL, 5 * time.Second})
}

// Kill stops the server as a crash would: nothing is written any more, and the
// next start replays the log. It returns when the server is gone.
func (p *Postgres) Kill() error {
	return p.end(context.Background(), step{syscall.SIGQUIT, 7 * time.Second}, step{syscall.SIGKILL, 5 * time.Second})
}

func (p *Postgres) end(ctx context.Context, steps ...step) error {
	var err error
	if p.child != nil {
		err = p.child.end(ctx, steps...)
	}
	p.release.Do(func() {
		if p.Instance != (Instance{}) {
			forgetInstance(p.dir)
			socketDir{Path: p.SocketDir, Temp: p.TempDir}.remove()
		}
		if p.lock != nil {
			err = errors.Join(err, p.lock.Unlock())
		}
	})
	return err
}
