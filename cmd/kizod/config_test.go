package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

// validEnv returns an environment with valid settings for serve. There is no database at its URL.
func validEnv(t *testing.T) []string {
	t.Helper()
	return []string{
		"KIZO_DATABASE_URL=postgres://kizo_app:" + canary + "@127.0.0.1:1/kizo", "KIZO_REDIS_URL=redis://:" + canary + "@127.0.0.1:1/0",
		"KIZO_BANK_URL=http://127.0.0.1:1", "KIZO_SECRETS_FILE=" + newSecrets(t),
	}
}

// A byte order mark, as some editors on Windows write, is not a part of the first key.
func TestSettingsWithAByteOrderMark(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "kizod.toml")
	for content, want := range map[string]string{
		"\ufefflog_level = 'loud'\r\n":        `"loud"`, // the file was read, and the value is invalid
		"\xff\xfel\x00o\x00g\x00":             "UTF-16",
		"\ufefflisten = '127.0.0.1:0'\nx = 1": `"x"`,
	} {
		testkit.Must(t, os.WriteFile(file, []byte(content), 0o600))
		out, err := exec.CommandContext(t.Context(), kizod, "dev", "--config", file).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%q: %v, %s", content, err, out)
		}
	}
}

// The error for an invalid setting names the setting and its source.
func TestInvalidSettings(t *testing.T) {
	t.Parallel()
	for i, c := range []struct {
		command string
		setting setting
		invalid string
		want    string
	}{
		{"serve", databaseURL, "mysql//" + canary, "PostgreSQL URL"},
		{"serve", databaseURL, "postgres://u:" + canary + "@host:port/x", "PostgreSQL URL"},
		{"serve", redisURL, "http://:" + canary + "@host", "Redis URL"},
		{"serve", redisURL, "redis+sentinel://:" + canary + "@host1,host2", "name of the Redis is missing"},
		{"serve", bankURL, "bank.example", "http"},
		{"serve", bankURL, "ftp://bank.example", "http"},
		{"serve", listen, "7420", "127.0.0.1:7420"},
		{"serve", opsListen, "nowhere", "not an address"},
		{"serve", pprofListen, "0.0.0.0:7423", "loopback"},
		{"serve", pprofListen, "7423", "not an address"},
		{"serve", proxies, "proxy.example", "not a network"},
		{"serve", proxies, "0.0.0.0/0", "contains every address"},
		{"serve", proxies, "10.1.2.3/8", "10.0.0.0/8"},
		{"serve", roles, "api,cook", `"cook"`},
		{"serve", currency, "usd", `"usd"`},
		{"serve", drainDelay, "soon", `"soon"`},
		{"serve", auditInterval, "often", `"often"`},
		{"serve", auditFull, "0s", "0s"},
		{"serve", sessionIdle, "14m", "15m"},
		{"serve", sessionLifetime, "9000h", "8784h"},
		{"serve", drainDelay, "-1s", `"-1s"`},
		{"serve", logFormat, "xml", "text, json"},
		{"serve", logLevel, "loud", "debug"},
		{"dev", listen, "7420", "127.0.0.1:7420"},
		{"dev", currency, "XXXX", "ISO 4217"},
		{"migrate", migrateURL, "mysql//" + canary, "PostgreSQL URL"},
		{"mockbank", bankAddress, "bank", "not an address"},
	} {
		t.Run(fmt.Sprint(c.command, " ", c.setting.key, " ", i), func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "kizod.toml")
			testkit.Must(t, os.WriteFile(file, []byte(c.setting.key+" = '"+c.invalid+"'\n"), 0o600))
			others := func() (env []string) {
				for _, e := range validEnv(t) {
					if !strings.HasPrefix(e, c.setting.env()+"=") {
						env = append(env, e)
					}
				}
				return env
			}
			type source struct {
				env, args []string
				name      string
			}
			sources := []source{
				{append(others(), c.setting.env()+"="+c.invalid), nil, "$" + c.setting.env()},
				{others(), []string{"--config", file}, file},
			}
			if c.setting.secret {
				code, output := run(t, others(), c.command, "--"+c.setting.flag()+"="+c.invalid)
				if code != exitUsage || !strings.Contains(output, "unknown flag") || strings.Contains(output, canary) {
					t.Errorf("a secret as a flag: exit %d, %s", code, output)
				}
			} else {
				sources = append(sources, source{others(), []string{"--" + c.setting.flag() + "=" + c.invalid}, "--" + c.setting.flag()})
			}
			for _, s := range sources {
				code, output := run(t, s.env, append([]string{c.command}, s.args...)...)
				if code != exitUsage {
					t.Errorf("from %s: exit %d", s.name, code)
				}
				testkit.Contains(t, output, c.setting.key, "from "+s.name, c.want)
				if strings.Contains(output, canary) {
					t.Errorf("from %s: the output contains a secret: %s", s.name, output)
				}
			}
		})
	}
}

