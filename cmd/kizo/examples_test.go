//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/JDevAman/kizo/internal/testkit"
)

// example is what the test must know about an example to run it. The zero value: it is run as ada,
// an operator with money in USD and EUR, and must end with 0.
type example struct {
	skip   string            // why it is not run
	change map[string]string // texts to replace before it is run
	setup  string            // a script that runs before; it sets ID, which replaces the id of the example
	after  string            // a script that runs after it
	typed  []string          // prompts on a terminal, and what is typed after each
}

const (
	exampleID    = "0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d"
	exampleShort = "6e76b0"
	endless      = "it ends with Ctrl-C only"
)

// examplePrelude defines the users as commands. Each has a state directory of its own.
const examplePrelude = `
user() { XDG_STATE_HOME="$HOME/$1/state" XDG_CONFIG_HOME="$HOME/$1/config" kizo "${@:2}"; }
ada() { user ada "$@"; }
bob() { user bob "$@"; }
elsewhere() { user elsewhere "$@"; }
open_hold() { ID=$(bob transfer @ada 200 --authorize --jq .id); }
received() { ID=$(bob transfer @ada 10 --jq .id); }
unfinished() { ID=` + exampleID + `; ada transfer @bob 1 --idempotency-key $ID >/dev/full 2>/dev/null || test $? = 9; }
key() { ada keys create --name payroll --scope read --password-stdin <password.txt >/dev/null 2>&1 || true; }
payout() { ada pay --file payouts.csv --run 2026-11 >/dev/null 2>&1; }
work() { ada context add work --server https://kizo.example --user ada || true; }
task() { ada ops queue pause bank --reason test; bob deposit 1 --wait=0; ID=$(ada ops tasks list --state pending --jq '.[0].id'); }
is() { XDG_STATE_HOME="$HOME/$1/state" XDG_CONFIG_HOME="$HOME/$1/config"; }
export XDG_STATE_HOME XDG_CONFIG_HOME; is ada
`

// exampleUsers makes the users of the examples. The first is the example of kizo itself.
const exampleUsers = `
for name in bob hotel; do
  user $name signup --email $name@example.com --handle $name --name $name --password-stdin <password.txt
  user $name deposit 1000 --wait=30s
  user $name wallet open EUR
done
ada deposit 10000 --wait=30s
ada wallet open EUR
ada deposit 1000 EUR --wait=30s
ada transfer @bob 1
`

