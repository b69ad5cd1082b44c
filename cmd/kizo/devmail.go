package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/internal/printable"
)

func newDevCommand(a *app) *cobra.Command {
	return newGroup("dev", "What kizod dev keeps on this machine", newDevMailCommand(a))
}

// devMail is a mail in the mailbox of kizod dev.
type devMail struct {
	At      time.Time `json:"at"`
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
}

type devMailOptions struct {
	app             *app
	output          outputFlags
	data, to, match string
	last            bool
	wait            time.Duration
}

var devMailColumns = []column{{title: "AT"}, {title: "TO"}, {title: "SUBJECT"}, {title: "TEXT", cut: true}}

func newDevMailCommand(a *app) *cobra.Command {
	opts := &devMailOptions{app: a}
	cmd := &cobra.Command{
		Use:   "mail",
		Short: "Show the mail that kizod dev has sent to its users",
		Long: `Show the mail that kizod dev has sent to its users, newest first.

kizod dev sends no mail: it keeps the last 200 in a directory, which its own user can read. kizo reads that
directory, so it must run on the same machine. --last prints one mail as it is.`,
		Example: `  kizo dev mail
  kizo dev mail --to ada@example.com --match password --last --wait 10s`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return devMailRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, devMail{}, devMailColumns...)
	flags := cmd.Flags()
	flags.StringVar(&opts.data, "data", "", "data of kizod dev (default $XDG_DATA_HOME/kizo, or /var/lib/kizo)")
	flags.StringVar(&opts.to, "to", "", "only mail to this address")
	flags.StringVar(&opts.match, "match", "", "only mail with this text")
	flags.BoolVar(&opts.last, "last", false, "print the newest mail as it is")
	flags.DurationVar(&opts.wait, "wait", 0, "how long to wait for a mail, at most 10m")
	return cmd
}

// devMailPoll is how often kizo looks for a new mail.
const devMailPoll = 100 * time.Millisecond

func devMailRun(ctx context.Context, opts *devMailOptions) error {
	a := opts.app
	if opts.wait < 0 || opts.wait > 10*time.Minute {
		return usagef("--wait is at most 10m")
	}
	dir := opts.dir()
	deadline := time.After(opts.wait)
	poll := time.NewTicker(devMailPoll)
	defer poll.Stop()
	mails, err := opts.read(dir)
	for over := opts.wait == 0; err == nil && len(mails) == 0 && !over; mails, err = opts.read(dir) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			over = true
		case <-poll.C:
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return withHint(fmt.Errorf("there is no mailbox of a kizod dev in %s; if it runs with --data DIR, give the same DIR here", printable.Text(dir)),
			"kizo dev mail --data DIR")
	case err != nil:
		return withHint(err, "kizo dev mail --data DIR")
	case len(mails) == 0 && opts.wait > 0:
		return fmt.Errorf("no such mail has arrived in %s", printable.Text(dir))
	case opts.last && len(mails) > 0:
		return opts.printLast(mails[0])
	}
	rows := make([][]string, len(mails))
	for i, m := range mails {
		rows[i] = []string{a.when(m.At), m.To, m.Subject, strings.Join(strings.Fields(m.Text), " ")}
	}
	return a.printList(opts.output, mails, devMailColumns, rows)
}

// dir returns the mailbox of --data, or of the directory that kizod dev uses by itself.
func (o *devMailOptions) dir() string {
	if o.data != "" {
		return filepath.Join(o.data, "mail")
	}
	dir := filepath.Join(o.app.xdg("XDG_DATA_HOME", "LocalAppData", ".local", "share"), "kizo", "mail")
	const ofRoot = "/var/lib/kizo/mail" // kizod dev of root has its data there
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if _, err := os.Stat(ofRoot); err == nil {
		return ofRoot
	}
	return dir
}

func (o *devMailOptions) printLast(m devMail) error {
	if o.output.format() != "" {
		return o.app.printOne(o.output, m, devMailColumns, []string{o.app.when(m.At), m.To, m.Subject, m.Text})
	}
	var out strings.Builder
	fmt.Fprintf(&out, "To: %s\nSubject: %s\n\n", printable.Text(m.To), printable.Text(m.Subject))
	for line := range strings.Lines(m.Text) {
		out.WriteString(printable.Text(strings.TrimRight(line, "\n")) + "\n")
	}
	return o.app.write(out.String())
}

// read returns the mails that the flags ask for, newest first. A mailbox with no mail is empty.
func (o *devMailOptions) read(dir string) ([]devMail, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	found := []devMail{}
	for _, entry := range slices.Backward(entries) {
		if !strings.HasSuffix(entry.Name(), ".txt") {
			continue
		}
		m, err := readDevMail(filepath.Join(dir, entry.Name()))
		switch {
		case os.IsNotExist(err): // kizod dev has deleted it since
		case err != nil:
			return nil, err
		case o.to != "" && !strings.EqualFold(m.To, o.to):
		case !strings.Contains(m.Subject+"\n"+m.Text, o.match):
		default:
			found = append(found, m)
		}
	}
	return found, nil
}

const maxDevMail = 64 << 10

func readDevMail(path string) (devMail, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return devMail{}, err
	}
	if len(raw) > maxDevMail {
		return devMail{}, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d bytes", maxDevMail)}
	}
	var m devMail
	head, body, _ := strings.Cut(string(raw), "\n\n")
	m.Text = body
	for line := range strings.Lines(head) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\n"), ": ")
		switch name {
		case "To":
			m.To = value
		case "Subject":
			m.Subject = value
		case "Date":
			m.At, _ = time.Parse(time.RFC1123Z, value)
		}
	}
	return m, nil
}
