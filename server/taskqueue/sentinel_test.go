package taskqueue

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/internal/freeport"
	"github.com/JDevAman/kizo/internal/testkit"
)

// A client of the URL of a Sentinel uses the primary, and after a failover the new one.
func TestClientFollowsSentinel(t *testing.T) {
	t.Parallel()
	server, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	var ports [3]int // the primary, its replica, the Sentinel
	for i := range ports {
		ports[i], err = freeport.Reserve()
		testkit.Must(t, err)
	}
	dir := t.TempDir()
	begin := func(name, config string, args ...string) {
		t.Helper()
		path := filepath.Join(dir, name+".conf")
		config = "bind 127.0.0.1\ndir " + dir + "\nsave \"\"\n" + config
		testkit.Must(t, os.WriteFile(path, []byte(config), 0o600))
		cmd := exec.CommandContext(t.Context(), server, append([]string{path}, args...)...)
		testkit.Must(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Wait() }) // t.Context has ended
	}
	begin("primary", fmt.Sprintf("port %d\nrequirepass p1\nmasterauth p1\n", ports[0]))
	begin("replica", fmt.Sprintf("port %d\nrequirepass p1\nmasterauth p1\nreplicaof 127.0.0.1 %d\n", ports[1], ports[0]))
	direct := func(port int, password string) *redis.Client {
		c := redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", port), Password: password})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	primary, replica := direct(ports[0], "p1"), direct(ports[1], "p1")
	testkit.Eventually(t, "the replica replicates", func() bool {
		return primary.Set(t.Context(), "before", 1, 0).Err() == nil && replica.Get(t.Context(), "before").Err() == nil
	})
	begin("sentinel", fmt.Sprintf("port %d\nrequirepass p2\nsentinel monitor kizo 127.0.0.1 %d 1\nsentinel auth-pass kizo p1\n", ports[2], ports[0]), "--sentinel")

	to, err := ParseURL(fmt.Sprintf("redis+sentinel://:p1@127.0.0.1:1,127.0.0.1:%d/kizo/0?sentinel_password=p2", ports[2]))
	testkit.Must(t, err)
	client := NewRedis(to, QueueBounds)
	defer client.Close()
	testkit.Eventually(t, "the client writes to the primary", func() bool { return client.Set(t.Context(), "first", 1, 0).Err() == nil })
	testkit.Must(t, primary.Get(t.Context(), "first").Err())

	sentinel := direct(ports[2], "p2")
	testkit.Eventually(t, "the Sentinel begins a failover", func() bool { return sentinel.Do(t.Context(), "SENTINEL", "FAILOVER", "kizo").Err() == nil })
	testkit.Eventually(t, "the client writes to the new primary", func() bool {
		role, err := client.Do(t.Context(), "ROLE").Slice()
		return err == nil && role[0] == "master" && client.Set(t.Context(), "second", 1, 0).Err() == nil && replica.Get(t.Context(), "second").Err() == nil
	})
}
