//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// outputMode is a form of output.
type outputMode struct {
	name     string
	terminal bool
	flags    []string
}

var outputModes = []outputMode{{name: "pipe"}, {name: "terminal", terminal: true}, {name: "json", flags: []string{"--json"}}}

// outputCase says how to call a command so that it prints something.
type outputCase struct {
	args   func(p *pairOfUsers) []string
	moves  bool // the command moves money: --idempotency-key is added
	silent bool // the command prints nothing to stdout without --json
	skip   string

	elsewhere bool // the command runs with a session file of its own
}

// pairOfUsers are two users of kizod. The first is an operator.
type pairOfUsers struct {
	ada, bob         *world
	adaName, bobName string
	kizod            *kizodProcess
	made             int
}

func newPair(t *testing.T) *pairOfUsers {
	t.Helper()
	kizod, err := startKizod()
	testkit.Must(t, err)
	number := scriptsSoFar.Add(1)
	p := &pairOfUsers{kizod: kizod, adaName: fmt.Sprintf("outada%d", number), bobName: fmt.Sprintf("outbob%d", number)}
	p.ada, p.bob = p.user(t, p.adaName), p.user(t, p.bobName)
	grant := exec.CommandContext(t.Context(), filepath.Join(kizod.dir, "kizod"), "user", "grant", p.adaName, "operator",
		"--data", filepath.Join(kizod.dir, "data"))
	if out, err := grant.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.ada.expect(exitDone, "deposit", "1000", "--wait=30s")
	p.bob.expect(exitDone, "deposit", "1000", "--wait=30s")
	return p
}

func (p *pairOfUsers) user(t *testing.T, handle string) *world {
	t.Helper()
	w := newWorld(t, nil)
	w.real = true
	w.env["KIZO_SERVER"] = p.kizod.URL
	w.stdin = "correct horse battery\n"
	w.expect(exitDone, "signup", "--email", handle+"@example.com", "--handle", handle, "--name", handle, "--password-stdin")
	return w
}

// id runs a command as a user and returns the id that it prints.
func (p *pairOfUsers) id(w *world, args ...string) string {
	w.t.Helper()
	w.expect(exitDone, append(args, "--json=id")...)
	var printed struct{ ID string }
	if err := json.Unmarshal(w.out.Bytes(), &printed); err != nil {
		w.t.Fatalf("%v: %s", err, &w.out)
	}
	return printed.ID
}

func words(args ...string) func(*pairOfUsers) []string {
	return func(*pairOfUsers) []string { return args }
}

