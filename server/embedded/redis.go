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

// RedisConfig of a Redis server. The zero value is valid.
type RedisConfig struct {
	Dir            string   // for the socket and the log; a temporary directory when ""
	Bin            string   // redis-server; searched for on PATH when ""
	Args           []string // for redis-server, after those of this package
	ForceInProcess bool     // use miniredis even if redis-server is installed
}

// Redis is a running Redis: a child process, or miniredis in this process if redis-server is not
// installed. It keeps nothing on disk, since everything that must survive is in PostgreSQL.
type Redis struct {
	network, addr string
	child         *child // nil for miniredis
	mini          *miniredis.Miniredis
	done          chan struct{}
	lock          *DirLock
	socket        socketDir
	release       sync.Once
}

// StartRedis starts Redis and returns when it answers. ctx bounds the start, not the run of Redis.
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
		_ = r.Kill() // the error of the start is the cause
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	return r, nil
}

func (r *Redis) start(ctx context.Context, cfg RedisConfig, bin string) error {
	id, err := serviceUser()
	if err != nil {
		id = identity{} // Redis can run as root if there is no other user
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
	// The first argument is an option, so redis-server reads no configuration file.
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

// ping checks that Redis answers PING.
func (r *Redis) ping(ctx context.Context) error {
	answer, err := redisCommand(ctx, r.addr, "PING")
	if err == nil && answer != "+PONG" {
		err = fmt.Errorf("unexpected answer %q", answer)
	}
	return err
}

func redisCommand(ctx context.Context, socket, command string) (string, error) {
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

// stopOrphanRedis stops a server that outlived its parent; on Linux, it ends with its parent. The
// caller holds the lock, so no other process uses the server. The answer is a closed connection.
func stopOrphanRedis(socket string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, _ = redisCommand(ctx, socket, "SHUTDOWN NOSAVE")
}

// startMiniredis starts miniredis on a free loopback port.
func startMiniredis() (*Redis, error) {
	mini := miniredis.NewMiniRedis()
	if err := mini.Start(); err != nil {
		return nil, fmt.Errorf("start Redis in process: %w", err)
	}
	r := &Redis{network: "tcp", addr: mini.Addr(), mini: mini, done: make(chan struct{})}
	go r.advance(100 * time.Millisecond)
	return r, nil
}

// advance moves the clock of miniredis, which does not run by itself, so that keys expire. A key
// may expire up to one step too early, so the step is short.
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

// Network returns "unix" or "tcp", as the options of go-redis and asynq expect.
func (r *Redis) Network() string { return r.network }

// Addr returns the path of the socket or host:port; see [Redis.Network].
func (r *Redis) Addr() string { return r.addr }

// InProcess reports whether this is miniredis, whose data ends with the process.
func (r *Redis) InProcess() bool { return r.mini != nil }

// Pid returns the process id of redis-server, or 0 for miniredis.
func (r *Redis) Pid() int {
	if r.child == nil {
		return 0
	}
	return r.child.pid()
}

// Done returns a channel that is closed when Redis has ended for any reason.
func (r *Redis) Done() <-chan struct{} { return r.done }

// Stop ends Redis. It may be called again, and after Kill.
func (r *Redis) Stop(ctx context.Context) error {
	return r.end(ctx, step{syscall.SIGTERM, 5 * time.Second}, step{syscall.SIGKILL, 5 * time.Second})
}

// Kill ends Redis as a crash would, and returns when it has exited. A Redis that is started again
// with the same Dir has the same address.
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
