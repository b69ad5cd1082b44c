package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/internal/printable"
)

// emptyConfig is what an editor shows if there is no configuration yet.
const emptyConfig = `# Settings of kizo: kizo help environment
#
# server = "https://kizo.example"
# currency = "EUR"
`

func newConfigEditCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "edit",
		Short: "Edit your configuration file",
		Long: `Edit your configuration file with VISUAL, EDITOR or vi. With --context NAME, edit that context.

The editor gets a copy, which replaces the file if it is valid. Otherwise you can edit it again, and
nothing changes.`,
		Example: `  kizo config edit
  EDITOR=nano kizo config edit --context work`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return configEditRun(cmd.Context(), a) },
	}
}

func configEditRun(ctx context.Context, a *app) error {
	editor := strings.Fields(cmp.Or(a.env("VISUAL"), a.env("EDITOR")))
	if len(editor) == 0 {
		if a.io.ReadLine == nil || !a.io.OutTerminal {
			return withHint(usagef("there is no terminal for an editor"), "kizo config set SETTING VALUE")
		}
		editor = []string{"vi"}
	}
	path, err := a.configToWrite("server")
	if err != nil {
		return err
	}
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	shown := before
	if len(before) == 0 {
		shown = []byte(emptyConfig)
	}
	draft, err := newDraft(path, shown)
	if err != nil {
		return err
	}
	for {
		edited, err := runEditor(ctx, editor, draft)
		if err != nil {
			return withHint(usagef("nothing was changed: the editor %s: %w", editor[0], err), "EDITOR=nano kizo config edit")
		}
		if string(edited) == string(shown) {
			a.io.note("Nothing was changed.")
			return os.Remove(draft)
		}
		err = a.checkDraft(path, draft, before)
		if err == nil {
			err = replaceConfig(path, edited)
		}
		if err == nil {
			a.io.note("%s is changed.", printable.Text(path))
			return os.Remove(draft)
		}
		if again, asked := a.editAgain(ctx, err); asked != nil || !again {
			return withHint(errors.Join(asked, usagef("nothing was changed: %w; what you wrote is in %s", err, draft)), a.commandLine())
		}
	}
}

// newDraft writes a copy of a configuration file beside it.
func newDraft(path string, content []byte) (string, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".edit-*.toml") // 0600; its ending tells the editor what it is
	if err != nil {
		return "", err
	}
	_, err = file.Write(content)
	return file.Name(), errors.Join(err, file.Close())
}

func runEditor(ctx context.Context, editor []string, path string) ([]byte, error) {
	command := exec.CommandContext(ctx, editor[0], append(editor[1:len(editor):len(editor)], path)...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// checkDraft refuses a draft that is not valid, and one whose original has changed meanwhile.
func (a *app) checkDraft(path, draft string, before []byte) error {
	known := settings
	if filepath.Dir(path) == a.contextsDir() {
		known = contextSettings
	}
	values, err := readConfig(draft, known, true)
	if err != nil {
		return err
	}
	if filepath.Dir(path) == a.contextsDir() {
		old, err := readConfig(path, known, true)
		if err != nil {
			return err
		}
		if values["id"] != old["id"] || values["server"] == "" {
			return usagef("a context keeps its id, and needs a server")
		}
	}
	for key, value := range values {
		if key == "id" {
			continue
		}
		if _, err := a.checkSetting(key, value); err != nil {
			return err
		}
	}
	now, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if string(now) != string(before) {
		return usagef("another program changed %s meanwhile", path)
	}
	return nil
}

// editAgain asks a user at a terminal after an invalid draft.
func (a *app) editAgain(ctx context.Context, invalid error) (bool, error) {
	if a.io.ReadLine == nil {
		return false, nil
	}
	a.io.note("kizo: %s", printable.Text(invalid.Error()))
	answer, err := a.io.ReadLine(ctx, "Edit it again? Type yes: ")
	return saysYes(answer), err
}
