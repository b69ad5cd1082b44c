//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// complete returns what the shell is offered for a command line, and whether it may offer files.
func (w *world) complete(line ...string) (offers []string, files bool) {
	w.t.Helper()
	w.expect(exitDone, append([]string{"__complete"}, line...)...)
	lines := strings.Split(strings.TrimSuffix(w.out.String(), "\n"), "\n")
	last := lines[len(lines)-1]
	directive, err := strconv.Atoi(strings.TrimPrefix(last, ":"))
	if err != nil {
		w.t.Fatalf("%v: %q", err, w.out.String())
	}
	const noFiles = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveFilterDirs
	return lines[:len(lines)-1], cobra.ShellCompDirective(directive)&noFiles == 0
}

// offers fails the test unless the completion of a line offers exactly these words, in this order.
// On a busy computer the server may take longer than a completion waits, which then offers what is
// remembered; so it is asked again.
func (w *world) offers(want []string, line ...string) {
	w.t.Helper()
	testkit.Eventually(w.t, fmt.Sprintf("%q is completed with %q", line, want), func() bool {
		offers, files := w.complete(line...)
		var words []string
		for _, offer := range offers {
			word, _, _ := strings.Cut(offer, "\t")
			words = append(words, word)
		}
		return slices.Equal(words, want) && !files
	})
}

// remembers stores what completions offer.
func (w *world) remembers(known knowledge) {
	a := w.app()
	writeKnowledge(a.knowledgePath(), known)
}

// knowledgeFiles returns the files that completions are remembered in.
func (w *world) knowledgeFiles() []string {
	files, err := filepath.Glob(filepath.Join(w.env["XDG_STATE_HOME"], "kizo", "completion", "*"))
	testkit.Must(w.t, err)
	return files
}

func TestCompletions(t *testing.T) {
	kizod, _ := ownKizod(t)
	p := &pairOfUsers{kizod: kizod, adaName: "ada", bobName: "bob"}
	p.ada, p.bob = p.user(t, "ada"), p.user(t, "bob")
	w := p.ada
	w.expect(exitDone, "deposit", "10", "--wait=30s")
	p.bob.expect(exitDone, "deposit", "100", "--wait=30s")
	hold := p.id(p.bob, "transfer", "@ada", "20", "--authorize", "-m", "the booking")
	received := p.id(p.bob, "transfer", "@ada", "1")
	sent := p.id(w, "transfer", "@bob", "1", "--idempotency-key", "rent-11")
	key := p.key()
	w.expect(exitDone, "sessions", "list", "--jq", ".[0].id")
	session := strings.TrimSpace(w.out.String())
	w.expect(exitDone, "wallet", "open", "JPY")
	w.expect(exitDone, "balance")
	run := p.payout()
	if code := w.full("transfer", "@bob", "1", "USD", "--idempotency-key", "unfinished-1"); code != exitOutput {
		t.Fatalf("exit code %d: %s", code, &w.err)
	}

	check := func() {
		t.Helper()
		w.offers([]string{hold}, "transfers", "capture", "")
		w.offers([]string{hold}, "transfers", "void", hold[:6])
		w.offers([]string{received}, "transfers", "reverse", "")
		w.offers([]string{sent}, "explain", sent)
		w.offers([]string{"@bob"}, "transfer", "@")
		w.offers([]string{"@bob"}, "transfers", "list", "--with", "@b")
		w.offers([]string{"bob"}, "ops", "user", "freeze", "")
		w.offers([]string{"unfinished-1"}, "retry", "")
		w.offers([]string{"unfinished-1"}, "pending", "drop", "")
		w.offers([]string{session}, "sessions", "revoke", "")
		w.offers([]string{key}, "keys", "rotate", "")
		w.offers([]string{key}, "keys", "revoke", "k")
		w.offers([]string{run}, "pay", "resume", "")
		offers, _ := w.complete("transfer", "@bob", "1", "")
		if got := strings.Join(offers[:2], " "); !strings.HasPrefix(got, "USD\tUS Dollar JPY\tYen") {
			t.Errorf("the user's own currencies are not first: %s", got)
		}
		offers, _ = w.complete("transfers", "capture", "")
		testkit.Contains(t, offers[0], "\tpending authorization 20.00 USD from @bob: the booking")
	}
	check()
	kizod.stop()
	check() // from what is remembered
	testkit.Must(t, kizod.start(filepath.Join(kizodRunning.dir, "kizod")))
	w.env["KIZO_SERVER"] = kizod.URL // a new port is another server
	w.stdin = "correct horse battery\n"
	w.expect(exitDone, "login", "ada", "--password-stdin")
	w.offers([]string{hold}, "transfers", "capture", "") // asked for
	p.bob.env["KIZO_SERVER"] = kizod.URL
	w.expect(exitDone, "transfers", "capture", hold)
	w.offers(nil, "transfers", "capture", "")

	for _, file := range w.knowledgeFiles() {
		info, err := os.Stat(file)
		testkit.Must(t, err)
		if info.Mode().Perm() != 0o600 || info.Size() > maxKnowledge {
			t.Errorf("%s: %v, %d bytes", file, info.Mode(), info.Size())
		}
	}
	before := len(w.knowledgeFiles())
	w.expect(exitDone, "logout")
	if after := len(w.knowledgeFiles()); before != 2 || after != 1 {
		t.Errorf("%d files before the log-out, %d after it", before, after)
	}
	w.offers(nil, "transfers", "void", "")
}

