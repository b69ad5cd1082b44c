package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/auth"
)

// settingGroup is a part of the configuration file.
type settingGroup struct {
	title    string
	settings []setting
}

// serveGroups returns the settings of serve in the order of the sample file.
func serveGroups() []settingGroup {
	return []settingGroup{
		{"PostgreSQL, Redis, the bank, and secrets", []setting{databaseURL, redisURL, bankURL, bankToken, bankCallbackSecret, secretsFile}},
		{"Roles and addresses", []setting{roles, listen, tlsCert, tlsKey, proxies, opsListen, pprofListen}},
		{"Limits of clients", []setting{rateLimit, rateAddress, inFlight, maxConns, addrConns}},
		{"Users, passwords, and sessions", []setting{currency, hashSlots, hashMaxWait, sessionIdle, sessionLifetime, fourEyes}},
		{"Mail to users", []setting{mailURL, mailFrom, mailPassword, mailRate}},
		{"Payments and audits", []setting{reviewAttempts, reviewAge, auditInterval, auditFull}},
		{"Logs, traces, and the end of the process", []setting{logFormat, logLevel, tracesURL, tracesPercent, drainDelay}},
	}
}

// serveSettings returns the settings of serve.
func serveSettings() (all []setting) {
	for _, group := range serveGroups() {
		all = append(all, group.settings...)
	}
	return all
}

// examples are the values in the sample file of settings without a default.
func examples() map[string]string {
	return map[string]string{
		databaseURL.key: "postgres://kizo_app:PASSWORD@127.0.0.1/kizo", bankURL.key: "https://bank.example", bankToken.key: "TOKEN",
		bankCallbackSecret.key: "SECRET", tlsCert.key: "/etc/kizo/tls/cert.pem", tlsKey.key: "/etc/kizo/tls/key.pem", redisURL.key: "redis://:PASSWORD@127.0.0.1:6379/0", proxies.key: "127.0.0.1", pprofListen.key: "127.0.0.1:7423", logFormat.key: "json",
		mailURL.key: "smtps://kizo@mail.example.com:465", mailFrom.key: "kizo@example.com", mailPassword.key: "/etc/kizo/mail-password",
		tracesURL.key: "http://127.0.0.1:4318/v1/traces",
	}
}

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check and print the settings",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(configCheckCommand(), configPrintCommand())
	return cmd
}

func configCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the settings of serve, without starting it",
		Long: `Check the settings of serve, as flags, environment and configuration file give them, and
the secrets file and the certificate. It connects to nothing. The exit code is 2 if a
setting is wrong, and 1 if a file is.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			read, err := readSettings(cmd, serveSettings()...)
			if err != nil {
				return err
			}
			_, err = auth.LoadSecrets(read.get(secretsFile))
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("there is no secrets file %s; see kizod help secrets init", read.get(secretsFile))
			}
			if err != nil {
				return err
			}
			if _, err := server.LoadCertificate(read.get(tlsCert), read.get(tlsKey)); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "the settings are valid")
			return err
		},
	}
	addSettings(cmd, serveSettings()...)
	return cmd
}

func configPrintCommand() *cobra.Command {
	var showOrigin, sample bool
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the settings of serve as a configuration file",
		Long: `Print the settings of serve as a configuration file, as flags, environment and
configuration file give them. Secrets are printed as "***". Invalid settings are printed,
too; kizod config check finds them.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if sample {
				return printSample(cmd.OutOrStdout())
			}
			read, err := sourcesOf(cmd, serveSettings()...)
			if err != nil {
				return err
			}
			return read.print(cmd, showOrigin)
		},
	}
	addSettings(cmd, serveSettings()...)
	cmd.Flags().BoolVar(&showOrigin, "show-origin", false, "print where each value comes from")
	cmd.Flags().BoolVar(&sample, "sample", false, "print a sample with all settings, their meanings and their defaults")
	return cmd
}

// print prints the settings of serve.
func (r *settings) print(cmd *cobra.Command, showOrigin bool) error {
	var out strings.Builder
	for _, s := range serveSettings() {
		value := r.get(s)
		if holdsSecret(s, value) {
			value = "***"
		}
		if showOrigin {
			fmt.Fprintf(&out, "# from %s\n", r.source(cmd, s))
		}
		fmt.Fprintf(&out, "%s = %s\n", s.key, tomlValue(value))
	}
	_, err := io.WriteString(cmd.OutOrStdout(), out.String())
	return err
}

// printSample prints a configuration file in which every setting is commented out.
func printSample(to io.Writer) error {
	var out strings.Builder
	out.WriteString(`# Settings of kizod. kizod config print --sample writes this file.
#
# A setting that is commented out has its default, which is the value shown unless the
# comment calls it an example. The environment variable KIZO_ and the name in upper case
# overrides this file, and a flag overrides both. After a change, run kizod config check.
# kizod refuses this file if it has passwords and other users may read it (chmod 600).
`)
	for _, group := range serveGroups() {
		fmt.Fprintf(&out, "\n# --- %s ---\n", group.title)
		for _, s := range group.settings {
			value, note := s.initial, ""
			if example, ok := examples()[s.key]; ok {
				value, note = example, " (example)"
			}
			fmt.Fprintf(&out, "\n%s%s\n#%s = %s\n", comment(s.help), note, s.key, tomlValue(value))
		}
	}
	_, err := io.WriteString(to, out.String())
	return err
}

// comment returns a text as a comment with lines of at most 90 characters.
func comment(text string) string {
	const width = 90
	var out strings.Builder
	length := width
	for word := range strings.FieldsSeq(text) {
		if length+1+len(word) > width {
			if out.Len() > 0 {
				out.WriteByte('\n')
			}
			out.WriteByte('#')
			length = 1
		}
		out.WriteString(" " + word)
		length += 1 + len(word)
	}
	return out.String()
}

// tomlValue returns a number as it is, and any other value as a TOML string.
func tomlValue(value string) string {
	if _, err := strconv.Atoi(value); err == nil {
		return value
	}
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range value {
		switch {
		case r == '"' || r == '\\':
			out.WriteString(`\` + string(r))
		case r < ' ' || r >= 0x7f: // control characters, and what a terminal might not show as it is
			fmt.Fprintf(&out, `\U%08X`, r)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
	return out.String()
}
