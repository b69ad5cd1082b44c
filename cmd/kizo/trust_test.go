package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// grantsTokens answers every log-in with tokens of @ada.
func grantsTokens(t *testing.T) *fakeServer {
	t.Helper()
	return newFakeServer(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, adasTokens)
	})
}

var signingUp = []string{"signup", "--email", "ada@example.com", "--handle", "ada", "--name", "Ada"}

// inProject returns a world in a directory below one whose .kizo.toml names the server.
func inProject(t *testing.T, server *fakeServer) *world {
	t.Helper()
	w := newWorld(t, nil)
	w.write(".kizo.toml", `server = "`+server.URL+`"`)
	w.write("below/file", "")
	t.Chdir(filepath.Join(w.dir, "below"))
	w.stdin = "correct horse battery\n"
	return w
}

func TestNoPasswordToAProjectServer(t *testing.T) {
	s := grantsTokens(t)
	w := inProject(t, s)
	for _, args := range [][]string{{"login", "ada"}, signingUp} {
		w.expect(exitUsage, append(args, "--password-stdin")...)
		testkit.Contains(t, w.err.String(), "not sent to "+s.URL, filepath.Join(w.dir, ".kizo.toml"), "--server "+s.URL)
		w.secrets = []string{"correct horse battery", "correct horse battery"}
		w.expect(exitUsage, args...) // there is no prompt, so that it is the same as in a pipe
		w.secrets = nil
	}
	if len(s.seen) != 0 {
		t.Errorf("sent %v", s.seen)
	}

	// The user names the same server: by a flag, the environment, or the user's own file.
	w.expect(exitDone, "login", "ada", "--password-stdin", "--server", s.URL)
	w.expect(exitDone, "logout", "--server", s.URL)
	w.env["KIZO_SERVER"] = s.URL
	w.expect(exitDone, "login", "ada", "--password-stdin")
	w.expect(exitDone, "logout")
	delete(w.env, "KIZO_SERVER")
	w.write("config/kizo/config.toml", `server = "`+s.URL+`"`)
	w.expect(exitDone, "login", "ada", "--password-stdin")
}

func TestProjectServerIsConfirmedOnce(t *testing.T) {
	s := grantsTokens(t)
	w := inProject(t, s)
	w.secrets = []string{"correct horse battery", "correct horse battery"}
	asked := 0
	answer := "no"
	w.readLine = func(context.Context, string) (string, error) {
		asked++
		return answer, nil
	}
	w.expect(exitUsage, "login", "ada")
	testkit.Contains(t, w.err.String(), s.URL, filepath.Join(w.dir, ".kizo.toml"))
	if asked != 1 || len(s.seen) != 0 {
		t.Fatalf("asked %d times, sent %v", asked, s.seen)
	}
	answer = "yes"
	w.expect(exitDone, "login", "ada")
	w.expect(exitDone, "login", "ada")
	if asked != 2 || len(s.seen) != 2 {
		t.Errorf("asked %d times, sent %d", asked, len(s.seen))
	}
}

// TestDashboardSendsNoPasswordToAProjectServer: the log-in form of the dashboard sends passwords
// too.
func TestDashboardSendsNoPasswordToAProjectServer(t *testing.T) {
	w := inProject(t, grantsTokens(t))
	w.terminal, w.secrets = true, []string{}
	w.env["TERM"] = "xterm"
	for _, args := range [][]string{{"dashboard"}, {}} {
		w.expect(exitUsage, args...)
		testkit.Contains(t, w.err.String(), "not sent to ")
	}
}

func TestPlainHTTPOnlyOnThisComputer(t *testing.T) {
	for server, far := range map[string]bool{
		"http://kizo.example":            true,
		"http://192.168.1.7:7420":        true,
		"http://[2001:db8::1]:7420":      true,
		"http://0.0.0.0:7420":            true,
		"http://127.0.0.1.example":       true,
		"http://localhost.example":       true,
		"https://kizo.example":           false,
		"http://127.0.0.1:1":             false,
		"http://127.8.9.10:1":            false,
		"http://[::1]:1":                 false,
		"http://[::ffff:127.0.0.1]:1":    false,
		"http://localhost:1":             false,
		"http://LOCALHOST.:1":            false,
		"http://kizo.localhost:1/wallet": false,
	} {
		t.Run(server, func(t *testing.T) {
			clean, err := client.CleanServer(server)
			testkit.Must(t, err)
			if got := unencryptedRemote(clean); got != far {
				t.Errorf("%v, want %v", got, far)
			}
		})
	}

	w := newWorld(t, nil)
	w.stdin = "correct horse battery\n"
	const server = "http://kizo.invalid:7420"
	for _, args := range [][]string{{"login", "ada", "--password-stdin"}, {"balance"}, {"events"}, {"transfer", "@bob", "1"}} {
		for _, token := range []string{"", "token"} {
			w.env["KIZO_TOKEN"] = token
			if token != "" && args[0] == "login" {
				continue
			}
			w.env["KIZO_SERVER"] = server
			w.expect(exitUsage, args...)
			testkit.Contains(t, w.err.String(), "unencrypted", "https://kizo.invalid:7420", "--insecure-http")
		}
	}
	// With the flag or the variable, the user accepts the risk.
	w.env["KIZO_TOKEN"] = ""
	w.expect(exitNotLoggedIn, "balance", "--insecure-http")
	w.env["KIZO_INSECURE_HTTP"] = "true"
	w.expect(exitNotLoggedIn, "balance")
	w.env["KIZO_INSECURE_HTTP"] = "perhaps"
	w.expect(exitUsage, "balance")
	testkit.Contains(t, w.err.String(), "KIZO_INSECURE_HTTP")
}

// TestProjectCannotSetCertificates: only the user chooses the certificate authority.
func TestProjectCannotSetCertificates(t *testing.T) {
	w := newWorld(t, nil)
	for _, line := range []string{`ca_file = "evil.pem"`, `insecure_http = "true"`} {
		path := w.write(".kizo.toml", line)
		w.expect(exitUsage, "balance")
		testkit.Contains(t, w.err.String(), path)
		testkit.Must(t, os.Remove(path))
	}
}
