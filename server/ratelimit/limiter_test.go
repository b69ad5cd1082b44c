package ratelimit

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/embedded/redistest"
)

func connect(t testing.TB, network, address string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Network: network, Addr: address, ContextTimeoutEnabled: true, MaxRetries: -1})
	t.Cleanup(func() { client.Close() })
	return client
}

func newLimiter(t testing.TB, client *redis.Client, rule Rule) *Limiter {
	t.Helper()
	l := New(Config{Redis: client, User: rule, Address: rule, Metrics: NewMetrics()})
	l.timeout = time.Minute // on a busy machine, too, Redis is up
	return l
}

// testClock does not move unless a test advances it.
type testClock struct{ nanoseconds atomic.Int64 }

func newTestClock() *testClock {
	c := &testClock{}
	c.nanoseconds.Store(time.Now().UnixNano())
	return c
}

func (c *testClock) Now() time.Time          { return time.Unix(0, c.nanoseconds.Load()) }
func (c *testClock) Advance(d time.Duration) { c.nanoseconds.Add(int64(d)) }

func value(t testing.TB, m prometheus.Metric) float64 {
	t.Helper()
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		t.Fatal(err)
	}
	return d.GetGauge().GetValue() + d.GetCounter().GetValue()
}

// Two processes that share one Redis, under many requests: at no time have they allowed
// more than the rule, and they allow as much.
func TestTwoProcessesShareOneLimit(t *testing.T) {
	t.Parallel()
	server, rule := redistest.New(t), Rule{Rate: 10, Burst: 200}
	processes := []*Limiter{
		newLimiter(t, connect(t, server.Network(), server.Addr()), rule), newLimiter(t, connect(t, server.Network(), server.Addr()), rule),
	}
	id := uuid.New()
	var (
		allowed, refused atomic.Int64
		done             sync.WaitGroup
		began            = time.Now()
		enough           = int64(rule.Burst + rule.Rate) // more than the burst: some permits came back
	)
	for i := range 8 {
		done.Go(func() {
			for allowed.Load() < enough || refused.Load() == 0 {
				d := processes[i%2].User(t.Context(), id)
				if !d.Allowed {
					refused.Add(1)
					if d.RetryAfter <= 0 {
						t.Error("refused without RetryAfter")
					}
					continue
				}
				// What was allowed until now was granted before now.
				if n := allowed.Add(1); float64(n) > float64(rule.Burst)+time.Since(began).Seconds()*float64(rule.Rate)+1 {
					t.Errorf("%d allowed after %v", n, time.Since(began))
				}
			}
		})
	}
	done.Wait()
	if n := value(t, processes[0].metrics.limited.WithLabelValues("user")) + value(t, processes[1].metrics.limited.WithLabelValues("user")); int64(n) != refused.Load() {
		t.Errorf("%v refusals are counted, %d happened", n, refused.Load())
	}
	if d := processes[0].User(t.Context(), uuid.New()); !d.Allowed {
		t.Error("another user is refused as well")
	}
	if value(t, processes[0].metrics.local)+value(t, processes[1].metrics.local) != 0 {
		t.Error("a process took Redis to be down")
	}
}

// Most requests spend a leased permit, without a request to Redis.
func TestPermitsAreLeasedInChunks(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	client := connect(t, server.Network(), server.Addr())
	var asked atomic.Int64
	client.AddHook(counting{&asked})
	l, id := newLimiter(t, client, Rule{Rate: 1000, Burst: 1000}), uuid.New()
	for range 1000 {
		if v := l.User(t.Context(), id); !v.Allowed {
			t.Fatal("refused within the burst")
		}
	}
	// A chunk is 100; the next one is requested while 50 are left. The script is loaded once.
	if n := asked.Load(); n < 10 || n > 25 {
		t.Errorf("%d requests to Redis for 1000 requests of a user", n)
	}
}

type counting struct{ n *atomic.Int64 }

