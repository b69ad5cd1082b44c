package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
)

const redisSocket = "redis.sock"

// RedisConfig says how Redis runs. The zero value will do.
type RedisConfig struct {
	Dir            string   // for the socket and the log; empty: a temporary place
	Bin            string   // redis-server; empty: found on PATH
	Args           []string // for redis-server, after our own
	ForceInProcess bool     // miniredis even if redis-server is installed
}

// Redis is a running Redis: a child, or where none is installed, miniredis in
// this process. It keeps nothing on disk: Kizo's truth is in PostgreSQL.
type Redis struct {
	network, addr string
	child         *child // nil in process
	mini          *miniredis.Miniredis
	done          chan struct{}
	lock          *DirLock
	socket        socketDir
	release       sync.Once
}

// StartRedis returns when Redis answers. ctx bounds the start, not the server.
func StartRedis(ctx context.Context, cfg RedisConfig) (*Redis, error) {
	bin := cfg.Bin
	if bin == "" && !cfg.ForceInProcess {
		var err error
		if bin, err = exec.LookPath("redis-server"); err != nil && !errors.Is(err, exec.ErrNotFound) {
			return nil, fmt.Errorf("find redis-server: %w", err)
		}
	}
	if cfg.ForceInProcess || bin == "" {
		return startMiniredis()
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r := &Redis{network: "unix"}
	if err := r.start(ctx, cfg, bin); err != nil {
		_ = r.Kill() // the start's error says more
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	return r, nil
}

func (r *Redis) start(ctx context.Context, cfg RedisConfig, bin string) error {
	id, err := serviceUser()
	if err != nil {
		id = identity{} // unlike postgres, Redis runs as root where it must
	}
	dir := ""
	if cfg.Dir != "" {
		if dir, err = filepath.Abs(cfg.Dir); err != nil {
			return err
		}
		if err := prepareDir(dir, id); err != nil {
			return err
		}
		if r.lock, err = lockFile(dir, "redis.lock"); err != nil {
			return err
		}
		stopOrphanRedis(filepath.Join(dir, "redis.run", redisSocket))
	}
	if r.socket, err = makeSocketDir(dir, "redis.run", redisSocket, id); err != nil {
		return err
	}
	r.addr = filepath.Join(r.socket.Path, redisSocket)
	logPath := filepath.Join(r.socket.Path, "redis.log") // of this run only
	logFile, _, err := openLog(logPath)
	if err != nil {
		return err
	}
	defer logFile.Close()
	// A first argument that is an option means: no configuration file.
	args := []string{"--port", "0", "--unixsocket", r.addr, "--unixsocketperm", "700",
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--supervised", "no",
		"--dir", r.socket.Path, "--logfile", ""}
	cmd := exec.Command(bin, append(args, cfg.Args...)...)
	cmd.Dir = r.socket.Path
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if r.child, err = startChild(cmd, id, syscall.SIGKILL); err != nil { // nothing to save
		return err
	}
	r.done = r.child.done
	return r.child.ready(ctx, r.ping, func() string { return tail(logPath, 0) })
}

// ping speaks just enough of the protocol to know that Redis serves.
func (r *Redis) ping(ctx context.Context) error {
	answer, err := redisSay(ctx, r.addr, "PING")
	if err == nil && answer != "+PONG" {
		err = fmt.Errorf("unexpected answer %q", answer)
	}
	return err
}

func redisSay(ctx context.Context, socket, command string) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}

// stopOrphanRedis ends a server that outlived its parent (not on Linux, where
// it dies with it). The lock is held, so nobody uses it; it answers by closing.
func stopOrphanRedis(socket string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, _ = redisSay(ctx, socket, "SHUTDOWN NOSAVE")
}

// startMiniredis serves on a free loopback port.
func startMiniredis() (*Redis, error) {
	mini := miniredis.NewMiniRedis()
	if err := mini.Start(); err != nil {
		return nil, fmt.Errorf("start Redis in process: %w", err)
	}
	r := &Redis{network: "tcp", addr: mini.Addr(), mini: mini, done: make(chan struct{})}
	go r.advance(100 * time.Millisecond)
	return r, nil
}

// advance lets keys expire: miniredis' own clock stands still. Its step is how
// much too early a key may go, so it is short.
func (r *Redis) advance(step time.Duration) {
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case now := <-ticker.C:
			r.mini.FastForward(now.Sub(last))
			last = now
		case <-r.done:
			return
		}
	}
}

// Network is "unix" or "tcp", Addr the socket's path or host:port, as the
// options of go-redis and asynq want them.
func (r *Redis) Network() string { return r.network }

// Addr: see [Redis.Network].
func (r *Redis) Addr() string { return r.addr }

// InProcess says that this is miniredis: what it holds ends with the process.
func (r *Redis) InProcess() bool { return r.mini != nil }

// Pid is the process id of redis-server, or 0 in process.
func (r *Redis) Pid() int {
	if r.child == nil {
		return 0
	}
	return r.child.pid()
}

// Done is closed when Redis has ended, told to or not.
func (r *Redis) Done() <-chan struct{} { return r.done }

// Stop ends Redis. Safe to call again, and after Kill.
func (r *Redis) Stop(ctx context.Context) error {
	return r.end(ctx, step{syscall.SIGTERM, 5 * time.Second}, step{syscall.SIGKILL, 5 * time.Second})
}

// Kill ends Redis as a crash would, and returns when it is gone. Started again
// with the same Dir it has the same address.
func (r *Redis) Kill() error {
	return r.end(context.Background(), step{syscall.SIGKILL, 5 * time.Second})
}

func (r *Redis) end(ctx context.Context, steps ...step) error {
	var err error
	if r.child != nil {
		err = r.child.end(ctx, steps...)
	}
	r.release.Do(func() {
		if r.mini != nil {
			close(r.done)
			r.mini.Close()
		}
		if r.socket.Path != "" {
			os.RemoveAll(r.socket.Path)
		}
		if r.lock != nil {
			err = errors.Join(err, r.lock.Unlock())
		}
	})
	return err
}