func examplesTable() map[string]example {
	password := []string{"assword: ", "correct horse battery"}
	isElsewhere := "is elsewhere; elsewhere login ada --password-stdin <password.txt"
	asEve := map[string]string{"ada": "eve"}
	loggedIn := "bob login bob --password-stdin <password.txt"
	table := map[string]example{
		"kizo dashboard": {skip: "it needs a screen; the tests of the dashboard run it"},
		"kizo events":    {skip: endless},
		"kizo events --exec 'jq -r .memo >> memos.txt'":                        {skip: endless},
		"kizo listen --forward-to http://localhost:4242/webhook":               {skip: endless},
		"kizo listen --forward-to https://shop.example/hooks/kizo --since 24h": {skip: endless},
		"kizo events --since 2h":                                               {skip: endless},
		"kizo ops queues --watch":                                              {skip: endless},
		"kizo completion fish | source":                                        {skip: "it needs fish"},
		"kizo completion powershell | Out-String | Invoke-Expression":          {skip: "it needs PowerShell"},
		"source <(kizo completion zsh)":                                        {skip: "it needs zsh"},
		"man -l man/kizo-transfer.1":                                           {skip: "TestManPagesRender does, where there is a man"},
		"kizo events --limit 1 --json": {
			setup: "(until [ -e stop ]; do bob transfer @ada 0.01; done) >/dev/null & PAYER=$!", after: "touch stop; wait $PAYER",
		},
		"kizo signup --email ada@example.com --handle ada --name Ada --currency EUR --password-stdin < password.txt": {
			change: asEve, setup: "is eve",
		},
		"kizo login ada": {setup: "is elsewhere", typed: password},
		"kizo login ada@example.com --password-stdin < password.txt": {setup: "is elsewhere"},
		"kizo login --api-key-stdin < payroll.key": {
			setup: "key; ada keys rotate payroll --secret-file payroll.key --password-stdin <password.txt; is elsewhere",
		},
		"kizo login --device":                                 {skip: "it waits for an approval; testdata/script/device.txtar runs it"},
		"kizo approve BCDF-2345":                              {skip: "it needs a device that waits; testdata/script/device.txtar does it"},
		"kizo approve BCDF-2345 --yes --otp-stdin < code.txt": {skip: "it needs a device that waits; testdata/script/device.txtar does it"},
		"kizo deny BCDF-2345":                                 {skip: "it needs a device that waits; testdata/script/device.txtar does it"},
		"kizo second-factor add":                              {skip: "it needs an app; TestSecondFactorOnATerminal runs it"},
		"kizo second-factor confirm":                          {skip: "it needs an app; TestSecondFactorOnATerminal does it"},
		"kizo second-factor remove":                           {skip: "its prompts are those of kizo login, which TestSecondFactorOnATerminal answers"},
		"kizo second-factor recovery-codes":                   {skip: "its prompts are those of kizo password change"},
		"kizo second-factor recovery-codes --password-stdin --otp-stdin < two-lines.txt": {skip: "it needs a recovery code; testdata/script/secondfactor.txtar runs it in a step-up"},
		"kizo step-up confirm":                                                   {skip: "it needs an app; TestSecondFactorOnATerminal answers the same prompt"},
		"kizo step-up confirm --otp-stdin < code.txt":                            {skip: "it needs an app; testdata/script/secondfactor.txtar runs it"},
		"kizo step-up set 500USD":                                                {skip: "it needs a second factor; testdata/script/secondfactor.txtar runs it"},
		"kizo step-up set 0EUR":                                                  {skip: "it needs a second factor; testdata/script/secondfactor.txtar runs it"},
		"kizo step-up remove USD":                                                {skip: "it needs a second factor; testdata/script/secondfactor.txtar runs it"},
		"kizo second-factor confirm --otp-stdin < code.txt":                      {skip: "it needs an app; testdata/script/secondfactor.txtar runs it"},
		"kizo second-factor remove --password-stdin --otp-stdin < two-lines.txt": {skip: "it needs a recovery code; testdata/script/secondfactor.txtar runs it"},
		"kizo logout": {setup: isElsewhere},
		"kizo sessions revoke " + exampleID: {
			setup: isElsewhere + "; ID=$(elsewhere sessions list --jq '.[] | select(.current).id'); is ada",
		},
		"kizo keys create --name agent --scope read,transfers:write --max-per-transfer 5USD --max-per-day 20USD --secret-file agent.key": {typed: password},
		"KIZO_API_KEY_FILE=reader.key kizo mcp": {
			setup: "ada keys create --name reader --scope read --secret-file reader.key --password-stdin <password.txt",
		},
		"kizo unfreeze-me":                                   {skip: "it needs a second factor; testdata/script/secondfactor.txtar runs it"},
		"kizo unfreeze-me --otp-stdin < code.txt":            {skip: "it needs a second factor; testdata/script/secondfactor.txtar runs it"},
		"kizo freeze-me --yes":                               {setup: "is hotel", after: "ada ops user unfreeze hotel --reason test"},
		"kizo config edit":                                   {setup: "export EDITOR=true"},
		"EDITOR=nano kizo config edit --context work":        {setup: "work", change: map[string]string{"nano": "true"}, after: "ada context remove work --yes"},
		"kizo transfers capture " + exampleID:                {setup: "open_hold"},
		"kizo transfers capture " + exampleID + " 120.50":    {setup: "open_hold"},
		"kizo transfers void " + exampleID:                   {setup: "open_hold"},
		"kizo transfers void " + exampleShort:                {setup: "open_hold"},
		"kizo transfers reverse " + exampleID:                {setup: "received"},
		"kizo transfers reverse " + exampleShort + " 4.50":   {setup: "received"},
		"kizo transfers show " + exampleShort:                {setup: "received"},
		"kizo explain " + exampleShort:                       {setup: "received"},
		"kizo pending drop " + exampleID:                     {setup: "unfinished", typed: []string{"Type yes: ", "yes"}},
		"kizo retry " + exampleID:                            {setup: "unfinished"},
		"kizo pay resume 2026-11":                            {setup: "payout"},
		"kizo pay status 2026-11":                            {setup: "payout"},
		"kizo pay status 2026-11 --json=rows,posted,refused": {setup: "payout"},
		"kizo pay refused 2026-11 -o csv":                    {setup: "payout"},
		"kizo context use work":                              {setup: "work", after: "ada context use default"},
		"kizo context rename work office":                    {setup: "work", after: "ada context remove office --yes"},
		"kizo context remove work":                           {setup: "work", typed: []string{"Type yes: ", "yes"}},
		"kizo config set protected true --context local": {
			setup: "ada context add local --server http://127.0.0.1:7420 || true",
		},
		"kizo alias remove rent":                       {setup: "ada alias set rent balance"},
		"kizo payees remove rent":                      {setup: "ada payees add rent @bob"},
		"kizo keys revoke payroll":                     {setup: "key"},
		"kizo keys rotate payroll":                     {setup: "key", typed: password},
		"kizo keys rotate payroll --overlap 0s":        {setup: "key", typed: password},
		"kizo keys create --name reports --scope read": {typed: password},
		"kizo keys create --name payroll --scope read,transfers:write --expires 30d --ip 203.0.113.0/24": {
			setup: "ada keys revoke payroll || true", typed: password,
		},
		"kizo limits set --max-per-transfer 50USD --max-per-day 500USD":                 {setup: "is hotel"},
		"kizo limits set --max-per-day 500USD --max-per-day 300EUR":                     {setup: "is hotel"},
		"kizo ops approvals approve " + exampleID + " --reason 'checked with the bank'": {skip: "it needs two operators and --four-eyes-above; TestFourEyes approves and rejects"},
		"kizo ops approvals reject " + exampleID + " --reason 'the bank denies it'":     {skip: "as the one before"},
		"kizo account export --otp-stdin < code.txt > account.json":                     {skip: "it needs an app; the prompt for a code is that of kizo step-up confirm"},
		"kizo account close": {skip: "its prompts are those of context remove and keys create; a test script closes an account"},
		"kizo account close --password-stdin --otp-stdin --yes < two-lines.txt": {skip: "it needs an app; a test script closes an account"},
		"kizo handle change ada_king":                                           {skip: "its prompt is that of kizo keys create; the next example reads the password from stdin"},
		"kizo handle change ada_king --password-stdin < password.txt": {
			change: map[string]string{"ada_king": "hotel_inn"}, setup: "is hotel", after: "is hotel; kizo handle change hotel --password-stdin <password.txt",
		},
		"kizo limits remove USD":                     {setup: "is hotel"},
		"kizo notices read 17":                       {change: map[string]string{"17": "$ID"}, setup: "key; ID=$(ada notices --limit 1 -o id)"},
		"kizo password reset ada":                    {skip: "the code is typed on a terminal; the next example reads one from stdin"},
		"kizo email verify":                          {skip: "it needs a mail; testdata/script/mail.txtar runs it"},
		"kizo email change ada@example.org":          {skip: "it needs a mail; testdata/script/mail.txtar runs it"},
		"kizo email confirm":                         {skip: "it needs a mail; testdata/script/mail.txtar runs it"},
		"kizo email confirm --code-stdin < code.txt": {skip: "it needs a mail; testdata/script/mail.txtar runs it"},
		"kizo status --watch":                        {skip: endless},
		"kizo demo":                                  {skip: "demo.txtar runs it"},
		"kizo demo --dashboard=false":                {skip: "demo.txtar runs it"},
		"kizo demo --live 5m":                        {skip: endless},
		"kizo dev mail":                              {skip: "it needs the data of the kizod dev of the tests; testdata/script/mail.txtar runs it"},
		"kizo dev mail --to ada@example.com --match password --last --wait 10s": {skip: "testdata/script/mail.txtar runs it"},
		"kizo password reset ada --mail":                                        {skip: "the code is typed on a terminal; testdata/script/mail.txtar does it from stdin"},
		"kizo password reset ada --password-stdin < two-lines.txt": {
			change: map[string]string{"ada": "hotel"},
			setup:  `is hotel; { $KIZOD user reset-password hotel --data $KIZOD_DATA --reason test; echo "correct horse battery"; } >two-lines.txt`,
		},
		"kizo password change": {setup: "is hotel", typed: []string{
			"assword: ", "correct horse battery", "ew password: ", "four unrelated words", "epeat", "four unrelated words",
		}},
		"kizo password change --password-stdin < two-lines.txt": {
			setup: `is hotel; printf '%s\n' "four unrelated words" "correct horse battery" >two-lines.txt`,
		},
		"kizo keys create --name lunch --scope read,transfers:write --max-per-transfer 50USD --max-per-day 500USD --to @bob": {typed: password},
		"kizo ops payments show " + exampleID: {setup: "ID=$(ada deposit 1 --wait=30s --jq .id)"},
	}
	for line, reason := range map[string]string{
		` executed --reason "the bank confirmed it by phone"`: "",
		` ask --reason "the bank is back"`:                    "",
	} {
		table["kizo ops payments resolve "+exampleID+line] = example{
			skip: "it needs a payment whose outcome the bank does not tell; the tests of package api resolve such payments" + reason,
		}
	}
	resume := "ada ops queue resume bank --reason test"
	table["kizo ops "+actExamples["task.archive"]] = example{setup: "task", after: resume}
	table["kizo ops "+actExamples["task.delete"]] = example{setup: "task", after: resume}
	table["kizo ops "+actExamples["task.retry"]] = example{setup: "task; ada ops tasks archive $ID --reason test", after: resume}
	table["kizo ops "+actExamples["queue.pause"]] = example{after: resume}
	table["kizo ops "+actExamples["account.freeze"]] = example{after: "ada ops user unfreeze bob --reason test"}
	table["kizo ops "+actExamples["user.suspend"]] = example{after: "ada ops user reinstate bob --reason test; " + loggedIn}
	table["kizo ops "+actExamples["user.end_sessions"]] = example{after: loggedIn}
	return table
}