// outputCases has a row for each command.
func outputCases() map[string]outputCase {
	hold := func(p *pairOfUsers) string { return p.id(p.bob, "transfer", "@"+p.adaName, "1", "--authorize") }
	cases := map[string]outputCase{
		"kizo":           {args: words("--help")},
		"kizo balance":   {args: words()},
		"kizo statement": {args: words()},
		"kizo dashboard": {args: words("--once")},
		"kizo transfer": {moves: true, args: func(p *pairOfUsers) []string {
			return []string{"@" + p.bobName, "1"}
		}},
		"kizo deposit":           {moves: true, args: words("1", "--wait=30s")},
		"kizo withdraw":          {moves: true, args: words("1", "--wait=30s")},
		"kizo transfers list":    {args: words()},
		"kizo transfers show":    {args: func(p *pairOfUsers) []string { return []string{p.id(p.ada, "deposit", "1")} }},
		"kizo explain":           {args: func(p *pairOfUsers) []string { return []string{p.id(p.ada, "deposit", "1")} }},
		"kizo transfers capture": {moves: true, args: func(p *pairOfUsers) []string { return []string{hold(p)} }},
		"kizo transfers void":    {moves: true, args: func(p *pairOfUsers) []string { return []string{hold(p)} }},
		"kizo transfers reverse": {moves: true, args: func(p *pairOfUsers) []string {
			return []string{p.id(p.bob, "transfer", "@"+p.adaName, "1")}
		}},
		"kizo events":                       {args: words("--since", "1h", "--limit", "1")},
		"kizo mcp":                          {skip: "its stdout has the messages of a protocol; it has tests of its own"},
		"kizo email verify":                 {skip: "without a terminal it prints nothing; mail.txtar runs it"},
		"kizo email change":                 {skip: "without a terminal it prints nothing; mail.txtar runs it"},
		"kizo email confirm":                {skip: "it needs a mailed code; mail.txtar runs it"},
		"kizo status":                       {args: words()},
		"kizo demo":                         {skip: "it needs a machine without its context and users; demo.txtar runs it"},
		"kizo dev mail":                     {args: func(p *pairOfUsers) []string { return []string{"--data", filepath.Join(p.kizod.dir, "data")} }},
		"kizo trigger":                      {moves: true, args: words("deposit.callback-twice", "1", "--wait=30s")},
		"kizo listen":                       {skip: "it needs a receiver; it prints what kizo events prints"},
		"kizo wallet list":                  {args: words()},
		"kizo wallet open":                  {args: words("USD")},
		"kizo pending":                      {skip: "it has a test of its own"},
		"kizo pending drop":                 {skip: "it needs a command whose outcome is unknown; it prints to stderr"},
		"kizo pay status":                   {args: func(p *pairOfUsers) []string { return []string{p.payout()} }},
		"kizo pay list":                     {args: func(p *pairOfUsers) []string { p.payout(); return nil }},
		"kizo pay refused":                  {args: func(p *pairOfUsers) []string { return []string{p.payout()} }},
		"kizo pay resume":                   {args: func(p *pairOfUsers) []string { return []string{p.payout()} }},
		"kizo retry":                        {skip: "it has a test of its own"},
		"kizo profile set":                  {args: words("--findable-by-email=true")},
		"kizo whoami":                       {args: words()},
		"kizo api":                          {args: words("GET", "/v1/wallets")},
		"kizo commands":                     {args: words()},
		"kizo sync":                         {skip: "it writes files; its messages go to stderr"},
		"kizo doctor":                       {args: words()},
		"kizo account export":               {args: words()},
		"kizo account close":                {skip: "it ends the user of the other cases; it prints what freeze-me prints"},
		"kizo export":                       {args: words("--format", "hledger")},
		"kizo login":                        {args: func(p *pairOfUsers) []string { return []string{p.adaName, "--password-stdin"} }},
		"kizo signup":                       {args: newAccount, elsewhere: true},
		"kizo logout":                       {skip: "the session is needed; it prints what sessions revoke prints"},
		"kizo ops approvals list":           {args: words()},
		"kizo ops approvals approve":        {skip: "it needs a request of another operator; it prints what ops approvals list prints"},
		"kizo ops approvals reject":         {skip: "it needs a request of another operator; it prints what ops approvals list prints"},
		"kizo handle change":                {skip: "the other cases need the handle; it prints what profile set prints"},
		"kizo unfreeze-me":                  {skip: "it needs a second factor; it prints what freeze-me prints"},
		"kizo freeze-me":                    {skip: "no other case could move money; it prints what sessions revoke prints"},
		"kizo second-factor status":         {args: words()},
		"kizo second-factor add":            {args: words("--password-stdin")},
		"kizo second-factor confirm":        {skip: "it would turn the second factor of the other cases on; it prints what lists print"},
		"kizo second-factor recovery-codes": {skip: "it needs a second factor; it prints what second-factor confirm prints"},
		"kizo step-up status":               {args: words()},
		"kizo step-up confirm":              {skip: "it needs a second factor; it prints what step-up status prints"},
		"kizo step-up set":                  {skip: "it needs a second factor; it prints what step-up status prints"},
		"kizo step-up remove":               {skip: "it needs a second factor; it prints what step-up status prints"},
		"kizo second-factor remove":         {skip: "it needs a second factor; it prints what sessions revoke prints"},
		"kizo password reset":               {skip: "it needs a code from an operator; it prints what login prints"},
		"kizo password change":              {skip: "it would change the password of the other cases; it prints what keys create prints"},
		"kizo approve":                      {skip: "it needs a device that waits; it prints what freeze-me prints"},
		"kizo deny":                         {skip: "it prints what approve prints"},
		"kizo sessions list":                {args: words()},
		"kizo sessions history":             {args: words()},
		"kizo notices":                      {args: words()},
		"kizo notices read":                 {args: func(p *pairOfUsers) []string { return []string{p.notice()} }},
		"kizo sessions revoke":              {silent: true, args: otherSession},
		"kizo config list":                  {args: words()},
		"kizo config get":                   {args: words("server")},
		"kizo config edit":                  {skip: "it runs an editor; its messages go to stderr"},
		"kizo config set":                   {silent: true, args: words("currency", "USD")},
		"kizo config unset":                 {silent: true, args: words("currency")},
		"kizo version":                      {args: words()},
		"kizo completion bash":              {args: words()},
		"kizo completion zsh":               {args: words()},
		"kizo completion fish":              {args: words()},
		"kizo completion powershell":        {args: words()},
		"kizo help":                         {args: words()},
		"kizo ops queues":                   {args: words()},
		"kizo ops tasks list":               {args: words("--state", "completed")},
		"kizo ops payments list":            {args: words()},
		"kizo ops payments show":            {args: func(p *pairOfUsers) []string { return []string{p.id(p.ada, "deposit", "1", "--wait=30s")} }},
		"kizo ops payments resolve":         {skip: "it needs a payment that needs review; it prints what ops payments show prints"},
		"kizo ops reconcile":                {args: words()},
		"kizo ops audit":                    {args: words()},
		"kizo ops actions":                  {args: words()},
		"kizo ops queue pause":              {silent: true, args: words("bank", "--reason", "test")},
		"kizo ops queue resume":             {silent: true, args: words("bank", "--reason", "test")},
		"kizo ops user freeze":              {skip: "nothing else would move; it prints what ops queue pause prints"},
		"kizo ops user unfreeze":            {silent: true, args: bobForAReason},
		"kizo ops user suspend":             {skip: "it would end the session of the other cases; it prints what ops user unfreeze prints"},
		"kizo ops user reinstate":           {silent: true, args: bobForAReason},
		"kizo ops user end-sessions":        {skip: "it would end the session of the other cases; it prints what ops user unfreeze prints"},
	}
	for _, action := range []string{"retry", "archive", "delete"} {
		cases["kizo ops tasks "+action] = outputCase{skip: "it needs a task; it prints what ops queue pause prints"}
	}
	maps.Copy(cases, contextCases())
	maps.Copy(cases, namesCases())
	cases["kizo keys create"] = outputCase{args: func(p *pairOfUsers) []string {
		p.made++
		return []string{"--name", fmt.Sprint("key", p.made), "--scope", "read", "--password-stdin"}
	}}
	cases["kizo keys list"] = outputCase{args: words()}
	cases["kizo keys rotate"] = outputCase{args: func(p *pairOfUsers) []string { return []string{p.key(), "--password-stdin"} }}
	cases["kizo keys revoke"] = outputCase{silent: true, args: func(p *pairOfUsers) []string { return []string{p.key()} }}
	cases["kizo ops user keys"] = outputCase{args: func(p *pairOfUsers) []string { p.key(); return []string{p.adaName} }}
	cases["kizo limits show"] = outputCase{args: words()}
	cases["kizo limits set"] = outputCase{args: words("--max-per-day", "900000USD")}
	cases["kizo limits remove"] = outputCase{args: words("USD")}
	cases["kizo ops user show"] = outputCase{args: func(p *pairOfUsers) []string { return []string{p.adaName} }}
	cases["kizo ops user limits"] = outputCase{args: func(p *pairOfUsers) []string { return []string{p.adaName} }}
	cases["kizo ops user revoke-keys"] = outputCase{silent: true, args: bobForAReason}
	return cases
}