// impossiblePath returns a path that not even root can make, since it is below a file.
func impossiblePath(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	testkit.Must(t, os.WriteFile(file, nil, 0o600))
	return filepath.Join(file, "directory", "file")
}

// The error for a missing setting names it and shows a valid value.
func TestMissingSettings(t *testing.T) {
	t.Parallel()
	for key, args := range map[string][]string{
		"KIZO_DATABASE_URL": {"serve"}, "KIZO_MIGRATE_URL": {"migrate"},
	} {
		code, output := run(t, nil, args...)
		if code != exitUsage {
			t.Errorf("%v: exit %d", args, code)
		}
		testkit.Contains(t, output, "the default; set $"+key, "postgres://")
	}
	code, output := run(t, []string{"KIZO_DATABASE_URL=postgres://kizo_app@127.0.0.1:1/kizo"}, "serve")
	if code != exitUsage {
		t.Errorf("exit %d", code)
	}
	testkit.Contains(t, output, "bank_url", "--bank-url", "$KIZO_BANK_URL")
	code, output = run(t, validEnv(t), "serve", "--secrets-file=")
	if code != exitUsage {
		t.Errorf("exit %d", code)
	}
	testkit.Contains(t, output, "secrets_file", "from --secrets-file", "empty")
}

func TestConfigurationFile(t *testing.T) {
	t.Parallel()
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "kizod.toml")
		testkit.Must(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	for name, c := range map[string]struct {
		file string
		want []string
	}{
		"not there":       {"/nonexistent/kizod.toml", []string{"/nonexistent/kizod.toml", "no such file"}},
		"unknown key":     {write("listen = '127.0.0.1:0'\nlissten = '127.0.0.1:1'\n"), []string{`"lissten"`, "there is no setting"}},
		"unknown section": {write("[server]\nlisten = '127.0.0.1:0'\n"), []string{`"server.listen"`}},
		"not TOML":        {write("database_url = postgres://u:" + canary + "@h/x\n"), []string{"kizod.toml"}},
		"a directory":     {t.TempDir(), []string{"configuration file"}},
	} {
		code, output := run(t, validEnv(t), "serve", "--config", c.file)
		if code != exitUsage {
			t.Errorf("%s: exit %d", name, code)
		}
		testkit.Contains(t, output, c.want...)
		if strings.Contains(output, canary) {
			t.Errorf("%s: the output contains a secret: %s", name, output)
		}
	}
	// A flag overrides the environment, which overrides the file.
	file := write("listen = 'from-file'\nlog_level = 'from-file'\n")
	code, output := run(t, append(validEnv(t), "KIZO_LISTEN=from-env"), "serve", "--config", file)
	if code != exitUsage || !strings.Contains(output, "from-env") {
		t.Errorf("environment before file: exit %d, %s", code, output)
	}
	code, output = run(t, append(validEnv(t), "KIZO_LISTEN=from-env"), "serve", "--config", file, "--listen", "from-flag")
	if code != exitUsage || !strings.Contains(output, "from-flag") {
		t.Errorf("flag before environment: exit %d, %s", code, output)
	}
}

