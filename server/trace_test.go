package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hibiken/asynq"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/internal/trace"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/embedded/redistest"
)

// recordingBank is the mock bank, and records the trace of each request about a payment.
type recordingBank struct {
	url, journal string

	mu       sync.Mutex
	requests []trace.Context
}

func newRecordingBank(t *testing.T) *recordingBank {
	t.Helper()
	b := &recordingBank{journal: filepath.Join(t.TempDir(), "bank.jsonl")}
	bank, err := sim.New(sim.Config{Journal: b.journal, Open: true})
	testkit.Must(t, err)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/payments") {
			named, _ := trace.Parse(r.Header.Get("traceparent"))
			b.mu.Lock()
			b.requests = append(b.requests, named)
			b.mu.Unlock()
		}
		bank.Handler().ServeHTTP(w, r)
	}))
	b.url = web.URL
	t.Cleanup(func() {
		web.Close()
		testkit.Must(t, bank.Close())
	})
	return b
}

// wantTrace checks the traces of all requests about payments: at least two, Submit and the Status
// that confirms it, with different spans.
func (b *recordingBank) wantTrace(t *testing.T, traceID string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	spans := map[trace.Context]bool{}
	for _, named := range b.requests {
		if named.TraceID() != traceID {
			t.Errorf("the bank got trace %q, want %s", named, traceID)
		}
		spans[named] = true
	}
	if len(spans) < 2 || len(spans) != len(b.requests) {
		t.Errorf("%d requests, %d different spans", len(b.requests), len(spans))
	}
}

// A trace goes from the shell that runs kizo to the bank, through a kizod that only accepts the
// request and another that only settles: the payment's row carries it between the two.
func TestTraceFromShellToBank(t *testing.T) {
	t.Parallel()
	kizo := filepath.Join(t.TempDir(), "kizo")
	if out, err := exec.Command("go", "build", "-o", kizo, "../cmd/kizo").CombinedOutput(); err != nil {
		t.Fatalf("build kizo: %v\n%s", err, out)
	}
	for role, withRedis := range map[server.Role]bool{server.RoleWorker: true, server.RoleJanitor: false} {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			bank := newRecordingBank(t)
			accepting := config(t, pgtest.New(t).AppURL)
			accepting.BankURL = bank.url
			if withRedis {
				redis := redistest.New(t)
				accepting.Redis = asynq.RedisClientOpt{Network: redis.Network(), Addr: redis.Addr()}
			}
			settling := accepting
			settling.Roles = []server.Role{role}
			api := start(t, accepting)
			alice := signUp(t, api.URL(), "alice")

			const traceID = "0af7651916cd43dd8448eb211c80319c"
			run := func(args ...string) string {
				t.Helper()
				command := exec.Command(kizo, args...)
				home := t.TempDir()
				command.Env = []string{"HOME=" + home, "KIZO_SERVER=" + api.URL(), "KIZO_TOKEN=" + alice.token,
					"TRACEPARENT=00-" + traceID + "-b7ad6b7169203331-01"}
				var stderr strings.Builder
				command.Stderr = &stderr
				out, err := command.Output()
				if err != nil {
					t.Fatalf("kizo %s: %v\n%s", args, err, &stderr)
				}
				return string(out) + stderr.String()
			}
			output := run("deposit", "100", "--wait=0", "--json=id", "--verbose")
			testkit.Contains(t, output, "trace: "+traceID)
			var deposit struct{ ID string }
			testkit.Must(t, json.NewDecoder(strings.NewReader(output)).Decode(&deposit))

			start(t, settling)
			testkit.Eventually(t, "the deposit is settled", func() bool {
				a, err := send(http.MethodGet, api.URL()+"/v1/transfers/"+deposit.ID, alice.token, "", nil, nil)
				return err == nil && a.field("state") == "posted"
			})
			bank.wantTrace(t, traceID)
			entries, err := sim.ReadJournal(bank.journal)
			if err != nil || len(entries) != 1 || entries[0].TraceID != traceID {
				t.Errorf("the bank's journal: %+v, %v", entries, err)
			}
			testkit.Contains(t, run("explain", deposit.ID), "trace\t"+traceID)
			testkit.Contains(t, run("explain", deposit.ID, "--json"), fmt.Sprintf(`"trace_id":%q`, traceID))
		})
	}
}

// A request continues the trace of its traceparent only if that is valid and the only one.
func TestTraceOfARequest(t *testing.T) {
	t.Parallel()
	s := start(t, config(t, pgtest.New(t).AppURL))
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	for name, test := range map[string]struct {
		sent []string
		kept bool
	}{
		"good":       {[]string{"00-" + traceID + "-00f067aa0ba902b7-01"}, true},
		"upper case": {[]string{"00-" + strings.ToUpper(traceID) + "-00f067aa0ba902b7-01"}, false},
		"too long":   {[]string{"00-" + traceID + "-00f067aa0ba902b7-01-x"}, false},
		"two":        {[]string{"00-" + traceID + "-00f067aa0ba902b7-01", "00-" + traceID + "-00f067aa0ba902b7-01"}, false},
		"none":       {nil, false},
	} {
		a, err := send(http.MethodGet, s.URL()+"/v1/me", "", "", nil, http.Header{"Traceparent": test.sent})
		testkit.Must(t, err)
		got, _ := a.field("trace_id").(string)
		if (got == traceID) != test.kept || len(got) != 32 {
			t.Errorf("%s: the problem has the trace %q", name, got)
		}
	}
}
