// Package deploy tests the files for operators: Prometheus rules, alerts and Grafana dashboards
// are checked against a running kizod.
//
//	rules.yml, alerts.yml, dashboards ─► every expression ─► parsed, and compared with /metrics
//	                                                    └──► evaluated by a real Prometheus
//	alerts.yml ─► promtool ─► each alert fires in one case and is silent in another
//
// The package contains nothing but tests. It may import any package of Kizo; no package may
// import it.
package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// prometheusOwn are the metrics that Prometheus adds, and one that kizod dev does not have, because
// it serves no TLS; TestTLS of package server checks that one.
var prometheusOwn = vocabulary{
	"kizo_tls_certificate_expiry_timestamp_seconds": {labelsOf("job", "instance"), false},

	"up":     {labelsOf("job", "instance"), false},
	"ALERTS": {labelsOf("alertname", "alertstate", "severity", "job", "instance"), false},
}

// rules are the parts of rules.yml and alerts.yml that the tests read.
type rules struct {
	Groups []struct {
		Rules []struct {
			Record, Alert, Expr string
			Annotations         map[string]string
		}
	}
}

func readRules(t *testing.T, name string) (r rules) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("prometheus", name))
	testkit.Must(t, err)
	testkit.Must(t, yaml.Unmarshal(text, &r))
	return r
}

// dashboard is the part of a dashboard that the tests read.
type dashboard struct {
	UID, Title string
	Templating struct {
		List []struct{ Query any }
	}
	Panels []struct {
		ID      int
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr, LegendFormat string }
	}
}

func readDashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	names, err := filepath.Glob("grafana/dashboards/*.json")
	testkit.Must(t, err)
	found := map[string]dashboard{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		testkit.Must(t, err)
		var d dashboard
		testkit.Must(t, json.Unmarshal(text, &d))
		found[filepath.Base(name)] = d
	}
	if len(found) < 5 {
		t.Fatalf("only %d dashboards", len(found))
	}
	return found
}

func TestDashboardsAndRulesNameWhatThereIs(t *testing.T) {
	t.Parallel()
	words := scraped(t, busyKizod(t).OpsURL())
	maps.Copy(words, prometheusOwn)

	for _, group := range readRules(t, "rules.yml").Groups {
		for _, rule := range group.Rules {
			result, err := words.check(rule.Expr)
			if err != nil {
				t.Errorf("rule %s: %v", rule.Record, err)
			}
			words[rule.Record] = metric{labels: result}
		}
	}
	for _, group := range readRules(t, "alerts.yml").Groups {
		for _, rule := range group.Rules {
			if _, err := words.check(rule.Expr); err != nil {
				t.Errorf("alert %s: %v", rule.Alert, err)
			}
		}
	}
	legend := regexp.MustCompile(`\{\{\s*(\w+)\s*}}`)
	for name, d := range readDashboards(t) {
		for _, panel := range d.Panels {
			for _, target := range panel.Targets {
				result, err := words.check(target.Expr)
				if err != nil {
					t.Errorf("%s, panel %q: %v", name, panel.Title, err)
				}
				for _, label := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
					if !result[label[1]] {
						t.Errorf("%s, panel %q: the legend names %s, the result has %v", name, panel.Title, label[1], slices.Sorted(maps.Keys(result)))
					}
				}
			}
		}
	}
}

// Every panel of a dashboard has an id of its own and overlaps no other panel.
func TestDashboardsAreWhole(t *testing.T) {
	t.Parallel()
	uids := map[string]string{}
	for name, d := range readDashboards(t) {
		if d.UID == "" || d.Title == "" || uids[d.UID] != "" {
			t.Errorf("%s: uid %q, title %q; the uid is also that of %q", name, d.UID, d.Title, uids[d.UID])
		}
		uids[d.UID] = name
		ids, taken := map[int]bool{}, map[[2]int]string{}
		for _, panel := range d.Panels {
			if ids[panel.ID] || len(panel.Targets) == 0 {
				t.Errorf("%s: panel %q has an id of another, or nothing to show", name, panel.Title)
			}
			ids[panel.ID] = true
			for x := panel.GridPos.X; x < panel.GridPos.X+panel.GridPos.W; x++ {
				for y := panel.GridPos.Y; y < panel.GridPos.Y+panel.GridPos.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" || x > 23 {
						t.Fatalf("%s: panel %q lies on %q, or outside", name, panel.Title, other)
					}
					taken[[2]int{x, y}] = panel.Title
				}
			}
		}
	}
}