func (c counting) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c counting) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if name := cmd.Name(); name == "evalsha" || name == "eval" {
			c.n.Add(1)
		}
		return next(ctx, cmd)
	}
}
func (c counting) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// While Redis is down, a process applies the rule alone; when Redis is up again, it is used.
func TestLimitWhileRedisIsDown(t *testing.T) {
	t.Parallel()
	dir, rule := pgtest.TempDir(t), Rule{Rate: 1, Burst: 50}
	server := redistest.NewIn(t, dir)
	if server.InProcess() {
		t.Skip("needs redis-server, which can be killed and restarted at its address")
	}
	l, clock := newLimiter(t, connect(t, server.Network(), server.Addr()), rule), newTestClock()
	l.now = clock.Now
	if v := l.User(t.Context(), uuid.New()); !v.Allowed || value(t, l.metrics.local) != 0 {
		t.Fatalf("with Redis: %+v", v)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	id, allowed := uuid.New(), 0
	for range 3 * rule.Burst {
		if l.User(t.Context(), id).Allowed {
			allowed++
		}
	}
	if allowed != rule.Burst || value(t, l.metrics.local) != 1 {
		t.Errorf("without Redis %d of %d are allowed, gauge %v", allowed, rule.Burst, value(t, l.metrics.local))
	}
	redistest.NewIn(t, dir)
	testkit.Eventually(t, "Redis is used again", func() bool {
		clock.Advance(retryRedisEvery)
		l.User(t.Context(), uuid.New())
		return value(t, l.metrics.local) == 0
	})
}

// A Redis that accepts connections and never responds counts as down. Only the first
// callers wait for it.
func TestRedisThatDoesNotRespond(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(pgtest.TempDir(t), "silent.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	l := newLimiter(t, connect(t, "unix", socket), Rule{Rate: 1, Burst: 5})
	l.timeout, l.now = redisTimeout, newTestClock().Now
	var allowed atomic.Int64
	var done sync.WaitGroup
	id := uuid.New()
	for range 100 {
		done.Go(func() {
			if l.User(t.Context(), id).Allowed {
				allowed.Add(1)
			}
		})
	}
	done.Wait()
	if n := allowed.Load(); n != 5 || !l.redisDown.Load() {
		t.Errorf("%d allowed, Redis is down: %v", n, l.redisDown.Load())
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for range 1000 { // a request to Redis would fail
		if v := l.User(canceled, uuid.New()); !v.Allowed {
			t.Fatal("the first request of a user is refused")
		}
	}
}

func TestAddressKey(t *testing.T) {
	t.Parallel()
	same := [][2]string{{"192.0.2.1", "::ffff:192.0.2.1"}, {"2001:db8::1", "2001:db8::2:3:4:5"}, {"nonsense", ""}}
	for _, pair := range same {
		if addressKey(pair[0]) != addressKey(pair[1]) {
			t.Errorf("%s and %s have different keys", pair[0], pair[1])
		}
	}
	other := [][2]string{{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8:0:1::1"}, {"127.0.0.1", "nonsense"}}
	for _, pair := range other {
		if addressKey(pair[0]) == addressKey(pair[1]) {
			t.Errorf("%s and %s have the same key", pair[0], pair[1])
		}
	}
}

func TestRateOfZeroDisablesTheLimit(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, connect(t, "unix", "/nonexistent/redis.sock"), Rule{})
	for range 10_000 {
		if !l.Address(t.Context(), "192.0.2.1").Allowed {
			t.Fatal("refused")
		}
	}
	if l.redisDown.Load() {
		t.Error("Redis was used")
	}
}

// The table stays bounded for any number of keys, and does not evict a key that is in use.
func TestTableIsBounded(t *testing.T) {
	t.Parallel()
	table, used := newTable(), key{1}
	want := table.get(used)
	for i := range 4 * shards * perShard {
		table.get(key{2, byte(i), byte(i >> 8), byte(i >> 16), 15: byte(i)})
		if i%100 == 0 && table.get(used) != want {
			t.Fatal("a key in use was evicted")
		}
	}
	leases := 0
	for i := range table.shards {
		leases += len(table.shards[i].young) + len(table.shards[i].old)
	}
	if leases > 2*shards*perShard {
		t.Errorf("the table has %d leases", leases)
	}
}

func BenchmarkLeasedPermit(b *testing.B) {
	server := redistest.New(b)
	l, id := newLimiter(b, connect(b, server.Network(), server.Addr()), Rule{Rate: 1e6, Burst: 2e6}), uuid.New()
	b.ReportAllocs()
	for b.Loop() {
		l.User(b.Context(), id)
	}
}

func BenchmarkRefused(b *testing.B) {
	server := redistest.New(b)
	l, id := newLimiter(b, connect(b, server.Network(), server.Addr()), Rule{Rate: 1, Burst: 1}), uuid.New()
	b.ReportAllocs()
	for b.Loop() {
		l.User(b.Context(), id)
	}
}
