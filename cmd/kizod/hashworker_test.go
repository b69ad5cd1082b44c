package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// hashWorkerOf returns the pid of the hash worker of a kizod, or 0 if it has none.
func hashWorkerOf(t *testing.T, parent int) (found int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	testkit.Must(t, err)
	for _, path := range all {
		line, err := os.ReadFile(path)
		if err != nil || string(line) != "kizod\x00"+hashWorker+"\x00" {
			continue // a child of another process, or one that has ended
		}
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		testkit.Must(t, err)
		if fields := stat(pid); len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			found = pid
		}
	}
	return found
}

// stat returns the fields of /proc/PID/stat from the state on, or nil if the process has ended.
func stat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, fields, _ := strings.Cut(string(text), ") ")
	return strings.Fields(fields)
}

// ended reports whether a process has ended. Its parent may not have reaped it yet.
func ended(pid int) bool {
	fields := stat(pid)
	return len(fields) == 0 || fields[0] == "Z"
}

// The first password starts the hash worker. It has idle priority (unless the machine is busy) and
// no secrets. It is replaced when it is killed, and ends when kizod is killed.
func TestHashWorkerOfARunningKizod(t *testing.T) {
	t.Parallel()
	if stat(os.Getpid()) == nil {
		t.Skip("reads /proc of Linux")
	}
	data, client := pgtest.TempDir(t), newClient()
	t.Cleanup(client.CloseIdleConnections)
	file := filepath.Join(t.TempDir(), "ready.json")
	p := start(t, []string{"KIZO_BANK_TOKEN=" + canary}, "dev", "--data", data, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0",
		"--ready-file", file, "--log-level", "debug")
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		childrenEnd(t, data)
	})
	url, kizodPID := p.ready(file).URL, p.cmd.Process.Pid
	if pid := hashWorkerOf(t, kizodPID); pid != 0 {
		t.Errorf("process %d before any password", pid)
	}
	signUp(t, client, url, "alice")
	child := hashWorkerOf(t, kizodPID)
	if child == 0 {
		t.Fatalf("no child:\n%s", p.out.String())
	}
	const idleClass = "5" // SCHED_IDLE, sched(7)
	raised := strings.Contains(p.out.String(), `"priority":"low"`)
	if fields := stat(child); len(fields) > 38 && fields[38] != idleClass && !raised {
		t.Errorf("its scheduling class is %s", fields[38])
	}

	secrets := []string{password, canary}
	text, err := os.ReadFile(filepath.Join(data, "secrets", "secrets.json"))
	testkit.Must(t, err)
	var kept struct{ Peppers []struct{ Key []byte } }
	testkit.Must(t, json.Unmarshal(text, &kept))
	for _, pepper := range kept.Peppers {
		secrets = append(secrets, string(pepper.Key), base64.StdEncoding.EncodeToString(pepper.Key), fmt.Sprintf("%x", pepper.Key))
	}
	for _, name := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", child, name))
		testkit.Must(t, err)
		wantNone(t, name, string(text), secrets)
	}
	wantNone(t, "the output", p.out.String(), secrets)

	testkit.Must(t, syscall.Kill(child, syscall.SIGHUP)) // as when a terminal closes: the hash worker ignores it
	signUp(t, client, url, "bob")
	if strings.Contains(p.out.String(), "a hash worker has ended unexpectedly") {
		t.Errorf("SIGHUP ended the child:\n%s", p.out.String())
	}
	child = hashWorkerOf(t, kizodPID) // on a busy machine, one of a higher priority has replaced it
	testkit.Must(t, syscall.Kill(child, syscall.SIGKILL))
	status, _, output, err := call(client, http.MethodPost, url+"/v1/auth/login", http.Header{}, map[string]any{"login": "alice", "password": password}, nil)
	if err != nil || status != http.StatusOK {
		t.Errorf("after its child was killed: %d %s %v", status, output, err)
	}
	next := hashWorkerOf(t, kizodPID)
	if next == 0 || next == child {
		t.Errorf("the next child is %d, it was %d", next, child)
	}
	p.crashes()
	testkit.Eventually(t, "the child ends with its parent", func() bool { return ended(next) })
}

func wantNone(t *testing.T, where, text string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if secret == "" || strings.Contains(text, secret) {
			t.Errorf("%s contains a secret", where)
		}
	}
}
