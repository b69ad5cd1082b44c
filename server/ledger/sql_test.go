package ledger_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/ledger"
)

// TestStatementsFitTheSchema prepares every SQL statement of the package, as the
// application's role, on the migrated schema. The statements are collected from
// the source: constants with their values, wherever they stand, so that none can
// be forgotten. What is put together at run time cannot be collected; only
// the functions of building may do so.
func TestStatementsFitTheSchema(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.New(t).AppURL)
	statements, built := statementsOf(t)
	for _, place := range slices.Sorted(maps.Keys(statements)) {
		if _, err := conn.Prepare(t.Context(), "", statements[place]); err != nil {
			t.Errorf("%s: %v\n%s", place, err, statements[place])
		}
	}
	if len(statements) < 30 {
		t.Errorf("only %d statements found: the search is broken", len(statements))
	}
	for _, place := range built {
		t.Errorf("%s: SQL is put together here; make it a constant, so that it can be checked", place)
	}
}

// building are the functions that may put SQL together, each covered by a test that
// runs or prepares all it can make.
var building = map[string]string{
	"listSQL":        "TestListsFitTheSchema",
	"sql":            "every test of the audit",
	"setSnapshotSQL": "TestAuditsShareASmallPool",
	"readSQL":        "TestRepairSetsSequences",
	"setSQL":         "TestRepairSetsSequences",
	"lockSQL":        "TestRepairSetsSequences",
}

var looksLikeSQL = regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|BEGIN|COMMIT|ROLLBACK|SET|LOCK)\b`)

// statementsOf finds the constant statements by their place, and the places where
// SQL is put together.
func statementsOf(t *testing.T) (statements map[string]string, built []string) {
	t.Helper()
	files := token.NewFileSet()
	var syntax []*ast.File
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		syntax = append(syntax, file)
	}
	info := types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	// The values of constants are wanted, not the imports, whose absence is no error here.
	config := types.Config{Importer: noImports{}, Error: func(error) {}}
	_, _ = config.Check("ledger", files, syntax, &info)

	statements = map[string]string{}
	for _, file := range syntax {
		var function string
		ast.Inspect(file, func(n ast.Node) bool {
			if f, ok := n.(*ast.FuncDecl); ok {
				function = f.Name.Name
			}
			if building[function] != "" {
				return false
			}
			expr, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			place := files.Position(expr.Pos()).String()
			if value := info.Types[expr].Value; value != nil && value.Kind() == constant.String {
				if sql := constant.StringVal(value); looksLikeSQL.MatchString(sql) {
					statements[place] = sql
				}
				return false
			}
			if sum, ok := expr.(*ast.BinaryExpr); ok && sum.Op == token.ADD && startsAsSQL(info, sum) {
				built = append(built, place)
				return false
			}
			return true
		})
	}
	return statements, built
}

// startsAsSQL tells whether the leftmost part of a sum is SQL.
func startsAsSQL(info types.Info, sum *ast.BinaryExpr) bool {
	left := sum.X
	for {
		inner, ok := left.(*ast.BinaryExpr)
		if !ok {
			break
		}
		left = inner.X
	}
	value := info.Types[left].Value
	return value != nil && value.Kind() == constant.String && looksLikeSQL.MatchString(constant.StringVal(value))
}

type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errors.ErrUnsupported }

// TestListsFitTheSchema prepares the list with every set of conditions.
func TestListsFitTheSchema(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.New(t).AppURL)
	narrow := []func(*ledger.Query){
		func(q *ledger.Query) { q.State = ledger.Posted },
		func(q *ledger.Query) { q.Kind = ledger.KindTransfer },
		func(q *ledger.Query) { q.Currency = money.Currency("USD") },
		func(q *ledger.Query) { q.Since = time.Now() },
		func(q *ledger.Query) { q.Until = time.Now() },
		func(q *ledger.Query) { q.Memo = "x" },
		func(q *ledger.Query) { q.MinAmount = 1 },
		func(q *ledger.Query) { q.MaxAmount = 1 },
		func(q *ledger.Query) { q.With = uuid.Max },
	}
	for _, direction := range []string{"", "in", "out"} {
		for set := range 1 << len(narrow) {
			q := ledger.Query{Direction: direction}
			for i, f := range narrow {
				if set&(1<<i) != 0 {
					f(&q)
				}
			}
			sql, args := ledger.ListSQL(q)
			statement, err := conn.Prepare(t.Context(), fmt.Sprint(direction, set), sql)
			if err != nil {
				t.Fatalf("%+v: %v\n%s", q, err, sql)
			}
			if len(statement.ParamOIDs) != len(args) {
				t.Errorf("%+v: %d parameters for %d values", q, len(statement.ParamOIDs), len(args))
			}
		}
	}
}