func contextCases() map[string]outputCase {
	return map[string]outputCase{
		"kizo auth status":    {args: words()},
		"kizo context list":   {args: words()},
		"kizo context show":   {args: words()},
		"kizo context use":    {silent: true, args: words("default")},
		"kizo context add":    {silent: true, args: func(p *pairOfUsers) []string { return []string{p.contextName(), "--server", p.kizod.URL} }},
		"kizo context rename": {silent: true, args: func(p *pairOfUsers) []string { return []string{p.context(), p.contextName()} }},
		"kizo context remove": {silent: true, args: func(p *pairOfUsers) []string { return []string{p.context(), "--yes"} }},
	}
}

// contextName returns a name that no context has.
func (p *pairOfUsers) contextName() string {
	p.made++
	return fmt.Sprint("context", p.made)
}

// context adds a context and returns its name.
func (p *pairOfUsers) context() string {
	name := p.contextName()
	p.ada.expect(exitDone, "context", "add", name, "--server", p.kizod.URL)
	return name
}

// key creates an API key and returns its name.
func (p *pairOfUsers) key() string {
	p.made++
	name := fmt.Sprint("key", p.made)
	p.ada.expect(exitDone, "keys", "create", "--name", name, "--scope", "read", "--password-stdin")
	return name
}