// The checker finds the defect in each of these expressions.
func TestTheCheckerNotices(t *testing.T) {
	t.Parallel()
	words := vocabulary{
		"a_bucket": {labelsOf("le", "route", "instance"), true},
		"a_total":  {labelsOf("route", "instance"), true},
		"b":        {labelsOf("queue", "instance"), false},
	}
	for text, want := range map[string]string{
		`a_totals`:                           "no metric",
		`a_total{queue="bank"}`:              `no label "queue"`,
		`sum by (queue) (rate(a_total[5m]))`: `no label "queue"`,
		`rate(b[5m])`:                        "does not only grow",
		`histogram_quantile(0.9, sum by (route) (rate(a_bucket[5m])))`: "without le",
		`sum by (queue) (b) / on (route) sum by (route) (a_total)`:     `no label "route"`,
		`max(b) > scalar(c)`: "no metric",
		`sum(`:               "cannot parse",
	} {
		if _, err := words.check(text); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "unparsed", "cannot parse"), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	got, err := words.check(`histogram_quantile(0.9, sum by (route, le) (rate(a_bucket{instance=~"$instance"}[$__rate_interval])))`)
	if err != nil || !maps.Equal(got, labelsOf("route")) {
		t.Errorf("%v, %v", got, err)
	}
}

// kizod is a running kizod with a user's token for it.
type kizod struct {
	*server.Dev
	token string
}

// pay sends a cent to Bob.
func (k kizod) pay(t *testing.T) {
	t.Helper()
	ask(t, k.URL()+"/v1/transfers", k.token, map[string]any{"amount": 1, "currency": "USD", "to": "@bob"})
}

// busyKizod starts a kizod and makes it do each kind of work once, so that all its metrics exist.
func busyKizod(t *testing.T) kizod {
	t.Helper()
	dir := pgtest.TempDir(t)
	d, err := server.StartDev(t.Context(), server.DevConfig{Dir: dir, Version: "test"})
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, d.Close()) })
	const password = "correct horse battery staple"
	tokens := ask(t, d.URL()+"/v1/auth/signup", "", map[string]any{
		"email": "olga@example.com", "handle": "olga", "name": "Olga", "password": password,
	})
	token := tokens["access_token"].(string)
	ask(t, d.URL()+"/v1/auth/signup", "", map[string]any{"email": "bob@example.com", "handle": "bob", "name": "Bob", "password": password})
	ask(t, d.URL()+"/v1/deposits", token, map[string]any{"amount": 100_00, "currency": "USD"})
	k := kizod{d, token}
	k.pay(t)

	postgres, running, err := embedded.Attach(dir)
	if err != nil || !running {
		t.Fatalf("PostgreSQL runs: %v, %v", running, err)
	}
	conn, err := pgx.Connect(t.Context(), postgres.URL(server.Database, embedded.OwnerRole))
	testkit.Must(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), `UPDATE users SET role = 'operator' WHERE handle = 'olga'`)
	testkit.Must(t, err)
	tokens = ask(t, d.URL()+"/v1/auth/login", "", map[string]any{"login": "olga", "password": password})
	ask(t, d.URL()+"/v1/ops/audit", tokens["access_token"].(string), nil)
	ask(t, d.URL()+"/v1/ops/reconcile", tokens["access_token"].(string), nil)
	return k
}

// ask sends a POST request and waits for its effect.
func ask(t *testing.T, url, token string, body any) map[string]any {
	t.Helper()
	text, err := json.Marshal(body)
	testkit.Must(t, err)
	if body == nil {
		text = nil
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(text))
	testkit.Must(t, err)
	request.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}, "Prefer": {"wait=20"}, "Idempotency-Key": {uuid.NewString()}}
	answer, err := (&http.Client{Timeout: 40 * time.Second}).Do(request)
	testkit.Must(t, err)
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	testkit.Must(t, err)
	fields := map[string]any{}
	if err := json.Unmarshal(said, &fields); err != nil || answer.StatusCode > 299 {
		t.Fatalf("%s: %d %s", url, answer.StatusCode, said)
	}
	return fields
}

// scraped returns the metrics of /metrics, by their names in PromQL.
func scraped(t *testing.T, opsURL string) vocabulary {
	t.Helper()
	answer, err := http.Get(opsURL + "/metrics")
	testkit.Must(t, err)
	defer answer.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	testkit.Must(t, err)
	words := vocabulary{}
	for name, family := range families {
		have := labelsOf("job", "instance")
		for _, pair := range family.GetMetric()[0].GetLabel() {
			have[pair.GetName()] = true
		}
		switch family.GetType() {
		case dto.MetricType_HISTOGRAM, dto.MetricType_SUMMARY:
			words[name+"_count"], words[name+"_sum"] = metric{have, true}, metric{have, true}
			within := maps.Clone(have)
			within["le"] = true
			words[name+"_bucket"] = metric{within, true}
		default:
			words[name] = metric{have, family.GetType() == dto.MetricType_COUNTER}
		}
	}
	if len(words) < 50 {
		t.Fatalf("only a few metrics: %v", slices.Sorted(maps.Keys(words)))
	}
	return words
}
