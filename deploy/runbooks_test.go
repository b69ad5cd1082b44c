package deploy

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

// docs/runbooks.md has a section with steps for each alert, which the alert names, and none for an
// alert that there is not. Its links lead to sections.
func TestEachAlertHasARunbook(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/runbooks.md")
	testkit.Must(t, err)
	sections := map[string]string{}
	for section := range strings.SplitSeq(string(text), "\n### ") {
		name, steps, _ := strings.Cut(section, "\n")
		sections[name] = steps
	}
	alerts := map[string]bool{}
	for _, group := range readRules(t, "alerts.yml").Groups {
		for _, rule := range group.Rules {
			alerts[rule.Alert] = true
			steps, found := sections[rule.Alert]
			if !found || !strings.Contains(steps, "\n1. ") || !strings.Contains(steps, ". Over: ") {
				t.Errorf("docs/runbooks.md has no steps for %s, from the cause to the end", rule.Alert)
			}
			if want := "docs/runbooks.md#" + strings.ToLower(rule.Alert); rule.Annotations["runbook"] != want {
				t.Errorf("%s names the runbook %q, want %q", rule.Alert, rule.Annotations["runbook"], want)
			}
		}
	}
	if len(alerts) < 30 {
		t.Fatalf("there are %d alerts", len(alerts))
	}
	for name := range sections {
		if strings.HasPrefix(name, "Kizo") && !alerts[name] {
			t.Errorf("docs/runbooks.md has a section for %s, which is no alert", name)
		}
	}
	lower := map[string]bool{}
	for name := range alerts {
		lower[strings.ToLower(name)] = true
	}
	for _, link := range regexp.MustCompile(`\]\(#(\w+)\)`).FindAllStringSubmatch(string(text), -1) {
		if !lower[link[1]] {
			t.Errorf("docs/runbooks.md links to #%s, which is no section", link[1])
		}
	}
}
