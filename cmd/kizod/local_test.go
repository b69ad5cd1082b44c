package main

import (
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// deploy/local.sh runs the services of deploy/compose.yaml: a user signs up and pays through nginx,
// also after all services were stopped and started again. Nothing is left after a removal.
func TestLocalServices(t *testing.T) {
	if os.Getenv("KIZO_TEST_LOCAL") == "" {
		t.Skip("takes half a minute; make test-local runs it")
	}
	dir := filepath.Join(pgtest.TempDir(t), "local")
	port := pgtest.FreePort(t) - 15_000 // 30 ports below those that are reserved
	script := func(command string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "../../deploy/local.sh", command, dir)
		cmd.Env = append(os.Environ(), "KIZO_LOCAL_PORT="+itoa(port), "KIZOD="+kizod)
		log, err := os.OpenFile(dir+".log", os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600) // services keep a pipe open
		testkit.Must(t, err)
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log
		err = cmd.Run()
		text, _ := os.ReadFile(log.Name())
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, text)
		}
		return string(text)
	}
	t.Cleanup(func() { // t.Context has ended
		if _, err := os.Stat(dir); err == nil {
			_ = exec.Command("../../deploy/local.sh", "remove", dir).Run()
		}
	})
	script("start")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // setup.sh made the certificate
	t.Cleanup(client.CloseIdleConnections)
	url := "https://127.0.0.1:" + itoa(port)
	ada := signUp(t, client, url, "ada")
	for _, amount := range []int64{100_00, 23_00} {
		if o, err := deposit(ada, amount).send(client, url, 20); err != nil || o.state != "posted" {
			t.Errorf("deposit: %+v, %v", o, err)
		}
		script("stop")
		script("start")
	}
	if w, err := ada.wallet(client, url); err != nil || w.Balance != 123_00 {
		t.Errorf("%+v, %v", w, err)
	}
	script("remove")
	running, err := exec.Command("ps", "-eo", "args").Output()
	testkit.Must(t, err)
	if _, err := os.Stat(dir); err == nil || strings.Contains(string(running), dir) {
		t.Errorf("after a removal: %v\n%s", err, running)
	}
}
