//go:build unix

package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

// TestArchivedTaskIsRetried from the Queues screen, with keys only.
func TestArchivedTaskIsRetried(t *testing.T) {
	kizod, err := startKizod()
	testkit.Must(t, err)
	eve, ada := newPerson(t, kizod.URL, "eve"), newPerson(t, kizod.URL, "ada")
	grant := exec.Command(filepath.Join(kizod.dir, "kizod"), "user", "grant", eve.handle, "operator", "--data", filepath.Join(kizod.dir, "data"))
	if out, err := grant.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// There is an archived task in a paused queue.
	eve.kizo("ops", "queue", "pause", "bank", "--reason", "test")
	defer eve.kizo("ops", "queue", "resume", "bank", "--reason", "test")
	var deposit struct{ ID string }
	read(t, ada.data("deposit", "10", "--wait=0", "--json=id"), &deposit)
	var tasks []struct {
		ID         string
		TransferID string `json:"transfer_id"`
	}
	read(t, eve.data("ops", "tasks", "list", "--json=id,transfer_id"), &tasks)
	task := ""
	for _, x := range tasks {
		if x.TransferID == deposit.ID {
			task = x.ID
		}
	}
	if task == "" {
		t.Fatalf("no task for %s among %v", deposit.ID, tasks)
	}
	eve.kizo("ops", "tasks", "archive", task, "--reason", "test")

	w := openWindow(t, 120, 40, eve.env, "dashboard")
	w.until("● LIVE", "4 Queues")
	w.types("4")
	w.until("[4 Queues]", "archived 1")
	w.types("llll")
	w.until("[archived 1]", deposit.ID, "@"+ada.handle, "10.00 USD")
	w.types("\r\r") // the list alone, then the task
	w.until("bank › archived › "+task, "Deposit of 10.00 USD", "Timeline, with the bank's answers", "accepted")
	w.types("t")
	w.until("Retry this task?", deposit.ID, "kizo ops tasks retry "+task)
	w.types("the bank is back\r")
	w.until("▸ Cancel")
	w.types("y")
	w.until("Done: retry "+task, "It is not in this list any more.")
	w.types(escape)
	w.until("[archived 0]", "No tasks are archived.")
	w.types("q")
	if code := w.exitCode(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

func read(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}
