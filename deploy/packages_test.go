package deploy

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

var update = flag.Bool("update", false, "write package/files.golden")

// listers are the commands that list the files in an archive or package, by the end of its name.
var listers = map[string][]string{
	".tar.gz": {"tar", "-tzf"},
	".zip":    {"unzip", "-Z1"},
	".deb":    {"dpkg-deb", "--contents"},
	".rpm":    {"rpm", "-qplv", "--noglob"},
}

// TestPackageFiles compares what is in each archive and package with package/files.golden: names,
// and the modes in packages. Man pages count as one file for each section, since every command has
// one. make snapshot runs the test.
func TestPackageFiles(t *testing.T) {
	t.Parallel()
	dist := os.Getenv("KIZO_DIST")
	if dist == "" {
		t.Skip("SKIPPED: make snapshot builds the packages and runs this test")
	}
	text, err := os.ReadFile(filepath.Join(dist, "metadata.json"))
	testkit.Must(t, err)
	var metadata struct{ Version string }
	testkit.Must(t, json.Unmarshal(text, &metadata))
	golden := filepath.Join("package", "files.golden")
	known, err := os.ReadFile(golden)
	testkit.Must(t, err)
	names, err := filepath.Glob(filepath.Join(dist, "kizo*.*"))
	testkit.Must(t, err)
	var sections []string
	for _, name := range names {
		section := unversioned(filepath.Base(name), metadata.Version)
		lister := listers[kindOf(name)]
		if lister == nil {
			sections = append(sections, "== "+section+"\n")
			continue
		}
		if _, err := exec.LookPath(lister[0]); err != nil {
			t.Logf("SKIPPED: %s is not installed, and so %s is not checked", lister[0], section)
			sections = append(sections, sectionOf(string(known), section))
			continue
		}
		sections = append(sections, "== "+section+"\n"+strings.Join(list(t, lister, name), ""))
	}
	slices.Sort(sections)
	all := strings.Join(sections, "")
	if *update {
		testkit.Must(t, os.WriteFile(golden, []byte(all), 0o600))
		return
	}
	if all != string(known) {
		t.Errorf("the files are not those of %s; -update writes it:\n%s", golden, all)
	}
}

func kindOf(name string) string {
	for kind := range listers {
		if strings.HasSuffix(name, kind) {
			return kind
		}
	}
	return ""
}

// unversioned replaces the version in a name, as Debian and Fedora write it, too.
func unversioned(name, version string) string {
	for _, v := range []string{version, strings.Replace(version, "-", "~", 1)} {
		name = strings.Replace(name, v, "VERSION", 1)
	}
	return name
}

// sectionOf returns the part of the golden file about one archive.
func sectionOf(golden, name string) string {
	_, rest, found := strings.Cut(golden, "== "+name+"\n")
	if !found {
		return ""
	}
	body, _, _ := strings.Cut(rest, "== ")
	return "== " + name + "\n" + body
}

var (
	columns  = regexp.MustCompile(`^(\S+) .* (\S+)$`) // of a long list: the mode and the name
	manPages = regexp.MustCompile(`kizo[a-z0-9-]*\.([0-9])$`)
)

// list returns the sorted lines about the files in an archive or package.
func list(t *testing.T, lister []string, name string) (lines []string) {
	t.Helper()
	output, err := exec.Command(lister[0], append(lister[1:], name)...).Output()
	testkit.Must(t, err)
	for line := range bytes.Lines(output) {
		entry := strings.TrimSpace(string(line))
		if match := columns.FindStringSubmatch(entry); match != nil {
			entry = match[1] + " " + strings.TrimPrefix(match[2], ".")
		}
		if strings.HasPrefix(entry, "d") && !strings.Contains(entry, "/etc/kizo") || strings.HasSuffix(entry, "/") && entry[0] != 'd' {
			continue // a directory that other packages have, too
		}
		lines = append(lines, manPages.ReplaceAllString(entry, "kizo*.$1")+"\n")
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// systemd rates the units at most 2.0, where 0 is a service that can do nothing and 10 one that can
// do everything.
func TestUnitsAreSandboxed(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("SKIPPED: systemd is not installed")
	}
	for _, unit := range []string{"kizod.service", "kizod@.service"} {
		const tenthsAtMost = "20"
		output, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold="+tenthsAtMost, filepath.Join("package", "systemd", unit)).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", unit, err, output)
		}
	}
}
