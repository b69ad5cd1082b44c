package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/loadtest/rig"
)

const (
	clusterScript = "deploy/ha/cluster.sh" // in the directory of the repository
	hosts         = 3
	clusterWithin = 90 * time.Second // until a host that was lost is a standby again
)

// cluster is the PostgreSQL and the Redis of deploy/ha. Its processes are not children of this one,
// and end when it is removed.
type cluster struct {
	dir         string
	synchronous bool
	port        int // the first one
}

func startCluster(ctx context.Context, dir string, synchronous bool) (*cluster, error) {
	c := &cluster{dir: dir, synchronous: synchronous, port: freePorts(ctx)}
	if err := c.run(ctx, "start"); err != nil {
		return c, err
	}
	return c, c.await(ctx)
}

// freePorts returns the first of as many ports as a cluster needs, below those of other tests
// (internal/freeport).
func freePorts(ctx context.Context) int {
	const from, to, count = 10_000, 20_000, 60
	for range 100 {
		first := from + rand.IntN(to-from-count) //nolint:gosec // not a secret
		free := true
		for port := first; port < first+count && free; port++ {
			listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			if free = err == nil; free {
				_ = listener.Close()
			}
		}
		if free {
			return first
		}
	}
	return from // the script fails
}

// run runs the script of the cluster.
func (c *cluster) run(ctx context.Context, command string, names ...string) error {
	cmd := exec.CommandContext(ctx, clusterScript, append([]string{command, c.dir}, names...)...) //nolint:gosec // our own script
	if cmd.Env = append(os.Environ(), "KIZO_HA_PORT="+strconv.Itoa(c.port)); !c.synchronous {
		cmd.Env = append(cmd.Env, "KIZO_HA_SYNCHRONOUS=off")
	}
	// A file, since the processes that the script starts would keep a pipe open.
	log, err := os.OpenFile(c.dir+".log", os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of the cluster: %w", err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s %v: %w\n%s", clusterScript, command, names, err, rig.Tail(log.Name()))
	}
	return nil
}

// setting returns a value of a configuration file that the script has written.
func (c *cluster) setting(file, name string) string {
	for line := range strings.Lines(contents(filepath.Join(c.dir, file))) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " = "); ok && key == name {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// adminURL is the URL of the superuser, for the host that accepts writes.
func (c *cluster) adminURL() string {
	u, err := url.Parse(c.setting("kizod.toml", "database_url"))
	if err != nil {
		return ""
	}
	u.User = url.UserPassword("postgres", contents(filepath.Join(c.dir, "secrets", "superuser-password")))
	return u.String()
}

// member is what Patroni says about the PostgreSQL of a host.
type member struct {
	Name, Role, State string
	Lag               any // of a standby, in bytes, or "unknown"
}

func (m member) replicates() bool {
	lag, known := m.Lag.(float64)
	return (m.State == "running" || m.State == "streaming") && known && lag == 0
}

// members asks any Patroni that answers.
func (c *cluster) members(ctx context.Context) ([]member, error) {
	var failures error
	for n := 1; n <= hosts; n++ {
		members, err := c.membersOf(ctx, c.port+30+n)
		if err == nil {
			return members, nil
		}
		failures = errors.Join(failures, err)
	}
	return nil, failures
}

func (c *cluster) membersOf(ctx context.Context, port int) ([]member, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/cluster", port), http.NoBody) //nolint:gosec // our own Patroni
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request) //nolint:gosec // our own Patroni
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var answer struct{ Members []member }
	return answer.Members, json.NewDecoder(response.Body).Decode(&answer)
}

// await waits until there is a primary and both standbys have everything, so that another failover
// is possible. With a synchronous standby, Patroni has chosen one.
func (c *cluster) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clusterWithin)
	defer cancel()
	var members []member
	err := rig.Poll(ctx, 200*time.Millisecond, func() (bool, error) {
		members, _ = c.members(ctx)
		leaders, standbys, synchronous := 0, 0, 0
		for _, m := range members {
			switch {
			case m.Role == "leader" && m.State == "running":
				leaders++
			case m.replicates():
				standbys++
			}
			if m.Role == "sync_standby" {
				synchronous++
			}
		}
		return leaders == 1 && standbys == hosts-1 && (synchronous > 0 || !c.synchronous), nil
	})
	if err != nil {
		return fmt.Errorf("wait until both standbys replicate: %w: %+v", err, members)
	}
	return nil
}

// primary returns the number of the host with the primary.
func (c *cluster) primary(ctx context.Context) (host int, err error) {
	members, err := c.members(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask for the primary: %w", err)
	}
	for _, m := range members {
		if m.Role == "leader" {
			return strconv.Atoi(strings.TrimPrefix(m.Name, "postgres"))
		}
	}
	return 0, errors.New("there is no primary")
}

// stopReplication stops the processes of the primary that send its log to the standbys. A commit on
// the primary then waits for the synchronous standby, or is on the primary alone.
func (c *cluster) stopReplication(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.adminURL())
	if err != nil {
		return fmt.Errorf("look for the replication: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, `SELECT pid FROM pg_stat_replication`)
	if err != nil {
		return fmt.Errorf("look for the replication: %w", err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return fmt.Errorf("look for the replication: %w", err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return fmt.Errorf("stop the replication: %w", err)
		}
	}
	return nil
}

// sentinel returns a client of the Sentinel of a host.
func (c *cluster) sentinel(host int) *redis.SentinelClient {
	u, _ := url.Parse(c.setting("kizod.toml", "redis_url"))
	return redis.NewSentinelClient(&redis.Options{
		Addr: fmt.Sprintf("127.0.0.1:%d", c.port+50+host), Password: u.Query().Get("sentinel_password"),
	})
}

// redisPrimary returns the number of the host with the primary Redis, if all Sentinels name the
// same one, and know its two replicas.
func (c *cluster) redisPrimary(ctx context.Context) (host int, agreed bool) {
	for n := 1; n <= hosts; n++ {
		client := c.sentinel(n)
		info, err := client.Master(ctx, "kizo").Result()
		replicas, replicasErr := client.Replicas(ctx, "kizo").Result()
		_ = client.Close()
		if err != nil || replicasErr != nil || info["flags"] != "master" || len(replicas) != hosts-1 {
			return 0, false
		}
		for _, r := range replicas {
			if r["flags"] != "slave" || r["master-link-status"] != "ok" {
				return 0, false
			}
		}
		port, _ := strconv.Atoi(info["port"])
		if at := port - c.port - 40; n > 1 && at != host {
			return 0, false
		} else {
			host = at
		}
	}
	return host, true
}

// awaitRedis waits until another failover of Redis is possible, and returns the primary.
func (c *cluster) awaitRedis(ctx context.Context) (host int, err error) {
	ctx, cancel := context.WithTimeout(ctx, clusterWithin)
	defer cancel()
	err = rig.Poll(ctx, 200*time.Millisecond, func() (agreed bool, _ error) {
		host, agreed = c.redisPrimary(ctx)
		return agreed, nil
	})
	if err != nil {
		return 0, fmt.Errorf("wait until the Sentinels agree on a primary with two replicas: %w", err)
	}
	return host, nil
}

// remove ends the processes of the cluster and deletes its files.
func (c *cluster) remove(keep bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*startWithin)
	defer cancel()
	if keep {
		return c.run(ctx, "stop")
	}
	return c.run(ctx, "remove")
}
