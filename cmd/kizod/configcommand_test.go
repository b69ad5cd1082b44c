package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

// The packages install the sample that this kizod prints. If this fails, run
//
//	go run ./cmd/kizod config print --sample >deploy/package/kizod.toml
func TestSampleOfThePackages(t *testing.T) {
	t.Parallel()
	installed, err := os.ReadFile("../../deploy/package/kizod.toml")
	testkit.Must(t, err)
	if code, output := run(t, nil, "config", "print", "--sample"); code != 0 || output != string(installed) {
		t.Errorf("exit %d; deploy/package/kizod.toml is not what kizod config print --sample prints:\n%s", code, output)
	}
}

// Each value in the sample is valid, and each one that is no example is the default.
func TestSampleIsValid(t *testing.T) {
	t.Parallel()
	_, sample := run(t, nil, "config", "print", "--sample")
	file := filepath.Join(t.TempDir(), "kizod.toml")
	all := regexp.MustCompile(`(?m)^#(\w+ = )`).ReplaceAllString(sample, "$1")
	testkit.Must(t, os.WriteFile(file, []byte(all), 0o600))
	code, output := run(t, []string{"KIZO_SECRETS_FILE=" + newSecrets(t)}, "config", "check", "--config", file, "--tls-cert", "", "--tls-key", "")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, output)
	}
	defaults := regexp.MustCompile(`(?m)^#.*\(example\)\n#\w+ = .*\n`).ReplaceAllString(sample, "")
	defaults = regexp.MustCompile(`(?m)^#(\w+ = )`).ReplaceAllString(defaults, "$1")
	_, printed := run(t, nil, "config", "print")
	for line := range strings.Lines(defaults) {
		if line[0] != '#' && line != "\n" && !strings.Contains("\n"+printed, "\n"+line) {
			t.Errorf("%q of the sample is not a default", line)
		}
	}
}

func TestConfigPrintShowsOrigins(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "kizod.toml")
	testkit.Must(t, os.WriteFile(file, []byte("currency = \"EUR\"\nlog_level = \"warn\"\nlisten = \"127.0.0.1:1\"\nlog_format = \"\\\"\\u001b[31m\"\n"), 0o600))
	env := []string{
		"KIZO_LOG_LEVEL=debug", "KIZO_LISTEN=127.0.0.1:2", "KIZO_DATABASE_URL=postgres://kizo_app:" + canary + "@127.0.0.1/kizo",
		"KIZO_BANK_TOKEN=" + canary,
	}
	code, output := run(t, env, "config", "print", "--show-origin", "--config", file, "--listen", "127.0.0.1:3")
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	testkit.Contains(t, output, "# from --listen\nlisten = \"127.0.0.1:3\"\n", "# from $KIZO_LOG_LEVEL\nlog_level = \"debug\"\n",
		"# from "+file+"\ncurrency = \"EUR\"\n", "# from the default\nrate_limit = 200\n", "# from $KIZO_BANK_TOKEN\nbank_token = \"***\"\n",
		`log_format = "\"\U0000001B[31m"`)
	if strings.Contains(output, canary) {
		t.Errorf("the output contains a secret:\n%s", output)
	}
}

func TestConfigCheck(t *testing.T) {
	t.Parallel()
	public := filepath.Join(t.TempDir(), "secrets.json")
	testkit.Must(t, os.WriteFile(public, []byte("{}"), 0o644))
	for _, c := range []struct {
		env  []string
		args []string
		code int
		want string
	}{
		{nil, nil, 0, "the settings are valid"},
		{nil, []string{"--roles", "api,cook"}, exitUsage, "roles (from --roles)"},
		{[]string{"KIZO_CURRENCY=usd"}, nil, exitUsage, "currency (from $KIZO_CURRENCY)"},
		{nil, []string{"--secrets-file", filepath.Join(t.TempDir(), "absent")}, exitError, "there is no secrets file"},
		{nil, []string{"--secrets-file", public}, exitError, "chmod 600"},
	} {
		code, output := run(t, append(validEnv(t), c.env...), append([]string{"config", "check"}, c.args...)...)
		if code != c.code {
			t.Errorf("%v %v: exit %d, want %d", c.env, c.args, code, c.code)
		}
		testkit.Contains(t, output, c.want)
		if strings.Contains(output, canary) {
			t.Errorf("the output contains a secret: %s", output)
		}
	}
}