// TestCompletionDoesNotWait completes while the server keeps the request.
func TestCompletionDoesNotWait(t *testing.T) {
	released := make(chan struct{})
	w := newWorld(t, newFakeServer(t, func(http.ResponseWriter, *http.Request) { <-released }).Server)
	t.Cleanup(func() { close(released) })
	w.remembers(knowledge{Payees: []knownPayee{{Handle: "bob", Name: "Bob"}}})
	w.offers([]string{"@bob"}, "transfer", "@")
}

// TestHostileCompletions has texts of other people that must reach neither a terminal nor a shell.
func TestHostileCompletions(t *testing.T) {
	hostile := "a\tb\nc\x1b[2J\u202e$(touch x)`touch x`\\\"'"
	w := newWorld(t, newFakeServer(t).Server)
	w.env["KIZO_SERVER"] = "http://127.0.0.1:1"
	w.remembers(knowledge{
		Transfers: []knownTransfer{
			{ID: uuid.NewString(), Kind: "authorization", State: "pending", Direction: "in", With: hostile, Amount: "1.00 USD", Memo: hostile},
			{ID: "$(touch x)", Kind: "authorization", State: "pending", Direction: "in"},
		},
		Payees:  []knownPayee{{Handle: hostile}, {Handle: "$(x)"}, {Handle: "eve", Name: hostile}},
		APIKeys: []candidate{{"-rf", ""}, {"a b", ""}, {"*", ""}, {"good", hostile}},
	})
	for _, test := range []struct {
		offers int
		line   []string
	}{{1, []string{"transfers", "capture", ""}}, {1, []string{"transfer", ""}}, {1, []string{"keys", "revoke", ""}}} {
		offers, _ := w.complete(test.line...)
		if len(offers) != test.offers {
			t.Errorf("%q: %q", test.line, offers)
		}
		for _, offer := range offers {
			if strings.ContainsAny(offer, "\x1b\u202e$`\\\"'\n") || strings.Count(offer, "\t") != 1 {
				t.Errorf("%q: %q", test.line, offer)
			}
		}
	}
}

func TestJSONFieldsAreCompleted(t *testing.T) {
	w := newWorld(t, nil)
	w.offers([]string{"amount"}, "transfers", "list", "--json=amo")
	w.offers([]string{"id,amount"}, "transfers", "list", "--json=id,amo")
	w.offers([]string{"amount"}, "transfers", "list", "--json", "amo")
	w.offers([]string{"id,amount"}, "transfers", "list", "--json", "id,amo")
	w.offers([]string{"posted"}, "transfers", "list", "--state", "po")
	w.offers([]string{"read,transfers:write"}, "keys", "create", "--scope", "read,tr")
	w.offers([]string{"server"}, "config", "set", "s")
	w.offers([]string{"jsonl", "json"}, "balance", "-o", "js")
}

// TestNoCompletionOffersFiles runs the completion of every argument and every flag.
func TestNoCompletionOffersFiles(t *testing.T) {
	w := newWorld(t, nil)
	w.env["KIZO_SERVER"] = "http://127.0.0.1:1"
	w.write("a file", "")
	for _, cmd := range everyCommand(theCommands()) {
		path := strings.Fields(cmd.CommandPath())[1:]
		for n := range 3 {
			args := append(slices.Clone(path), slices.Repeat([]string{"1"}, n)...)
			if _, files := w.complete(append(args, "")...); files {
				t.Errorf("%q offers files", args)
			}
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() == "bool" || slices.Contains(fileFlags, f.Name) {
				return
			}
			if _, files := w.complete(append(slices.Clone(path), "--"+f.Name+"=")...); files {
				t.Errorf("%s --%s offers files", cmd.CommandPath(), f.Name)
			}
		})
	}
	for _, mistake := range [][]string{{"transfers", "void", "--json=", "a"}, {"keys", "revoke", "--unknown", "a"}, {"nothing", "a"}} {
		if offers, files := w.complete(mistake...); files || len(offers) > 0 {
			t.Errorf("%q offers %q, files: %t", mistake, offers, files)
		}
	}
	if _, files := w.complete("pay", "--file", ""); !files {
		t.Error("kizo pay --file offers no files")
	}
}

func TestKnowledgeIsBounded(t *testing.T) {
	var known knowledge
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	handle := func(i int) *string { name := fmt.Sprintf("user%d", i); return &name }
	long := strings.Repeat("é", 1000)
	hold := client.Transfer{
		Id: uuid.New(), CreatedAt: first, Kind: client.TransferKindAuthorization, State: client.Pending, Direction: client.In,
		Amount: 1, Currency: "USD", From: client.Party{Handle: handle(0)}, Memo: &long,
	}
	known.addTransfers([]client.Transfer{hold})
	for i := range 1000 {
		known.addTransfers([]client.Transfer{{
			Id: uuid.New(), CreatedAt: first.Add(time.Duration(i) * time.Minute), State: client.Posted, Amount: 1, Currency: "USD",
			To: client.Party{Handle: handle(i), Name: &long}, Memo: &long,
		}})
	}
	if len(known.Transfers) != maxKnownTransfers || len(known.Payees) != maxKnownPayees {
		t.Errorf("%d transfers, %d payees", len(known.Transfers), len(known.Payees))
	}
	if known.Transfers[0].ID != hold.Id.String() || known.Payees[0].Handle != "user999" {
		t.Errorf("%+v, %+v", known.Transfers[0], known.Payees[0])
	}
	if text, err := json.Marshal(known); err != nil || len(text) > maxKnowledge/2 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	hold.State = client.Posted
	known.addTransfers([]client.Transfer{hold})
	if slices.ContainsFunc(known.Transfers, openHold) {
		t.Error("a captured hold counts as open")
	}
}
