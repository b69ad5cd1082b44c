package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

type doctorOptions struct {
	app    *app
	output outputFlags
}

// The states of a finding.
const (
	findingOK      = "ok"
	findingWarning = "warning"
	findingFailed  = "failed"
)

// finding is the result of one check.
type finding struct {
	Check  string   `json:"check"`
	State  string   `json:"state"` // ok, warning or failed
	Detail string   `json:"detail"`
	Fix    []string `json:"fix"` // what to type
}

var findingColumns = []column{{title: "CHECK"}, {title: "STATE", state: true}, {title: "DETAIL", free: true}, {title: "FIX", free: true}}

func newDoctorCommand(a *app) *cobra.Command {
	opts := &doctorOptions{app: a}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check everything that kizo needs, and say how to fix what is wrong",
		Long: `Check settings, state directory, disk, server, versions, clocks, encryption, session, unfinished commands
and completion. Each line that is not ok names its fix. It exits with 1 if a check failed; warnings are no
failures. Nothing is changed.`,
		Example: `  kizo doctor
  kizo doctor --jq '.[] | select(.state != "ok")'`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return doctorRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, finding{}, findingColumns...)
	return cmd
}

func doctorRun(ctx context.Context, opts *doctorOptions) error {
	a := opts.app
	findings := []finding{a.checkSettings(), a.checkStateDirectory(), a.checkDisk()}
	findings = append(findings, a.checkServer(ctx)...)
	findings = append(findings, a.checkUnfinished(), a.checkCompletion())
	var rows [][]string
	failed := 0
	for i, f := range findings {
		if f.Fix == nil {
			findings[i].Fix = []string{}
		}
		if f.State == findingFailed {
			failed++
		}
		rows = append(rows, []string{f.Check, f.State, f.Detail, strings.Join(f.Fix, "; ")})
	}
	if a.human() {
		a.format = formatWide // neither a cause nor a fix is cut
	}
	if err := a.printList(opts.output, findings, findingColumns, rows); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(findings))
	}
	return nil
}

// failure returns the finding for an error, with the fixes that the error itself names.
func (a *app) failure(check string, err error) finding {
	return finding{check, findingFailed, err.Error(), a.next(err)}
}

func (a *app) checkSettings() finding {
	const check = "settings"
	c, err := a.config()
	if err != nil {
		return a.failure(check, err)
	}
	return finding{Check: check, State: findingOK, Detail: fmt.Sprintf("server %s (%s)", c.Server.Value, c.Server.Origin)}
}

// checkStateDirectory writes as much as a session takes, and removes it.
func (a *app) checkStateDirectory() finding {
	const check = "state directory"
	dir, err := a.stateDir()
	if err != nil {
		return a.failure(check, err)
	}
	info, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return finding{Check: check, State: findingOK, Detail: dir + " will be made when it is needed"}
	}
	if err != nil {
		return a.failure(check, err)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 && filepath.Separator == '/' {
		return finding{check, findingWarning, fmt.Sprintf("others can enter %s (%04o)", dir, info.Mode().Perm()), []string{"chmod 700 " + shellQuote(dir)}}
	}
	written, err := reserve(filepath.Join(dir, "doctor"), maxSession)
	if err != nil {
		return finding{check, findingFailed, err.Error(), []string{"df -h " + shellQuote(dir)}}
	}
	written.release()
	return finding{Check: check, State: findingOK, Detail: dir + " is private, and there is space"}
}

// minFreeSpace is far above what sessions and the log of commands take, in bytes.
const minFreeSpace = 100 << 20

// checkDisk checks the space where commands are recorded before they are sent: on a full disk, no
// money moves.
func (a *app) checkDisk() finding {
	const check = "disk"
	dir, err := a.stateDir()
	if err != nil {
		return finding{Check: check, State: findingOK, Detail: "not checked: there is no state directory"}
	}
	for _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist); _, err = os.Stat(dir) {
		dir = filepath.Dir(dir) // the nearest directory that exists
	}
	free, err := freeSpace(dir)
	if err != nil {
		return a.failure(check, err)
	}
	f := finding{Check: check, State: findingOK, Detail: fmt.Sprintf("%d MiB free at %s", free>>20, dir)}
	if free < minFreeSpace {
		f.State, f.Fix = findingWarning, []string{"df -h " + shellQuote(dir), "kizo doctor (after you have freed space)"}
	}
	return f
}

// checkServer checks the connection and what depends on it.
func (a *app) checkServer(ctx context.Context) []finding {
	kizo, err := a.kizo()
	if err != nil {
		return []finding{a.failure("server", err)}
	}
	about, err := kizo.About(ctx)
	if err != nil {
		return []finding{a.failure("server", err)}
	}
	answers := finding{Check: "server", State: findingOK, Detail: fmt.Sprintf("%s answers in %s", kizo.Server(), about.Took.Round(time.Millisecond))}
	return []finding{answers, a.checkVersions(about), a.checkClock(about), a.checkTLS(kizo.Server(), about), a.checkSession(ctx, kizo)}
}