// notice makes a notice and returns its id.
func (p *pairOfUsers) notice() string {
	p.key()
	p.ada.expect(exitDone, "notices", "--limit", "1", "--output", "id")
	return strings.TrimSpace(p.ada.out.String())
}

func bobForAReason(p *pairOfUsers) []string { return []string{p.bobName, "--reason", "test"} }

// payout pays one row from a file, and returns the name of its run.
func (p *pairOfUsers) payout() string {
	p.made++
	run := fmt.Sprintf("run%d", p.made)
	file := p.ada.write(run+".csv", "to,amount,currency,id\n@"+p.bobName+",0.01,USD,1\n")
	p.ada.expect(exitDone, "pay", "--file", file, "--run", run)
	return run
}

func newAccount(p *pairOfUsers) []string {
	p.made++
	name := fmt.Sprintf("%s%d", p.adaName, p.made)
	return []string{"--email", name + "@example.com", "--handle", name, "--name", "New", "--password-stdin"}
}

func otherSession(p *pairOfUsers) []string {
	elsewhere := newWorld(p.ada.t, nil)
	elsewhere.real, elsewhere.env["KIZO_SERVER"], elsewhere.stdin = true, p.kizod.URL, p.ada.stdin
	elsewhere.expect(exitDone, "login", p.adaName, "--password-stdin")
	elsewhere.expect(exitDone, "sessions", "list", "--json=id,current")
	var sessions []client.Session
	if err := json.Unmarshal(elsewhere.out.Bytes(), &sessions); err != nil {
		p.ada.t.Fatal(err)
	}
	i := slices.IndexFunc(sessions, func(s client.Session) bool { return s.Current })
	return []string{sessions[i].Id.String()}
}

// full runs a command whose stdout is /dev/full.
func (w *world) full(args ...string) int {
	w.t.Helper()
	device, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		w.t.Skip("this system has no /dev/full")
	}
	defer device.Close()
	a := w.app(args...)
	a.io.Out = device
	return a.execute(w.t.Context())
}

func TestUnwrittenResultHasItsOwnExitCode(t *testing.T) {
	p := newPair(t)
	cases := outputCases()
	for _, cmd := range everyCommand(newRootCommand(p.ada.app())) {
		path := strings.Fields(cmd.CommandPath())[1:]
		t.Run(strings.Join(append(path, "help"), " "), func(t *testing.T) {
			if code := p.ada.full(append(path, "--help")...); code != exitOutput || p.ada.err.Len() == 0 {
				t.Errorf("exit code %d, stderr %q", code, &p.ada.err)
			}
		})
		if cmd.HasSubCommands() && cmd.HasParent() || !cmd.Runnable() {
			continue // it shows its help
		}
		test, known := cases[cmd.CommandPath()]
		if !known {
			t.Errorf("%s has no row in outputCases", cmd.CommandPath())
			continue
		}
		for _, mode := range outputModes {
			if len(mode.flags) > 0 && cmd.Flags().Lookup("json") == nil {
				continue
			}
			t.Run(strings.Join(append(path, mode.name), " "), func(t *testing.T) {
				if test.skip != "" {
					t.Skip(test.skip)
				}
				p.check(t, path, test, mode)
			})
		}
	}
	if code := p.ada.full("--version"); code != exitOutput {
		t.Errorf("--version: exit code %d", code)
	}
	if code := p.ada.full("__complete", "tra"); code != exitOutput {
		t.Errorf("a completion: exit code %d", code)
	}
}

