package testkit

import (
	"context"
	"errors"
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

	"github.com/jackc/pgx/v5"
)

// Connect returns a connection to the database that is closed when the test ends.
func Connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// PrepareStatements prepares every SQL statement of the package in the current directory on
// the connection, which should be that of the application's role on the migrated schema. It
// returns how many there are.
//
// The statements are all constants of the source that are SQL, so that none can be forgotten. SQL
// that is put together at run time is an error, except in the functions that are keys of builders;
// each value names the test that covers the function.
func PrepareStatements(t testing.TB, conn *pgx.Conn, builders map[string]string) (found int) {
	t.Helper()
	statements, assembled := statementsOf(t, builders)
	for _, place := range slices.Sorted(maps.Keys(statements)) {
		if _, err := conn.Prepare(t.Context(), "", statements[place]); err != nil {
			t.Errorf("%s: %v\n%s", place, err, statements[place])
		}
	}
	for _, place := range assembled {
		t.Errorf("%s: SQL is put together here; make it a constant, so that it can be checked", place)
	}
	return len(statements)
}

var looksLikeSQL = regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|BEGIN|COMMIT|ROLLBACK|SET|LOCK)\s+\S|^(BEGIN|COMMIT|ROLLBACK)$`)

// statementsOf finds the constant statements by their place, and the places where SQL is put
// together.
func statementsOf(t testing.TB, builders map[string]string) (statements map[string]string, assembled []string) {
	t.Helper()
	fset := token.NewFileSet()
	files := parsePackage(t, fset)
	info := types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	// Only the values of constants are needed, so missing imports are not an error.
	config := types.Config{Importer: noImports{}, Error: func(error) {}}
	_, _ = config.Check("main", fset, files, &info)

	statements = map[string]string{}
	for _, file := range files {
		var function string
		ast.Inspect(file, func(n ast.Node) bool {
			if f, ok := n.(*ast.FuncDecl); ok {
				function = f.Name.Name
			}
			if builders[function] != "" {
				return false
			}
			expr, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			place := fset.Position(expr.Pos()).String()
			if sql, ok := constantSQL(info, expr); ok {
				if sql != "" {
					statements[place] = sql
				}
				return false // the parts of a sum are not statements
			}
			if sum, ok := expr.(*ast.BinaryExpr); ok && sum.Op == token.ADD {
				if sql, _ := constantSQL(info, leftmost(sum)); sql != "" {
					assembled = append(assembled, place)
					return false
				}
			}
			return true
		})
	}
	return statements, assembled
}

// parsePackage parses the Go files of the current directory without its tests.
func parsePackage(t testing.TB, fset *token.FileSet) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// constantSQL reports whether the expression is a constant text, and returns the text if it is
// SQL.
func constantSQL(info types.Info, expr ast.Expr) (sql string, ok bool) {
	value := info.Types[expr].Value
	if value == nil || value.Kind() != constant.String {
		return "", false
	}
	if text := constant.StringVal(value); looksLikeSQL.MatchString(text) {
		return text, true
	}
	return "", true
}

func leftmost(sum *ast.BinaryExpr) ast.Expr {
	for {
		inner, ok := sum.X.(*ast.BinaryExpr)
		if !ok {
			return sum.X
		}
		sum = inner
	}
}

type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errors.ErrUnsupported }