// A file that contains a secret is refused if other users may read it; one without a secret is not.
func TestSecretsInAPublicFile(t *testing.T) {
	t.Parallel()
	for line, secret := range map[string]bool{
		"database_url = 'postgres://kizo_app:" + canary + "@127.0.0.1:1/kizo'":             true,
		"database_url = 'postgres://kizo_app@127.0.0.1:1/kizo?password=" + canary + "'":    true,
		"database_url = 'host=127.0.0.1 port=1 user=kizo_app password = " + canary + "'":   true,
		"database_url = 'postgres://127.0.0.1:1/kizo?sslpassword=" + canary + "'":          true,
		"migrate_url = 'postgres://kizo_owner:" + canary + "@127.0.0.1:1/kizo'":            true,
		"redis_url = 'redis://:" + canary + "@127.0.0.1:1/0'":                              true,
		"redis_url = 'redis+sentinel://h/kizo?sentinel_password=" + canary + "'":           true,
		"bank_token = '" + canary + "'":                                                    true,
		"bank_callback_secret = '" + canary + "'":                                          true,
		"bank_url = 'http://kizo:" + canary + "@127.0.0.1:1'":                              true,
		"database_url = 'postgres://kizo_app@127.0.0.1:1/kizo'\nredis_url = 'redis://h/0'": false,
		"database_url = 'host=127.0.0.1 port=1 user=kizo_app dbname=kizo'":                 false,
		"bank_token = ''\nlog_level = 'info'":                                              false,
	} {
		file := filepath.Join(t.TempDir(), "kizod.toml")
		testkit.Must(t, os.WriteFile(file, []byte(line+"\n"), 0o600))
		for _, mode := range []os.FileMode{0o600, 0o640, 0o604} {
			testkit.Must(t, os.Chmod(file, mode))
			code, output := run(t, []string{"KIZO_MIGRATE_URL=postgres://kizo_owner@127.0.0.1:1/kizo"}, "migrate", "--config", file)
			refused := code == exitUsage && strings.Contains(output, "chmod 600 "+file)
			if refused != (secret && mode != 0o600) || strings.Contains(output, canary) {
				t.Errorf("%s, mode %v: exit %d, %s", strings.ReplaceAll(line, canary, "…"), mode, code, output)
			}
		}
	}
}

// No error about an unreachable dependency contains its password.
func TestErrorsContainNoSecrets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  []string
		args []string
	}{
		{validEnv(t), []string{"serve", "--log-level", "debug"}},
		{validEnv(t), []string{"audit"}},
		{[]string{"KIZO_MIGRATE_URL=postgres://kizo_owner:" + canary + "@127.0.0.1:1/kizo"}, []string{"migrate"}},
		{append(validEnv(t), "KIZO_BANK_URL=http://kizo:"+canary+"@127.0.0.1:1"), []string{"serve"}},
		{[]string{"KIZO_BANK_TOKEN=" + canary, "KIZO_BANK_LISTEN=127.0.0.1:0"}, []string{"mockbank", "--journal", impossiblePath(t)}},
	} {
		code, output := run(t, c.env, c.args...)
		if code != exitError && code != exitUsage {
			t.Errorf("%v: exit %d", c.args, code)
		}
		if strings.Contains(output, canary) {
			t.Errorf("%v: the output contains a secret: %s", c.args, output)
		}
		if output == "" {
			t.Errorf("%v: there is no output", c.args)
		}
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"version"}, 0, "kizod v1.2.3-test\n"},
		{[]string{"--version"}, 0, "kizod v1.2.3-test\n"},
		{nil, 0, "Available Commands"},
		{[]string{"serve", "--help"}, 0, "--drain-delay"},
		{[]string{"frobnicate"}, exitUsage, `"frobnicate"`},
		{[]string{"dev", "here"}, exitUsage, `"here"`},
		{[]string{"version", "please"}, exitUsage, `"please"`},
		{[]string{"dev", "--frobnicate"}, exitUsage, "--frobnicate"},
		{[]string{"dev", "--bank-seed", "many"}, exitUsage, "bank-seed"},
		{[]string{"dev", "--bank-preset", "sunny"}, exitUsage, "calm, classic or hell"},
		{[]string{"dev", "--bank-listen", "7422"}, exitUsage, "--bank-listen"},
		{[]string{"mockbank"}, exitUsage, "--i-accept-payments-from-anyone"},
		{[]string{"mockbank", "--preset", "sunny"}, exitUsage, "calm, classic or hell"},
	} {
		code, output := run(t, nil, c.args...)
		if code != c.code {
			t.Errorf("%v: exit %d, want %d\n%s", c.args, code, c.code, output)
		}
		testkit.Contains(t, output, c.want)
	}
}
