package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newManCommand writes the man pages, for packagers. The pages are written here rather than by
// cobra/doc, which takes help texts for Markdown and would join the lines of their tables.
func newManCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the man pages into a directory",
		Hidden: true,
		Example: `  kizo man man
  man -l man/kizo-transfer.1`,
		Args: takes("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			pages := manPages(cmd.Root())
			if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // everyone may read a manual
				return err
			}
			for name, page := range pages {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(page), 0o644); err != nil { //nolint:gosec // as above
					return err
				}
			}
			a.io.note("Wrote %d pages into %s.", len(pages), args[0])
			return nil
		},
	}
}

// manPages returns the pages by file name: section 1 has a page for each command, section 7 one
// for each help topic.
func manPages(root *cobra.Command) map[string]string {
	pages := map[string]string{}
	var add func(cmd *cobra.Command)
	add = func(cmd *cobra.Command) {
		if cmd.Hidden {
			return
		}
		pages[manName(cmd)+"."+manSection(cmd)] = manPage(cmd)
		for _, below := range cmd.Commands() {
			add(below)
		}
	}
	add(root)
	return pages
}

func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// isTopic reports whether a command is only a page of kizo help.
func isTopic(cmd *cobra.Command) bool { return !cmd.Runnable() && !cmd.HasSubCommands() }

func manSection(cmd *cobra.Command) string {
	if isTopic(cmd) {
		return "7"
	}
	return "1"
}

func manPage(cmd *cobra.Command) string {
	cmd.InitDefaultHelpFlag()
	var out strings.Builder
	fmt.Fprintf(&out, ".TH %s %s \"\" \"kizo %s\" \"Kizo\"\n.ad l\n.nh\n", roffWord(strings.ToUpper(manName(cmd))), manSection(cmd), roff(currentVersion().Version))
	fmt.Fprintf(&out, ".SH NAME\n%s \\- %s\n", roff(manName(cmd)), roff(cmd.Short))
	switch {
	case isGroup(cmd):
		fmt.Fprintf(&out, ".SH SYNOPSIS\n%s COMMAND\n", roff(cmd.CommandPath()))
	case !isTopic(cmd):
		fmt.Fprintf(&out, ".SH SYNOPSIS\n%s\n", roff(cmd.UseLine()))
	}
	out.WriteString(".SH DESCRIPTION\n" + roffText(orText(cmd.Long, cmd.Short+".")))
	if commands := manCommands(cmd); commands != "" {
		out.WriteString(".SH COMMANDS\n" + commands)
	}
	if cmd.Example != "" {
		out.WriteString(".SH EXAMPLES\n" + roffText(cmd.Example))
	}
	if !isTopic(cmd) {
		if options := roffOptions(cmd.NonInheritedFlags()); options != "" {
			out.WriteString(".SH OPTIONS\n" + options)
		}
		out.WriteString(".SH EXIT STATUS\nSee\n.BR kizo\\-exit\\-codes (7).\n")
	}
	out.WriteString(".SH SEE ALSO\n" + strings.Join(seeAlso(cmd), ",\n") + "\n")
	return out.String()
}

// orText returns the first text that is not empty.
func orText(first, second string) string {
	if first != "" {
		return first
	}
	return second
}

func manCommands(cmd *cobra.Command) string {
	var out strings.Builder
	for _, below := range cmd.Commands() {
		if !below.Hidden {
			fmt.Fprintf(&out, ".TP\n.BR %s (%s)\n%s\n", roffWord(manName(below)), manSection(below), roff(below.Short))
		}
	}
	return out.String()
}

// seeAlso names the commands that contain this one, and the help topics.
func seeAlso(cmd *cobra.Command) []string {
	var names []string
	for above := cmd.Parent(); above != nil; above = above.Parent() {
		names = append(names, fmt.Sprintf(".BR %s (1)", roffWord(manName(above))))
	}
	for _, topic := range cmd.Root().Commands() {
		if isTopic(topic) && topic != cmd {
			names = append(names, fmt.Sprintf(".BR %s (7)", roffWord(manName(topic))))
		}
	}
	return names
}

func roffOptions(flags *pflag.FlagSet) string {
	var out strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		kind, meaning := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		switch {
		case f.Value.Type() == "bool":
		case f.NoOptDefVal != "":
			name += "[=" + kind + "]"
		case kind != "":
			name += " " + kind
		}
		fmt.Fprintf(&out, ".TP\n.B %s\n%s\n", roff(name), roff(meaning))
	})
	return out.String()
}

// roffText turns a help text into paragraphs. Indented lines are tables and examples: they stay as
// they are.
func roffText(text string) string {
	var out strings.Builder
	table, paragraph := false, true
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		indented := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
		if table && !indented {
			out.WriteString(".fi\n.RE\n")
			table = false
		}
		switch {
		case line == "":
			paragraph = true
			continue
		case indented && !table:
			out.WriteString(".PP\n.RS 2\n.nf\n")
			table = true
		case !indented && paragraph:
			out.WriteString(".PP\n")
		}
		if indented {
			line = strings.TrimPrefix(strings.ReplaceAll(line, "\t", "  "), "  ")
		}
		out.WriteString(roff(line) + "\n")
		paragraph = false
	}
	if table {
		out.WriteString(".fi\n.RE\n")
	}
	return out.String()
}

var roffEscapes = strings.NewReplacer(`\`, `\(rs`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, ",", `,\:`, "…", `\&...`)

// roff escapes a line for roff, which would else take an apostrophe for a quotation mark and a line
// that begins with a dot for a request.
func roff(line string) string {
	escaped := roffEscapes.Replace(line)
	if strings.HasPrefix(escaped, ".") {
		return `\&` + escaped
	}
	return escaped
}

// roffWord is roff for the argument of a request.
func roffWord(word string) string { return `"` + strings.ReplaceAll(roff(word), `"`, `\(dq`) + `"` }
