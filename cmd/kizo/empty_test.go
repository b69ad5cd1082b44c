package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/JDevAman/kizo/internal/testkit"
)

// TestEmptyFlagsAreRefused gives an empty value to every flag of every command. Nothing may reach a
// server.
func TestEmptyFlagsAreRefused(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	t.Cleanup(s.Close)
	w := newWorld(t, s)
	w.write("config.toml", "")
	flags, arguments := 0, 0
	for _, cmd := range everyCommand(newRootCommand(w.app())) {
		if !cmd.Runnable() {
			continue
		}
		path := strings.Fields(cmd.CommandPath())[1:]
		args := argumentsFor(cmd.Use)
		cmd.InheritedFlags() // merges the persistent ones
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() == "bool" {
				return
			}
			flags++
			w.expect(exitUsage, append(append(path, args...), "--"+f.Name+"=")...)
			testkit.Contains(t, w.err.String(), "--"+f.Name)
		})
		for i := range args {
			empty := append([]string{}, args...)
			empty[i] = ""
			arguments++
			w.expect(exitUsage, append(path, empty...)...)
			if name := strings.Trim(strings.Fields(cmd.Use)[i+1], "[]."); name != "COMMAND" {
				testkit.Contains(t, w.err.String(), name+" is empty")
			}
		}
	}
	if asked > 0 || flags < 100 || arguments < 20 {
		t.Errorf("%d flags and %d arguments, %d requests", flags, arguments, asked)
	}
}

// everyCommand returns all commands that do something.
func everyCommand(root *cobra.Command) []*cobra.Command {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	var all []*cobra.Command
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		all = append(all, cmd)
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(root)
	return all
}

// argumentsFor returns arguments that a command takes, by the names in its usage.
func argumentsFor(use string) []string {
	var args []string
	for _, name := range strings.Fields(use)[1:] {
		switch name = strings.Trim(name, "[]."); name {
		case "AMOUNT":
			args = append(args, "12.50")
		case "CURRENCY":
			args = append(args, "USD")
		case "ID", "TRANSFER":
			args = append(args, "0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d")
		case "TO":
			args = append(args, "@bob")
		case "OUTCOME":
			args = append(args, "ask")
		case "COMMAND":
			args = append(args, "balance")
		case "SETTING":
			args = append(args, "currency")
		default:
			args = append(args, "word")
		}
	}
	return args
}

func TestEmptySettingsAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	for _, setting := range settings {
		path := w.write("empty.toml", setting+" = \"\"\n")
		w.expect(exitUsage, "config", "list", "--config", path)
		testkit.Contains(t, w.err.String(), setting+" is empty")
	}
}

// TestADayWithoutMidnight: for each flag that takes a date, a day begins at the first instant of
// its date.
func TestADayWithoutMidnight(t *testing.T) {
	havana, err := time.LoadLocation("America/Havana")
	testkit.Must(t, err)
	query, body := "", ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query += r.URL.RawQuery
		sent, _ := io.ReadAll(r.Body)
		body += string(sent)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"code":"parameter_malformed","detail":"seen"}`))
	}))
	t.Cleanup(s.Close)
	w := newWorld(t, s)
	w.now = time.Date(2026, 3, 7, 12, 0, 0, 0, havana)
	const date = "2026-03-08" // it begins at 01:00
	for _, args := range [][]string{
		{"balance", "USD", "--at", date}, {"transfers", "list", "--since", date}, {"transfers", "list", "--until", date},
		{"events", "--since", date}, {"transfer", "@bob", "1", "USD", "--authorize", "--dry-run", "--expires", date},
	} {
		query, body = "", ""
		w.expect(exitUsage, args...)
		if !strings.Contains(query, "2026-03-08T05%3A00%3A00Z") && !strings.Contains(body, "2026-03-08T05:00:00Z") {
			t.Errorf("%v asked for %s %s", args, query, body)
		}
	}
}

// TestZeroTimeIsATime: the zero time does not mean now, or no bound.
func TestZeroTimeIsATime(t *testing.T) {
	asked := map[string]string{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked[r.URL.Path] = r.URL.RawQuery
		if r.URL.Path == "/v1/wallets" {
			_, _ = w.Write([]byte(`{"items":[{"id":"0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4e","currency":"USD","balance":1,"held":0,"available":1,"status":"active"}]}`))
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"code":"parameter_malformed","detail":"write a time from 1970 to 9999"}`))
	}))
	t.Cleanup(s.Close)
	w := newWorld(t, s)
	zero := time.Time{}.Format(time.RFC3339)
	for _, args := range [][]string{
		{"balance", "--at", zero}, {"balance", "USD", "--at", zero},
		{"transfers", "list", "--since", zero}, {"transfers", "list", "--until", zero}, {"events", "--since", zero},
	} {
		clear(asked)
		w.expect(exitUsage, args...)
		found := false
		for _, query := range asked {
			found = found || strings.Contains(query, "0001-01-01T00%3A00%3A00Z")
		}
		if !found {
			t.Errorf("%v asked %v", args, asked)
		}
	}
	w.expect(exitUsage, "transfer", "@bob", "1", "--authorize", "--expires", zero)
}
