//go:build unix

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

const (
	escape = "\x1b"
	enter  = "\r"
	tab    = "\t"
)

// TestSendingByKeysAlone sends money with keys only, from the form to the new balance.
func TestSendingByKeysAlone(t *testing.T) {
	kizod, err := startKizod()
	testkit.Must(t, err)
	ada, bob := newPerson(t, kizod.URL, "adasends"), newPerson(t, kizod.URL, "bobtakes")
	ada.kizo("deposit", "100", "--wait=30s")

	w := openWindow(t, 80, 24, ada.env)
	w.until("LIVE", "@"+ada.handle, "100.00")
	w.types("3")
	w.until("[3 Send]", "available  100.00 USD")
	w.types(enter + bob.handle[:len(bob.handle)-1])
	w.until("▸ @" + bob.handle)
	w.types(enter + "12.505")
	w.until("12.505 has 3 decimals, USD takes at most 2")
	w.types("\x7f" + enter + "lunch")
	w.types(enter)
	w.until("Send this?", "@"+bob.handle+" ("+bob.handle+")", "available after  87.50 USD", "▸ Cancel", "$ kizo transfer @"+bob.handle+" 12.50 USD -m 'lunch'")
	w.types(enter) // Cancel: the key that opened the review does not confirm it
	w.until("Send money", "lunch")
	if transfers := bob.kizo("transfers", "list"); transfers != "" {
		t.Fatalf("it was sent: %s", transfers)
	}
	w.types(enter)
	w.until("Send this?")
	w.types("y")
	w.until("The transfer is posted.", "-12.50 USD")
	w.types(enter + escape)
	w.until("[1 Wallet]", "87.50", "-12.50")

	bob.kizo("transfer", "@"+ada.handle, "2.50", "-m", "change") // no key is pressed
	w.until("90.00", "+2.50", "change")
	w.types("q")
	if code := w.exitCode(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	intents, err := os.ReadFile(filepath.Join(ada.state(), "kizo", "intents.jsonl"))
	testkit.Must(t, err)
	if !bytes.Contains(intents, []byte(`"what":"transfer 12.50 USD to @`+bob.handle+`"`)) || !bytes.Contains(intents, []byte(`"outcome":"done"`)) {
		t.Errorf("the transfer was not recorded:\n%s", intents)
	}
	if open := ada.kizo("pending"); open != "" {
		t.Errorf("still open: %s", open)
	}
}

// TestCapturingByKeysAlone captures a part of an authorization, with keys only.
func TestCapturingByKeysAlone(t *testing.T) {
	kizod, err := startKizod()
	testkit.Must(t, err)
	ada, bob := newPerson(t, kizod.URL, "adaholds"), newPerson(t, kizod.URL, "bobcaptures")
	ada.kizo("deposit", "100", "--wait=30s")
	ada.kizo("transfer", "@"+bob.handle, "20", "--authorize", "-m", "hotel")

	w := openWindow(t, 100, 30, bob.env, "dashboard")
	w.until("LIVE", "@"+bob.handle)
	w.types("2")
	w.until("[2 Transfers]", "hotel", "C capture")
	w.types("C" + "5.25" + enter) // typing replaces the whole amount
	w.until("Capture this authorization?", "You receive 5.25 USD.", "▸ Cancel", "$ kizo transfers capture")
	w.types("y")
	w.until("The transfer is posted.", "+5.25 USD")
	w.types(escape)
	w.until("R reverse", "posted") // what was captured can be sent back
	w.types("q")
	if code := w.exitCode(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	intents, err := os.ReadFile(filepath.Join(bob.state(), "kizo", "intents.jsonl"))
	testkit.Must(t, err)
	if !bytes.Contains(intents, []byte(`"what":"capture 5.25 USD of transfer `)) || bob.kizo("pending") != "" {
		t.Errorf("the capture was not recorded:\n%s", intents)
	}
	if got := bob.kizo("balance", "--json"); !strings.Contains(got, `"available": 525`) && !strings.Contains(got, `"available":525`) {
		t.Errorf("%s", got)
	}
}

// TestTransfersByKeysAlone filters, reads, copies and exports with keys only.
func TestTransfersByKeysAlone(t *testing.T) {
	kizod, err := startKizod()
	testkit.Must(t, err)
	ada, bob := newPerson(t, kizod.URL, "adareads"), newPerson(t, kizod.URL, "bobreads")
	ada.kizo("deposit", "100", "--wait=30s")
	ada.kizo("transfer", "@"+bob.handle, "5", "-m", "lunch")
	ada.kizo("transfer", "@"+bob.handle, "40", "-m", "=HYPERLINK(\"x\")")
	ada.kizo("transfer", "@"+bob.handle, "7", "-m", "tea")

	w := openWindow(t, 120, 40, append(ada.env, "TMUX="), "dashboard")
	w.until("LIVE", "48.00") // a filter by amount needs the currency of the wallet
	w.types("2")
	w.until("[2 Transfers]", "lunch", "tea", "=HYPERLINK")
	w.types("/amt:>=40 to:@" + bob.handle + " state:pasted" + enter)
	w.until("did you mean state:posted?")
	w.types(strings.Repeat("\x7f", 6) + "posted" + enter)
	w.until("(c clears)", "=HYPERLINK", "Timeline", "reached")
	if shown := w.screen.Text(); strings.Contains(shown, "lunch") || strings.Contains(shown, "tea") {
		t.Errorf("the filter lets others through:\n%s", shown)
	}
	bob.kizo("transfer", "@"+ada.handle, "1", "-m", "hidden")
	w.types(enter)
	w.until("back to the list", "[posted]")
	w.types("y")
	w.until("Sent the id to the terminal's clipboard")
	w.types(escape)
	w.until("(c clears)")
	w.types("e")
	w.until("Wrote 1 transfer to ")
	path := exported(t, w, ".csv")
	text, err := os.ReadFile(path)
	testkit.Must(t, err)
	if !strings.Contains(string(text), `,posted,out,40.00,USD,`+bob.handle+","+bob.handle+`,"'=HYPERLINK(""x"")",`) || strings.Count(string(text), "\n") != 2 {
		t.Errorf("%s", text)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	w.types("c")
	w.until("hidden", "lunch")
	w.types("ja") // sends the transfer of the second row again
	w.until("[3 Send]", "@"+bob.handle, "7.00", "tea")
	w.types("\x03")
	w.exitCode()
}

// exported returns the file that was just written; the test removes it at its end.
func exported(t *testing.T, w *window, ending string) string {
	t.Helper()
	names, err := filepath.Glob("kizo-transfers-*" + ending)
	if err != nil || len(names) != 1 {
		t.Fatalf("%v %v\n%s", names, err, w.screen.Text())
	}
	t.Cleanup(func() { os.Remove(names[0]) })
	return names[0]
}