// check runs one command whose stdout is full. A command that moves money must say what moved, keep
// it in kizo pending, and show it with kizo retry without moving it again.
func (p *pairOfUsers) check(t *testing.T, path []string, test outputCase, mode outputMode) {
	t.Helper()
	args := append(append(slices.Clone(path), test.args(p)...), mode.flags...)
	key := fmt.Sprintf("key-%s-%s", strings.Join(path, "-"), mode.name)
	if test.moves {
		args = append(args, "--idempotency-key", key)
	}
	w := p.ada
	if test.elsewhere {
		w = newWorld(t, nil)
		w.real, w.env["KIZO_SERVER"], w.stdin = true, p.kizod.URL, p.ada.stdin
	}
	w.terminal = mode.terminal
	code := w.full(args...)
	w.terminal = false
	stderr := w.err.String()
	if test.silent && len(mode.flags) == 0 {
		if code != exitDone {
			t.Errorf("exit code %d, stderr %s", code, stderr)
		}
		return
	}
	if code != exitOutput || !strings.Contains(stderr, "no space left on device") {
		t.Fatalf("exit code %d, stderr %s", code, stderr)
	}
	if len(mode.flags) > 0 {
		testkit.Contains(t, w.err.String(), `"code":"output_failed"`, `"exit_code":9`)
	}
	if !test.moves {
		return
	}
	w.expect(exitDone, "pending", "--json=key")
	testkit.Contains(t, w.out.String(), key)
	w.expect(exitDone, "retry", key, "--json=id,state")
	var moved struct{ ID, State string }
	testkit.Must(t, json.Unmarshal(w.out.Bytes(), &moved))
	if !strings.Contains(stderr, moved.ID) || !strings.Contains(stderr, key) || !strings.Contains(stderr, moved.State) {
		t.Errorf("transfer %+v with key %s, stderr %s", moved, key, stderr)
	}
	w.expect(exitDone, "pending")
	if w.out.Len() > 0 {
		t.Errorf("still pending: %s", &w.out)
	}
	w.expect(exitDone, "transfers", "list", "--limit", "1", "--json=id")
	if w.out.String() != fmt.Sprintf("[{%q:%q}]\n", "id", moved.ID) && path[0] != "transfers" {
		t.Errorf("%s is not the newest transfer: %s", moved.ID, &w.out)
	}
}

func TestRetryKeepsWhatItCannotShow(t *testing.T) {
	p := newPair(t)
	w := p.ada
	for _, key := range []string{"one", "two"} {
		if code := w.full("transfer", "@"+p.bobName, "1", "--idempotency-key", key); code != exitOutput {
			t.Fatalf("exit code %d", code)
		}
	}
	for _, args := range [][]string{{"pending"}, {"pending", "--json"}, {"retry"}, {"retry", "--json"}} {
		if code := w.full(args...); code != exitOutput {
			t.Errorf("%v: exit code %d, stderr %s", args, code, &w.err)
		}
		if args[0] == "retry" {
			testkit.Contains(t, w.err.String(), "one", "two", "posted")
		}
	}
	if code := w.full("retry", "two"); code != exitOutput {
		t.Errorf("exit code %d", code)
	}
	w.expect(exitDone, "pending", "--json=key")
	testkit.Contains(t, w.out.String(), `[{"key":"one"},{"key":"two"}]`)
	w.expect(exitDone, "retry")
	if rows := strings.Count(w.out.String(), "\n"); rows != 2 {
		t.Errorf("%d transfers shown: %s", rows, &w.out)
	}
	w.expect(exitDone, "pending")
	if w.out.Len() > 0 {
		t.Errorf("still pending: %s", &w.out)
	}
	w.expect(exitDone, "balance", "USD", "--json=balance")
	testkit.Contains(t, w.out.String(), `{"balance":99800}`)
}

// TestStdoutOfTheRealProgram tests what only a process has: signals and file descriptors.
func TestStdoutOfTheRealProgram(t *testing.T) {
	transferID := "0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d"
	for _, test := range []struct {
		name, shell string
		code        int
		open        bool
	}{
		{"full disk", `exec kizo "$@" >/dev/full`, exitOutput, true},
		{"read only", `exec kizo "$@" 1</dev/null`, exitOutput, true},
		{"closed", `exec kizo "$@" >&-`, exitDone, false},
		{"discarded", `exec kizo "$@" >/dev/null`, exitDone, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, newFakeServer(t, answerTransfer(http.StatusCreated, "posted", "")).Server)
			command := exec.CommandContext(t.Context(), "sh", "-c", test.shell, "sh", "transfer", "@bob", "12.50", "--idempotency-key", "k")
			if code := w.runProcess(command); code != test.code {
				t.Errorf("exit code %d, stderr %s", code, &w.err)
			}
			if test.name != "discarded" {
				testkit.Contains(t, w.err.String(), transferID, "idempotency key: k", "the transfer of 12.50 USD is posted")
			}
			w.expect(exitDone, "pending", "--json=key")
			if got, want := w.out.String(), map[bool]string{true: "[{\"key\":\"k\"}]\n", false: "[]\n"}[test.open]; got != want {
				t.Errorf("pending %s, want %s", got, want)
			}
		})
	}
}

