package deploy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/JDevAman/kizo/internal/testkit"
)

// tool returns the path of prometheus or promtool, from this machine or from fetch.sh. If there is
// none the test is skipped; with CI=true it fails.
func tool(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	path, err := filepath.Abs(filepath.Join("..", "bin", "tools", "prometheus", name))
	testkit.Must(t, err)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("there is no %s: make prometheus says why", name)
	}
	t.Skipf("there is no %s on this machine: make prometheus says why", name)
	return ""
}

func TestPromtoolAgrees(t *testing.T) {
	t.Parallel()
	promtool := tool(t, "promtool")
	for _, args := range [][]string{
		{"check", "config", "prometheus/prometheus.yml"},
		{"check", "rules", "prometheus/rules.yml", "prometheus/alerts.yml"},
		{"test", "rules", "prometheus/alerts_test.yml"},
	} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// Each alert has a description and first steps, fires in one case and is silent in another.
func TestEachAlertIsTested(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("prometheus/alerts_test.yml")
	testkit.Must(t, err)
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	testkit.Must(t, yaml.Unmarshal(text, &file))
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, one := range test.AlertRuleTest {
			if len(one.ExpAlerts) > 0 {
				fires[one.Alertname] = true
			} else {
				silent[one.Alertname] = true
			}
		}
	}
	alerts := 0
	for _, group := range readRules(t, "alerts.yml").Groups {
		for _, rule := range group.Rules {
			alerts++
			if !fires[rule.Alert] || !silent[rule.Alert] {
				t.Errorf("%s fires in a case: %v, is silent in one: %v", rule.Alert, fires[rule.Alert], silent[rule.Alert])
			}
			for _, part := range []string{"summary", "meaning", "first"} {
				if rule.Annotations[part] == "" {
					t.Errorf("%s has no %s", rule.Alert, part)
				}
			}
		}
	}
	if alerts < 10 {
		t.Errorf("only %d alerts were read", alerts)
	}
}

// A Prometheus with the shipped configuration, except for the target and the intervals, finds that
// kizod is up, computes percentiles from its metrics, and accepts every expression of every
// dashboard.
func TestPrometheusScrapesKizod(t *testing.T) {
	t.Parallel()
	binary := tool(t, "prometheus")
	kizod := busyKizod(t)
	p := &prometheus{t: t, url: startPrometheus(t, binary, strings.TrimPrefix(kizod.OpsURL(), "http://"))}

	p.eventually(`up{job="kizo"}`, func(v float64) bool { return v == 1 })
	p.eventually(`kizo_build_info{version="test"}`, func(v float64) bool { return v == 1 })
	aNumber := func(v float64) bool {
		kizod.pay(t)
		return v > 0 // false for NaN
	}
	p.eventually(`kizo:payment_seconds:p99_5m`, aNumber)
	p.eventually(`kizo:commit_seconds:p99_5m`, aNumber)
	p.eventually(`route:kizo_http_request_seconds:p99_5m{route="/v1/transfers"}`, aNumber)
	p.eventually(`kizo:http_errors:ratio_5m`, func(v float64) bool { return v == 0 })

	for name, d := range readDashboards(t) {
		for _, panel := range d.Panels {
			for _, target := range panel.Targets {
				expr := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(target.Expr)
				if _, err := p.query(expr); err != nil {
					t.Errorf("%s, panel %q: %v", name, panel.Title, err)
				}
			}
		}
	}
}

// startPrometheus starts a Prometheus that scrapes target every 200 ms, and returns its URL.
func startPrometheus(t *testing.T, binary, target string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"prometheus.yml", "rules.yml", "alerts.yml"} {
		text, err := os.ReadFile(filepath.Join("prometheus", name))
		testkit.Must(t, err)
		quick := strings.NewReplacer("127.0.0.1:7421", target, "interval: 15s", "interval: 200ms", "interval: 5s", "interval: 200ms",
			"scrape_timeout: 4s", "scrape_timeout: 200ms").Replace(string(text))
		if name == "prometheus.yml" && (!strings.Contains(quick, target) || !strings.Contains(quick, "scrape_interval: 200ms")) {
			t.Fatalf("%s is not what this test takes it for:\n%s", name, quick)
		}
		testkit.Must(t, os.WriteFile(filepath.Join(dir, name), []byte(quick), 0o600))
	}
	command := exec.CommandContext(t.Context(), binary, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")
	stderr, err := command.StderrPipe()
	testkit.Must(t, err)
	testkit.Must(t, command.Start())
	listening, ended := make(chan string, 1), make(chan string, 1)
	go func() {
		address := regexp.MustCompile(`msg="Listening on" address=(\S+)`)
		var log strings.Builder
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(&log, lines.Text())
			if found := address.FindStringSubmatch(lines.Text()); found != nil {
				listening <- found[1]
			}
		}
		_ = command.Wait()
		ended <- log.String()
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-ended
	})
	select {
	case address := <-listening:
		return "http://" + address
	case log := <-ended:
		ended <- log
		t.Fatalf("Prometheus has ended:\n%s", log)
	case <-time.After(30 * time.Second):
		t.Fatal("waited 30 s in vain: Prometheus listens")
	}
	return ""
}

// prometheus answers queries.
type prometheus struct {
	t   *testing.T
	url string
}

// query returns the first value of an expression, or NaN if it has none.
func (p *prometheus) query(expr string) (float64, error) {
	answer, err := http.Get(p.url + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	var said struct {
		Status, Error string
		Data          struct {
			ResultType string
			Result     []struct{ Value [2]any }
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		return 0, err
	}
	if said.Status != "success" {
		return 0, fmt.Errorf("%s: %s", expr, said.Error)
	}
	if len(said.Data.Result) == 0 {
		return math.NaN(), nil
	}
	text, _ := said.Data.Result[0].Value[1].(string)
	return strconv.ParseFloat(text, 64)
}

func (p *prometheus) eventually(expr string, ok func(float64) bool) {
	p.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		value, err := p.query(expr)
		if err == nil && ok(value) {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s was not reached within 60 s: %v, %v", expr, value, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