// minCertificateLife leaves an administrator time to renew a certificate.
const minCertificateLife = 14 * 24 * time.Hour

// checkTLS checks the encryption of the connection. That the certificate is valid and trusted has
// been checked by then: the server would not have answered.
func (a *app) checkTLS(server string, about client.About) finding {
	const check = "tls"
	switch {
	case about.TLS == nil && unencryptedRemote(server):
		return finding{check, findingWarning, "passwords and tokens travel unencrypted to another computer", []string{"use https:// in the address of the server"}}
	case about.TLS == nil:
		return finding{Check: check, State: findingOK, Detail: "not needed: the server is on this computer"}
	}
	detail := tls.VersionName(about.TLS.Version)
	if len(about.TLS.PeerCertificates) == 0 {
		return finding{Check: check, State: findingOK, Detail: detail}
	}
	end := about.TLS.PeerCertificates[0].NotAfter
	detail += ", certificate valid until " + end.UTC().Format(time.DateOnly)
	if c, err := a.config(); err == nil && c.CAFile.Value != "" {
		detail += ", also trusting " + c.CAFile.Value
	}
	if end.Sub(a.now()) < minCertificateLife {
		return finding{check, findingWarning, detail, []string{"ask the operator of the server to renew its certificate"}}
	}
	return finding{Check: check, State: findingOK, Detail: detail}
}

func (a *app) checkVersions(about client.About) finding {
	own := currentVersion().Version
	f := finding{Check: "versions", State: findingOK, Detail: fmt.Sprintf("kizo %s, kizod %s", own, about.Version)}
	if strings.HasPrefix(own, "v") && strings.HasPrefix(about.Version, "v") && own != about.Version { // others are development builds
		f.State, f.Fix = findingWarning, []string{"install the same version of both"}
	}
	return f
}

// maxClockSkew is far below the life of an access token. The header has whole seconds.
const maxClockSkew = 5 * time.Second

func (a *app) checkClock(about client.About) finding {
	ahead := a.now().Sub(about.Clock).Truncate(time.Second)
	f := finding{Check: "clock", State: findingOK, Detail: fmt.Sprintf("within %s of the server's", maxClockSkew)}
	if ahead.Abs() > maxClockSkew+about.Took {
		f = finding{"clock", findingWarning, fmt.Sprintf("%s ahead of the server's", ahead), []string{"timedatectl set-ntp true, here or there"}}
	}
	return f
}

func (a *app) checkSession(ctx context.Context, kizo *client.Client) finding {
	me, err := kizo.Me(ctx)
	if err != nil {
		return a.failure("session", err)
	}
	stored, err := a.sessions(kizo.Server())
	if err != nil {
		return a.failure("session", err)
	}
	source := "the session in " + stored.vault.String()
	if c, err := a.credential(); err == nil && c.origin != "" {
		source = c.origin
	}
	if me.Frozen != nil && *me.Frozen {
		return finding{"session", findingWarning, fmt.Sprintf("as @%s, by %s; the account is frozen: no money moves", me.Handle, source),
			[]string{"lift your own freeze with kizo unfreeze-me, or ask an operator of the server to lift it"}}
	}
	return finding{Check: "session", State: findingOK, Detail: fmt.Sprintf("as @%s, by %s", me.Handle, source)}
}

func (a *app) checkUnfinished() finding {
	const check = "unfinished"
	open, err := a.openIntents()
	if err != nil {
		return a.failure(check, err)
	}
	if len(open) > 0 {
		return finding{check, findingWarning, fmt.Sprintf("%d commands whose outcome is unknown or was not shown", len(open)), []string{"kizo pending", "kizo retry"}}
	}
	return finding{Check: check, State: findingOK, Detail: "no command"}
}

// checkCompletion looks where packages and kizo completion --help put the scripts.
func (a *app) checkCompletion() finding {
	shell := filepath.Base(a.env("SHELL"))
	data := a.xdg("XDG_DATA_HOME", "AppData", ".local", "share")
	config := a.xdg("XDG_CONFIG_HOME", "AppData", ".config")
	places := map[string][]string{
		"bash": {filepath.Join(data, "bash-completion/completions/kizo"), "/usr/share/bash-completion/completions/kizo", "/etc/bash_completion.d/kizo"},
		"zsh":  {"/usr/share/zsh/vendor-completions/_kizo", "/usr/local/share/zsh/site-functions/_kizo", "/usr/share/zsh/site-functions/_kizo"},
		"fish": {filepath.Join(config, "fish/completions/kizo.fish"), "/usr/share/fish/vendor_completions.d/kizo.fish"},
	}
	known, ok := places[shell]
	if !ok {
		return finding{Check: "completion", State: findingOK, Detail: "not checked: SHELL is none of bash, zsh and fish"}
	}
	exists := func(path string) bool { _, err := os.Stat(path); return err == nil }
	if found := slices.IndexFunc(known, exists); found >= 0 {
		return finding{Check: "completion", State: findingOK, Detail: known[found]}
	}
	return finding{"completion", findingWarning, "not found where " + shell + " usually has it", []string{"kizo completion " + shell + " --help"}}
}
