package embedded

import (
	"cmp"
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
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	dataName   = "pgdata"
	logName    = "postgres.log"
	maxLogSize = 10 << 20 // bytes; checked at start

	// startTimeout bounds a start whose context has no deadline. It is long enough for the recovery
	// after a crash of a busy server.
	startTimeout = 2 * time.Minute
)

// PostgresConfig of a PostgreSQL server. Only Dir is required.
type PostgresConfig struct {
	Dir    string // holds pgdata, the log and the socket; made if it does not exist
	BinDir string // holds postgres and initdb; searched for when ""

	// Lock is the lock of Dir, if the caller holds it already; the caller unlocks it. If it is
	// nil, StartPostgres locks Dir until Stop or Kill.
	Lock *DirLock

	// Settings are parameters of postgresql.conf. They override those of this package, which are
	// fully durable.
	Settings map[string]string

	// StartTimeout bounds a start whose context has no deadline; two minutes if it is 0.
	StartTimeout time.Duration

	Log *slog.Logger // of this package; the server logs to a file; no logging when nil
}

// Postgres is a running PostgreSQL server and its data directory.
type Postgres struct {
	Instance
	dir     string
	binDir  string
	child   *child
	lock    *DirLock // nil if the caller holds the lock
	release sync.Once
}

// StartPostgres starts the server on cfg.Dir, makes a cluster there if there is none, and returns
// when the server answers. ctx bounds the start, not the run of the server.
//
// The error may be an [InUseError], [NotFoundError], [VersionError] or [UnreachableError].
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
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(cfg.StartTimeout, startTimeout))
	defer cancel()
	if err := p.start(ctx, cfg, id); err != nil {
		_ = p.Kill() // the error of the start is the cause
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
	removeIncomplete(p.dir)
	if major == 0 {
		cfg.Log.Info("making a PostgreSQL cluster", "version", inst.Major, "data", data)
		if err := initdb(ctx, inst, p.dir, id); err != nil {
			return err
		}
	} else if _, owned := ownerOf(data); id.drop && !owned {
		// The data belongs to root, perhaps after a restore; postgres requires that its user owns
		// it.
		if err := id.own(data); err != nil {
			return fmt.Errorf("make %s the owner of the data: %w", id.name, err)
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
	defer logFile.Close() // the child has a descriptor of its own
	data := filepath.Join(p.dir, dataName)
	cmd := exec.Command(inst.postgres(), append([]string{"-D", data}, p.arguments(cfg.Settings)...)...)
	cmd.Dir = data
	cmd.Stdout, cmd.Stderr = logFile, logFile
	// SIGINT is a fast shutdown, so that a killed parent does not cause a recovery.
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

// staleEnvironment makes postgres ignore the pid in a stale postmaster.pid. After a reboot, or in a
// container, an unrelated process may have that pid, and postgres would refuse to start. pg_ctl
// uses the same variable for the shell that runs it. postgres still checks the shared memory for
// live backends.
func staleEnvironment(dataDir string) []string {
	if pid := postmasterPID(dataDir); pid > 0 {
		return []string{fmt.Sprintf("PG_GRANDPARENT_PID=%d", pid)}
	}
	return nil
}

// arguments returns -c name=value for each setting, sorted by name.
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
		"logging_collector":       "off", // otherwise the server logs to files of its own
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
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok && refusal.Code == "28000" {
		return nil // restored data does not have the role; the server answers
	}
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// openLog opens the log of a server for appending, and renames a large one first. offset is where
// the lines of this run begin.
func openLog(path string) (file *os.File, offset int64, err error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogSize {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, 0, fmt.Errorf("rename the old log: %w", err)
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

// LogPath returns the path of the server's log.
func (p *Postgres) LogPath() string { return filepath.Join(p.dir, logName) }

// BinDir returns the directory of the server's programs.
func (p *Postgres) BinDir() string { return p.binDir }

// Pid returns the process id of the postmaster.
func (p *Postgres) Pid() int { return p.PID }

// Done returns a channel that is closed when the server has exited for any reason.
func (p *Postgres) Done() <-chan struct{} { return p.child.done }

// Stop shuts the server down: open transactions are rolled back, and the next start needs no
// recovery. If ctx ends first, the server is stopped at once, and the next start recovers. Stop may
// be called again, and after Kill.
func (p *Postgres) Stop(ctx context.Context) error {
	return p.end(ctx, step{syscall.SIGINT, time.Minute}, step{syscall.SIGQUIT, 7 * time.Second}, step{syscall.SIGKILL, 5 * time.Second})
}

// Kill stops the server as a crash would: it writes nothing more, and the next start replays the
// log. Kill returns when the server has exited.
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
