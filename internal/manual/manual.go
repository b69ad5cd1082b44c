// Package manual writes the man pages of a program from its commands. The pages are written here
// rather than by cobra/doc, which takes help texts for Markdown and would join the lines of their
// tables.
package manual

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Program is a program whose manual is written.
type Program struct {
	Root    *cobra.Command
	Version string
	Section string                    // "1" for commands of users, "8" for those of administrators
	Exit    string                    // the text of EXIT STATUS, in roff
	Groups  func(*cobra.Command) bool // whether a command only contains others
}

// Pages returns the pages by file name: the section of the program has a page for each command,
// section 7 one for each help topic.
func (p Program) Pages() map[string]string {
	pages := map[string]string{}
	var add func(cmd *cobra.Command)
	add = func(cmd *cobra.Command) {
		if cmd.Hidden {
			return
		}
		pages[name(cmd)+"."+p.section(cmd)] = p.page(cmd)
		for _, below := range cmd.Commands() {
			add(below)
		}
	}
	add(p.Root)
	return pages
}

// Write writes the pages into a directory, which it makes, and returns how many there are.
func (p Program) Write(dir string) (int, error) {
	pages := p.Pages()
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // everyone may read a manual
		return 0, err
	}
	for file, page := range pages {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(page), 0o644); err != nil { //nolint:gosec // as above
			return 0, err
		}
	}
	return len(pages), nil
}

func name(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// IsTopic reports whether a command is only a page of help.
func IsTopic(cmd *cobra.Command) bool { return !cmd.Runnable() && !cmd.HasSubCommands() }

func (p Program) section(cmd *cobra.Command) string {
	if IsTopic(cmd) {
		return "7"
	}
	return p.Section
}

func (p Program) page(cmd *cobra.Command) string {
	cmd.InitDefaultHelpFlag()
	var out strings.Builder
	fmt.Fprintf(&out, ".TH %s %s \"\" \"%s %s\" \"Kizo\"\n.ad l\n.nh\n", roffWord(strings.ToUpper(name(cmd))), p.section(cmd), p.Root.Name(), roff(p.Version))
	fmt.Fprintf(&out, ".SH NAME\n%s \\- %s\n", roff(name(cmd)), roff(cmd.Short))
	switch {
	case p.Groups(cmd):
		fmt.Fprintf(&out, ".SH SYNOPSIS\n%s COMMAND\n", roff(cmd.CommandPath()))
	case !IsTopic(cmd):
		fmt.Fprintf(&out, ".SH SYNOPSIS\n%s\n", roff(cmd.UseLine()))
	}
	out.WriteString(".SH DESCRIPTION\n" + roffText(orText(cmd.Long, cmd.Short+".")))
	if commands := p.commands(cmd); commands != "" {
		out.WriteString(".SH COMMANDS\n" + commands)
	}
	if cmd.Example != "" {
		out.WriteString(".SH EXAMPLES\n" + roffText(cmd.Example))
	}
	if !IsTopic(cmd) {
		if options := roffOptions(cmd.NonInheritedFlags()); options != "" {
			out.WriteString(".SH OPTIONS\n" + options)
		}
		out.WriteString(".SH EXIT STATUS\n" + p.Exit + "\n")
	}
	if others := p.seeAlso(cmd); len(others) > 0 {
		out.WriteString(".SH SEE ALSO\n" + strings.Join(others, ",\n") + "\n")
	}
	return out.String()
}

// orText returns the first text that is not empty.
func orText(first, second string) string {
	if first != "" {
		return first
	}
	return second
}

func (p Program) commands(cmd *cobra.Command) string {
	var out strings.Builder
	for _, below := range cmd.Commands() {
		if !below.Hidden {
			fmt.Fprintf(&out, ".TP\n.BR %s (%s)\n%s\n", roffWord(name(below)), p.section(below), roff(below.Short))
		}
	}
	return out.String()
}

// seeAlso names the commands that contain this one, and the help topics.
func (p Program) seeAlso(cmd *cobra.Command) []string {
	var names []string
	for above := cmd.Parent(); above != nil; above = above.Parent() {
		names = append(names, fmt.Sprintf(".BR %s (%s)", roffWord(name(above)), p.section(above)))
	}
	for _, topic := range cmd.Root().Commands() {
		if IsTopic(topic) && topic != cmd {
			names = append(names, fmt.Sprintf(".BR %s (7)", roffWord(name(topic))))
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