// readmeTable is for the blocks of the README, by their first line.
func readmeTable() map[string]example {
	return map[string]example{
		"make demo    # builds, starts everything on free ports, moves money, audits the books, shows the dashboard, cleans up": {
			skip: "it installs and starts servers of its own",
		},
		"bin/kizod dev                                                   # in one terminal": {
			change: map[string]string{"bin/kizod dev ": "# the test has started it ", "bin/kizo ": "kizo ", "ada": "max", "kizo --help": "kizo --help >/dev/null"},
			setup:  "is max", typed: []string{"Password: ", "correct horse battery", "Repeat password: ", "correct horse battery"},
		},
		"# Run it as often as you like: rent is paid once.": {
			setup:  "handle() { grep -q event_id; }",
			change: map[string]string{`|| echo 24h)"`: `|| echo 24h)" --until-live`},
			after:  "test -s last",
		},
	}
}

// exampleWorld is a server with the users of the examples.
func exampleWorld(t *testing.T) *world {
	t.Helper()
	kizod, binary := ownKizod(t)
	w := newWorld(t, nil)
	w.env["KIZO_SERVER"], w.env["KIZO_CURRENCY"], w.env["TERM"] = kizod.URL, "USD", "xterm"
	w.env["KIZOD"], w.env["KIZOD_DATA"] = binary, filepath.Join(kizod.dir, "data")
	delete(w.env, "XDG_STATE_HOME")
	delete(w.env, "XDG_CONFIG_HOME")
	w.write("password.txt", "correct horse battery\n")
	w.write("payouts.csv", "to,amount,currency,memo,id\n@bob,1,USD,wages,1\n@hotel,2,EUR,,2\n")
	w.runExample(t, strings.TrimSpace(strings.Split(theCommands().Example, "\n")[0]), example{
		typed: []string{"Password: ", "correct horse battery", "Repeat password: ", "correct horse battery"},
	})
	w.runExample(t, exampleUsers, example{})
	for _, args := range [][]string{{"grant", "ada", "operator"}, {"verify-email", "bob"}} {
		args = slices.Concat([]string{"user"}, args, []string{"--data", filepath.Join(kizod.dir, "data")})
		if out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return w
}

// runExample runs a line, or several, in a shell, which ends at the first failure.
func (w *world) runExample(t *testing.T, lines string, e example) {
	t.Helper()
	for from, to := range e.change {
		if !strings.Contains(lines, from) {
			t.Fatalf("%q is not in %s", from, lines)
		}
		lines = strings.ReplaceAll(lines, from, to)
	}
	if strings.Contains(e.setup, "ID=") || slices.Contains([]string{"open_hold", "received", "unfinished", "task"}, strings.Split(e.setup, ";")[0]) {
		lines = strings.NewReplacer(exampleID, `"$ID"`, exampleShort, `"${ID: -12}"`).Replace(lines)
	}
	script := examplePrelude + "{ :\n" + e.setup + "\n} >&2\n" + lines + "\n" + e.after
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // an example that does not end
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-e", "-o", "pipefail", "-c", script)
	command.Dir = w.dir
	command.Env = os.Environ()
	for name, value := range w.env {
		command.Env = append(command.Env, name+"="+value)
	}
	var out string
	var err error
	if len(e.typed) == 0 {
		var text []byte
		text, err = command.CombinedOutput()
		out = string(text)
	} else {
		file, startErr := pty.StartWithSize(command, &pty.Winsize{Rows: 24, Cols: 80})
		testkit.Must(t, startErr)
		defer file.Close()
		x := &terminal{t: t, command: command, file: file}
		for i := 0; i < len(e.typed); i += 2 {
			x.until(e.typed[i])
			x.types(e.typed[i+1] + "\n")
		}
		if code := x.exitCode(); code != 0 {
			err = fmt.Errorf("exit code %d", code)
		}
		out = x.shown.String()
	}
	if err != nil {
		t.Fatalf("%s\n%v\n%s", lines, err, out)
	}
}

func TestEveryExampleRuns(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	testkit.Must(t, err)
	w := exampleWorld(t)
	table := examplesTable()
	used := map[string]bool{}
	run := func(line string, e example) {
		t.Run(line, func(t *testing.T) {
			if e.skip != "" {
				t.Skip(e.skip)
			}
			w.runExample(t, line, e)
		})
	}
	for _, cmd := range everyCommand(theCommands()) {
		for line := range strings.Lines(cmd.Example) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "kizo signup") && !strings.HasSuffix(line, "password.txt") {
				continue // exampleWorld has run it
			}
			used[line] = true
			run(line, table[line])
		}
	}
	for line := range table {
		if !used[line] {
			t.Errorf("no command has the example %s", line)
		}
	}
	blocks := regexp.MustCompile("(?s)```(?:sh|console)\n(.*?)\n```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) != 4 {
		t.Errorf("the README has %d blocks", len(blocks))
	}
	for _, block := range blocks {
		lines := strings.ReplaceAll("\n"+block[1], "\n$ ", "\n")[1:]
		run(lines, readmeTable()[strings.Split(lines, "\n")[0]])
	}
}
