package migrations

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
)

// lastOfFirstRelease is the number of the last migration of the first release. Migrations up to it
// run on empty databases; the rules apply to all later ones.
const lastOfFirstRelease = 3

// maxLockTimeout is how long a migration may make other sessions wait behind it.
const maxLockTimeout = 5 * time.Second

func TestMigrationsAfterTheFirstReleaseKeepTheRules(t *testing.T) {
	entries, err := files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	phases := map[int64]string{}
	for _, entry := range entries {
		number, err := goose.NumericComponent(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		text, err := fs.ReadFile(files, entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		if number <= lastOfFirstRelease {
			phases[number] = "expand"
			continue
		}
		m := parseMigration(number, string(text))
		phases[number] = m.phase
		for _, problem := range m.lint(phases) {
			t.Errorf("%s: %s", entry.Name(), problem)
		}
	}
	t.Logf("%d migrations, of which the rules are for those after %d", len(phases), lastOfFirstRelease)
}

// migration is the Up part of a file.
type migration struct {
	number        int64
	phase         string // expand or contract; "" if none is stated
	contractOf    int64
	noTransaction bool
	fewRows       bool     // stated for an UPDATE or DELETE
	wider         []string // constraints that this migration replaces by wider ones, upper case
	statements    []string // upper case, without comments and string constants, one space between words
	created       []string // tables that this migration creates, and functions as "FUNCTION NAME": no other session uses them
}

var (
	phaseLine       = regexp.MustCompile(`(?m)^-- Phase: (expand|contract of (\d{4}))$`)
	fewRowsLine     = regexp.MustCompile(`(?m)^-- Few rows: .+`)
	widerLine       = regexp.MustCompile(`(?m)^-- Wider: (\w+)$`)
	comment         = regexp.MustCompile(`--[^\n]*`)
	dollarBody      = regexp.MustCompile(`(?s)\$(\w*)\$.*?\$(\w*)\$`)
	doBlock         = regexp.MustCompile(`(?is)\bDO\s+\$\w*\$(.*?)\$\w*\$`)
	control         = regexp.MustCompile(`(?i)\b(?:BEGIN|THEN|ELSE|LOOP)\b|'`)
	textConstant    = regexp.MustCompile(`'(?:[^']|'')*'`)
	createsTable    = regexp.MustCompile(`^CREATE TABLE (?:IF NOT EXISTS )?([A-Z0-9_."]+)`)
	createsFunction = regexp.MustCompile(`^CREATE (FUNCTION [A-Z0-9_]+)`)
)

func parseMigration(number int64, text string) migration {
	m := migration{number: number, noTransaction: strings.Contains(text, "-- +goose NO TRANSACTION"), fewRows: fewRowsLine.MatchString(text)}
	if found := phaseLine.FindStringSubmatch(text); found != nil {
		m.phase, _, _ = strings.Cut(found[1], " ")
		m.contractOf, _ = strconv.ParseInt(found[2], 10, 64) // 0 if the phase is expand
	}
	for _, found := range widerLine.FindAllStringSubmatch(text, -1) {
		m.wider = append(m.wider, strings.ToUpper(found[1]))
	}
	_, up, _ := strings.Cut(text, "-- +goose Up")
	up, _, _ = strings.Cut(up, "-- +goose Down")
	up = comment.ReplaceAllString(up, "")
	// The body of a function runs later. The body of a DO block runs now, including the strings
	// that it passes to EXECUTE.
	up = doBlock.ReplaceAllStringFunc(up, func(block string) string {
		return control.ReplaceAllString(doBlock.FindStringSubmatch(block)[1], " ; ")
	})
	up = dollarBody.ReplaceAllString(up, "")
	for statement := range strings.SplitSeq(up, ";") {
		short := strings.Join(strings.Fields(strings.ToUpper(statement)), " ")
		if !strings.HasPrefix(short, "SET ") {
			short = textConstant.ReplaceAllString(short, "''")
		}
		if short == "" {
			continue
		}
		m.statements = append(m.statements, actions(short)...)
		if found := createsTable.FindStringSubmatch(short); found != nil {
			m.created = append(m.created, found[1])
		}
		if found := createsFunction.FindStringSubmatch(short); found != nil {
			m.created = append(m.created, found[1])
		}
	}
	return m
}

var altersTable = regexp.MustCompile(`^ALTER TABLE (?:IF EXISTS )?(?:ONLY )?\S+ `)

// actions returns a statement for each action of an ALTER TABLE.
func actions(statement string) []string {
	head := altersTable.FindString(statement)
	if head == "" {
		return []string{statement}
	}
	var all []string
	depth, from := 0, len(head)
	for i := from; i < len(statement); i++ {
		switch statement[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				all, from = append(all, head+strings.TrimSpace(statement[from:i])), i+1
			}
		}
	}
	return append(all, head+strings.TrimSpace(statement[from:]))
}

// rule is a pattern of a statement that is refused.
type rule struct {
	pattern *regexp.Regexp // its first group, if any, is the table
	except  *regexp.Regexp // matching statements that are allowed; nil for none
	instead string
	// Cases in which a matching statement is allowed.
	unlessContract, unlessNewTable, unlessFewRows bool
}

func refuse(pattern, instead string) rule {
	return rule{pattern: regexp.MustCompile(pattern), instead: instead}
}

const table = `(?:IF EXISTS )?(?:ONLY )?([A-Z0-9_."]+)`

var rules = []rule{
	refuse(`^CREATE (?:UNIQUE )?INDEX (?:IF NOT EXISTS )?(?:[A-Z0-9_"]+ )?ON (?:ONLY )?([A-Z0-9_."]+)`, "build it with CREATE INDEX CONCURRENTLY, in a file with -- +goose NO TRANSACTION").newTable(),
	refuse(`^DROP INDEX (?:IF EXISTS )?[A-Z]`, "drop it with DROP INDEX CONCURRENTLY, in a file with -- +goose NO TRANSACTION").but(`^DROP INDEX CONCURRENTLY`),
	refuse(`^ALTER TABLE `+table+` .*\bADD (?:CONSTRAINT \S+ )?(?:UNIQUE|PRIMARY KEY|EXCLUDE)\b`, "build the index concurrently, then ADD CONSTRAINT … USING INDEX").but(`USING INDEX`).newTable(),
	refuse(`^ALTER TABLE `+table+` .*\bADD (?:CONSTRAINT \S+ )?(?:CHECK|FOREIGN KEY)\b`, "add it NOT VALID, and VALIDATE CONSTRAINT in a migration of its own").but(`NOT VALID`).newTable(),
	refuse(`^ALTER TABLE `+table+` .*\bADD (?:COLUMN )?(?:IF NOT EXISTS )?[A-Z0-9_"]+ .*\b(?:CHECK|REFERENCES|UNIQUE|PRIMARY KEY)\b`, "the whole table is read under a lock: add the column first, then the constraint NOT VALID").but(`\bADD (?:CONSTRAINT|CHECK|FOREIGN|UNIQUE|PRIMARY)\b`).newTable(),
	refuse(`^ALTER TABLE `+table+` .*\bADD COLUMN .*\bGENERATED\b`, "the table is rewritten: add a plain column, and fill it in small steps").newTable(),
	refuse(`^ALTER TABLE `+table+` .*\bADD COLUMN .*\bDEFAULT [A-Z_.]+ ?\(`, "the table is rewritten: add the column without a default, set the default, and fill it in small steps").but(`DEFAULT NOW ?\(`).newTable(),
	refuse(`^ALTER TABLE `+table+` .*\bADD COLUMN .*\bNOT NULL\b`, "the version that still runs does not write the column: give it a DEFAULT").but(`\bDEFAULT\b`).newTable(),
	refuse(`^ALTER TABLE `+table+` .*\bSET (?:LOGGED|UNLOGGED|TABLESPACE)\b`, "the table is rewritten"),
	refuse(`^(?:LOCK|TRUNCATE|CLUSTER|VACUUM|REINDEX)\b`, "it locks the table for as long as it runs"),
	refuse(`^(?:UPDATE|DELETE FROM|INSERT INTO) `+table, "rows are filled in small steps by kizod, not under the locks of a migration; state -- Few rows: and why, where there are few").newTable().few(),
	refuse(`^DROP (?:TABLE|VIEW|MATERIALIZED VIEW|FUNCTION|PROCEDURE|TRIGGER|TYPE|DOMAIN|SEQUENCE|SCHEMA)\b`, contractOnly).contract(),
	refuse(`^ALTER \S+ .*\bDROP (?:COLUMN|CONSTRAINT|DEFAULT|EXPRESSION|IDENTITY)\b`, contractOnly).contract(),
	refuse(`^ALTER \S+ .*\bRENAME\b`, contractOnly).contract(),
	refuse(`^ALTER TABLE .*\bALTER (?:COLUMN )?\S+ (?:SET DATA )?TYPE\b`, contractOnly).contract(),
	refuse(`^ALTER TABLE .*\bSET NOT NULL\b`, contractOnly).contract(),
	refuse(`^REVOKE\b(?:.* ON (FUNCTION [A-Z0-9_]+) FROM PUBLIC$)?`, contractOnly).contract().newTable(),
}

const contractOnly = "the version that still runs may use it: first a migration that expands, and this in a later release under -- Phase: contract of NNNN"

func (r rule) newTable() rule { r.unlessNewTable = true; return r }
func (r rule) few() rule      { r.unlessFewRows = true; return r }
func (r rule) contract() rule { r.unlessContract = true; return r }

func (r rule) but(pattern string) rule {
	r.except = regexp.MustCompile(pattern)
	return r
}

func (r rule) breaks(m migration, statement string) bool {
	found := r.pattern.FindStringSubmatch(statement)
	switch {
	case found == nil, r.except != nil && r.except.MatchString(statement):
		return false
	case r.unlessContract && m.phase == "contract", r.unlessFewRows && m.fewRows:
		return false
	case m.replacesConstraint(statement):
		return false
	case r.unlessNewTable && len(found) > 1 && slices.Contains(m.created, found[1]):
		return false
	}
	return true
}

var dropsConstraint = regexp.MustCompile(`^(ALTER TABLE \S+ )DROP CONSTRAINT ([A-Z0-9_]+)$`)

// replacesConstraint reports whether a statement drops a constraint that is stated to be replaced
// by a wider one, and the migration adds a CHECK to the same table. Every row that the previous
// version writes fits the wider constraint.
func (m migration) replacesConstraint(statement string) bool {
	found := dropsConstraint.FindStringSubmatch(statement)
	if found == nil || !slices.Contains(m.wider, found[2]) {
		return false
	}
	return slices.ContainsFunc(m.statements, func(other string) bool {
		return strings.HasPrefix(other, found[1]+"ADD CONSTRAINT ") && strings.Contains(other, " CHECK ")
	})
}

// lint returns the rules that a migration breaks. phases are those of the earlier migrations.
func (m migration) lint(phases map[int64]string) (problems []string) {
	switch {
	case m.phase == "":
		problems = append(problems, "it states no phase: write -- Phase: expand, or -- Phase: contract of NNNN")
	case m.phase == "contract" && (phases[m.contractOf] != "expand" || m.contractOf >= m.number):
		problems = append(problems, fmt.Sprintf("it is the contract of %04d, which is no earlier migration that expands", m.contractOf))
	}
	if len(m.statements) == 0 {
		return append(problems, "it has no statement")
	}
	problems = append(problems, m.lintTimeout()...)
	if m.noTransaction {
		problems = append(problems, m.lintConcurrent()...)
	}
	for _, statement := range m.statements {
		for _, r := range rules {
			if r.breaks(m, statement) {
				problems = append(problems, fmt.Sprintf("%s: %s", statement, r.instead))
			}
		}
		if !m.noTransaction && strings.Contains(statement, " CONCURRENTLY ") {
			problems = append(problems, statement+": not in a transaction: begin the file with -- +goose NO TRANSACTION")
		}
	}
	all := strings.Join(m.statements, ";")
	if strings.Contains(all, "NOT VALID") && strings.Contains(all, "VALIDATE CONSTRAINT") {
		problems = append(problems, "VALIDATE CONSTRAINT in the transaction that added it holds the lock while the table is read: put it into a migration of its own")
	}
	return problems
}

var setsTimeout = regexp.MustCompile(`^SET (LOCAL )?LOCK_TIMEOUT (?:=|TO) '(\d+)(MS|S|MIN)'$`)

// lintTimeout requires that the first statement sets lock_timeout.
func (m migration) lintTimeout() []string {
	found := setsTimeout.FindStringSubmatch(m.statements[0])
	if found == nil || (found[1] == "") != m.noTransaction {
		form := "SET LOCAL lock_timeout = '5s'"
		if m.noTransaction {
			form = "SET lock_timeout = '5s'"
		}
		return []string{"its first statement is not " + form + ", or shorter"}
	}
	units := map[string]time.Duration{"MS": time.Millisecond, "S": time.Second, "MIN": time.Minute}
	n, _ := strconv.ParseInt(found[2], 10, 32)
	if d := time.Duration(n) * units[found[3]]; d <= 0 || d > maxLockTimeout && !m.noTransaction {
		return []string{fmt.Sprintf("its lock_timeout is %s, not between 1ms and %s", d, maxLockTimeout)}
	}
	return nil
}

var concurrent = regexp.MustCompile(`^CREATE (?:UNIQUE )?INDEX CONCURRENTLY ([A-Z0-9_"]+) ON `)

// lintConcurrent requires that a file without a transaction can be run again: a failed build leaves
// an invalid index of that name.
func (m migration) lintConcurrent() (problems []string) {
	for i, statement := range m.statements {
		if found := concurrent.FindStringSubmatch(statement); found != nil {
			if m.statements[i-1] != "DROP INDEX CONCURRENTLY IF EXISTS "+found[1] {
				problems = append(problems, statement+": DROP INDEX CONCURRENTLY IF EXISTS of the same name has to stand before it")
			}
			continue
		}
		if !strings.HasPrefix(statement, "DROP INDEX CONCURRENTLY IF EXISTS ") && !strings.HasPrefix(statement, "SET LOCK_TIMEOUT") && statement != "RESET LOCK_TIMEOUT" {
			problems = append(problems, statement+": a file without a transaction only builds and drops indexes")
		}
	}
	return problems
}