// TestADeadPipeDoesNotKill: kizo ends with its own exit code, and says what was lost. A command
// that only reads says nothing: its reader, for example head, has seen enough.
func TestADeadPipeDoesNotKill(t *testing.T) {
	w := newWorld(t, newFakeServer(t, answerTransfer(http.StatusCreated, "posted", "")).Server)
	for _, test := range []struct {
		says string
		args []string
	}{
		{"broken pipe", []string{"transfer", "@bob", "12.50", "--idempotency-key", "k"}},
		{"broken pipe", []string{"api", "POST", "/v1/transfers", "--idempotency-key", "raw"}},
		{"", []string{"wallet", "list"}},
		{"", []string{"version"}},
		{"", []string{"--help"}},
		{"", []string{"completion", "bash"}},
	} {
		read, write, err := os.Pipe()
		testkit.Must(t, err)
		read.Close()
		command := exec.CommandContext(t.Context(), "kizo", test.args...)
		command.Stdout = write
		code := w.runProcess(command)
		write.Close()
		if code != exitOutput {
			t.Errorf("%v: %v: %s", test.args, command.ProcessState, &w.err)
		}
		if test.says == "" {
			testkit.Equal(t, fmt.Sprint("stderr of ", test.args), w.err.String(), "")
		}
		testkit.Contains(t, w.err.String(), test.says)
	}
	w.expect(exitDone, "retry", "k", "--json=id")
}

// runProcess runs a process in this world and returns its exit code, -1 if a signal killed it.
func (w *world) runProcess(command *exec.Cmd) int {
	w.t.Helper()
	w.err.Reset()
	command.Env = os.Environ()
	for name, value := range w.env {
		command.Env = append(command.Env, name+"="+value)
	}
	command.Stderr = &w.err
	if err := command.Run(); err != nil && command.ProcessState == nil {
		w.t.Fatal(err)
	}
	return command.ProcessState.ExitCode()
}

func TestOnlyTheFirstWriteErrorIsKept(t *testing.T) {
	out := &stdout{Writer: &failing{}}
	for range 2 {
		_, _ = out.Write([]byte("x"))
	}
	if out.err == nil || out.err.Error() != "failure 1" {
		t.Errorf("%v", out.err)
	}
	var good bytes.Buffer
	if n, err := io.WriteString(&stdout{Writer: &good}, "abc"); n != 3 || err != nil || good.String() != "abc" {
		t.Errorf("%d, %v", n, err)
	}
}

type failing struct{ n int }

func (f *failing) Write([]byte) (int, error) {
	f.n++
	return 0, fmt.Errorf("failure %d", f.n)
}

// TestNarrowTerminalsShowAmountsIDsAndStatesWhole prints tables at many widths.
func TestNarrowTerminalsShowAmountsIDsAndStatesWhole(t *testing.T) {
	p := newPair(t)
	hold := p.id(p.bob, "transfer", "@"+p.adaName, "300", "--authorize", "-m", "a memo that is longer than the terminal is wide")
	p.ada.expect(exitDone, "transfers", "capture", hold, "12.50")
	payment := p.id(p.ada, "deposit", "77", "--wait=30s")
	p.ada.expect(exitDone, "wallet", "list", "--json=id")
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"transfers", "list"}, []string{hold, "posted", " 12.50 USD"}},
		{[]string{"transfers", "show", hold}, []string{hold, "posted", " 12.50 USD", " 300.00 USD"}},
		{[]string{"wallet", "list"}, []string{" 1089.50 USD", " 0.00 USD"}},
		{[]string{"balance", "USD"}, []string{" 1089.50 USD", "active"}},
		{[]string{"ops", "payments", "list"}, []string{payment, "executed", " 77.00 USD"}},
		{[]string{"explain", hold}, []string{"12.50 USD", "300.00 USD"}},
		{[]string{"dashboard", "--once"}, []string{hold, "posted", " 12.50 USD", " 300.00 USD", "1089.50 USD"}},
		{[]string{"events", "--since", "1h", "--until-live"}, []string{"posted", "+12.50 USD", "+300.00 USD"}},
	} {
		for _, width := range []int{1, 10, 20, 40, 60, 80, 132} {
			p.ada.terminal, p.ada.width = true, width
			p.ada.expect(exitDone, test.args...)
			p.ada.terminal = false
			for _, want := range test.want {
				if !strings.Contains(p.ada.out.String(), want) {
					t.Errorf("%v at %d columns lacks %q:\n%s", test.args, width, want, &p.ada.out)
				}
			}
		}
	}
}
