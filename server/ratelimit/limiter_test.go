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
	l.timeout = 10 * time.Second // a machine that is busy does not make Redis go away
	return l
}

func value(t testing.TB, m prometheus.Metric) float64 {
	t.Helper()
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		t.Fatal(err)
	}
	return d.GetGauge().GetValue() + d.GetCounter().GetValue()
}

// eventually polls; it is for what another goroutine or process will do.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s in vain: %s", what)
		}
	}
}

// Two processes on one Redis, hammered: together they allow no more than the rule,
// whenever one looks, and not much less.
func TestTwoProcessesKeepOneRule(t *testing.T) {
	t.Parallel()
	server, rule := redistest.New(t), Rule{Rate: 500, Burst: 200}
	processes := []*Limiter{
		newLimiter(t, connect(t, server.Network(), server.Addr()), rule), newLimiter(t, connect(t, server.Network(), server.Addr()), rule),
	}
	id := uuid.New()
	var (
		allowed, refused atomic.Int64
		done             sync.WaitGroup
		began            = time.Now()
	)
	for i := range 8 {
		done.Go(func() {
			for time.Since(began) < time.Second {
				v := processes[i%2].User(t.Context(), id)
				if !v.Allowed {
					refused.Add(1)
					if v.RetryAfter <= 0 {
						t.Error("refused, and no time to come back")
					}
					continue
				}
				// What was allowed until now was granted before now.
				if n := allowed.Add(1); float64(n) > float64(rule.Burst)+time.Since(began).Seconds()*float64(rule.Rate)+1 {
					t.Errorf("%d after %v", n, time.Since(began))
				}
			}
		})
	}
	done.Wait()
	most := rule.Burst + int(time.Since(began).Seconds()*float64(rule.Rate))
	t.Logf("%d of %d allowed, %d refused", allowed.Load(), most, refused.Load())
	if refused.Load() == 0 || int(allowed.Load()) < rule.Burst {
		t.Errorf("%d allowed, %d refused", allowed.Load(), refused.Load())
	}
	if n := value(t, processes[0].metrics.limited.WithLabelValues("user")) + value(t, processes[1].metrics.limited.WithLabelValues("user")); int64(n) != refused.Load() {
		t.Errorf("%v refusals are counted, %d happened", n, refused.Load())
	}
	if v := processes[0].User(t.Context(), uuid.New()); !v.Allowed {
		t.Error("somebody else is refused as well")
	}
	if value(t, processes[0].metrics.local)+value(t, processes[1].metrics.local) != 0 {
		t.Error("Redis was taken to be away")
	}
}

// A permit in hand costs Redis nothing: ten requests, and less than ten questions.
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
	// A chunk is 100; one may be asked for while 50 are left. The script is loaded once.
	if n := asked.Load(); n < 10 || n > 25 {
		t.Errorf("Redis was asked %d times for 1000 requests", n)
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

// Redis dies: the same rule is kept here. It comes back: it is asked again.
func TestRedisDiesAndComesBack(t *testing.T) {
	t.Parallel()
	dir, rule := pgtest.TempDir(t), Rule{Rate: 1, Burst: 50} // so slow that nothing comes back meanwhile
	server := redistest.NewIn(t, dir)
	if server.InProcess() {
		t.Skip("needs redis-server, which can be killed and comes back at its address")
	}
	l := newLimiter(t, connect(t, server.Network(), server.Addr()), rule)
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
	if allowed < rule.Burst || allowed > rule.Burst+20 || value(t, l.metrics.local) != 1 {
		t.Errorf("without Redis %d of %d are allowed, gauge %v", allowed, rule.Burst, value(t, l.metrics.local))
	}
	redistest.NewIn(t, dir)
	eventually(t, "Redis is found again", func() bool {
		l.User(t.Context(), uuid.New())
		return value(t, l.metrics.local) == 0
	})
}

// A Redis that takes connections and says nothing is away as well. It is waited for
// by those who find that out, and by nobody after them.
func TestASilentRedis(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(pgtest.TempDir(t), "silent.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	l := newLimiter(t, connect(t, "unix", socket), Rule{Rate: 1, Burst: 5})
	l.timeout = redisTimeout
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
	if n := allowed.Load(); n < 5 || n > 20 || !l.redisDown.Load() { // one more each second
		t.Errorf("%d allowed, away: %v", n, l.redisDown.Load())
	}
	l.nextRetry.Store(time.Now().Add(time.Hour).UnixNano())
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 1000 { // would fail to ask, had they asked
		if v := l.User(gone, uuid.New()); !v.Allowed {
			t.Fatal("refused though it is somebody new")
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	same := [][2]string{{"192.0.2.1", "::ffff:192.0.2.1"}, {"2001:db8::1", "2001:db8::2:3:4:5"}, {"nonsense", ""}}
	for _, pair := range same {
		if addressKey(pair[0]) != addressKey(pair[1]) {
			t.Errorf("%s and %s are two", pair[0], pair[1])
		}
	}
	other := [][2]string{{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8:0:1::1"}, {"127.0.0.1", "nonsense"}}
	for _, pair := range other {
		if addressKey(pair[0]) == addressKey(pair[1]) {
			t.Errorf("%s and %s are one", pair[0], pair[1])
		}
	}
}

func TestZeroIsOff(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, connect(t, "unix", "/nonexistent/redis.sock"), Rule{})
	for range 10_000 {
		if !l.Address(t.Context(), "192.0.2.1").Allowed {
			t.Fatal("refused")
		}
	}
	if l.redisDown.Load() {
		t.Error("Redis was asked")
	}
}

// However many addresses there are, memory is bounded; and whoever keeps asking is
// not forgotten.
func TestTheTableIsBounded(t *testing.T) {
	t.Parallel()
	table, regular := newTable(), key{1}
	kept := table.get(regular)
	for i := range 4 * shards * perShard {
		table.get(key{2, byte(i), byte(i >> 8), byte(i >> 16), 15: byte(i)})
		if i%100 == 0 && table.get(regular) != kept {
			t.Fatal("the regular was forgotten")
		}
	}
	held := 0
	for i := range table.shards {
		held += len(table.shards[i].young) + len(table.shards[i].old)
	}
	if held > 2*shards*perShard {
		t.Errorf("%d leases are held", held)
	}
}

func BenchmarkPermitInHand(b *testing.B) {
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
