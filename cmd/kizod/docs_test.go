package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// codeBlock is a fenced block of a document.
type codeBlock struct{ language, text string }

var fence = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// codeBlocks returns the blocks below a heading of a document, up to the next heading of the same
// level.
func codeBlocks(t *testing.T, file, heading string) (blocks []codeBlock) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", file))
	testkit.Must(t, err)
	_, section, found := strings.Cut(string(text), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", file, heading)
	}
	level, _, _ := strings.Cut(heading, " ")
	section, _, _ = strings.Cut(section, "\n"+level+" ")
	for _, match := range fence.FindAllStringSubmatch(section, -1) {
		blocks = append(blocks, codeBlock{match[1], match[2]})
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no code below %q", file, heading)
	}
	return blocks
}

// shellBlocks returns the blocks that are shell scripts.
func shellBlocks(t *testing.T, file, heading string) (scripts []string) {
	t.Helper()
	for _, b := range codeBlocks(t, file, heading) {
		if b.language == "sh" {
			scripts = append(scripts, b.text)
		}
	}
	return scripts
}

// shell runs a script of a document and returns its output. It ends the test if the script fails.
func shell(t *testing.T, dir string, env []string, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-eu")
	cmd.Dir, cmd.Env, cmd.Stdin = dir, env, strings.NewReader(script)
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v\n%s", script, err, output)
	}
	return string(output)
}

// operatorEnv returns the environment of an operator: kizod and PostgreSQL's programs on the PATH,
// the address of the server, and a file with the passwords.
func operatorEnv(t *testing.T, pg *pgtest.Server, passwords map[string]string) []string {
	t.Helper()
	passFile := filepath.Join(t.TempDir(), "pgpass")
	var lines strings.Builder
	for role, password := range passwords {
		lines.WriteString("*:*:*:" + role + ":" + password + "\n")
	}
	testkit.Must(t, os.WriteFile(passFile, []byte(lines.String()), 0o600))
	return []string{
		"PATH=" + strings.Join([]string{filepath.Dir(kizod), pg.BinDir(), os.Getenv("PATH")}, ":"),
		"HOME=" + t.TempDir(), "PGPASSFILE=" + passFile, "PGHOST=127.0.0.1", "PGPORT=" + itoa(pg.Port),
	}
}

// needsPrograms skips a test if a program is not installed.
func needsPrograms(t *testing.T, pg *pgtest.Server, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(filepath.Join(pg.BinDir(), name)); err == nil {
			continue
		}
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("SKIPPED: %s is not installed", name)
		}
	}
}
