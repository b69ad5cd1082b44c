package settle

import (
	"errors"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var looksLikeSQL = regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b`)

// statementsOf finds the package's statements, constants all of them, by their
// place in the source, so that none can be forgotten.
func statementsOf(t *testing.T) map[string]string {
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
	_, _ = config.Check("settle", files, syntax, &info)
	statements := map[string]string{}
	for _, file := range syntax {
		ast.Inspect(file, func(n ast.Node) bool {
			expr, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			value := info.Types[expr].Value
			if value == nil || value.Kind() != constant.String {
				return true
			}
			if sql := constant.StringVal(value); looksLikeSQL.MatchString(sql) {
				statements[files.Position(expr.Pos()).String()] = sql
			}
			return false // the parts of a sum are no statements
		})
	}
	return statements
}

type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errors.ErrUnsupported }
