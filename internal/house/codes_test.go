package house

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// errorPage lists every code that a program may see.
const errorPage = "docs/errors.md"

// TestEveryCodeIsDocumented finds the codes of errors (literals given to
// fault.New, constants named Code… or code…) and looks them up in the page.
func TestEveryCodeIsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, errorPage))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, s := range sources(t) {
		if s.test() || s.generated() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			for _, code := range codesIn(n) {
				found[code] = s.path
			}
			return true
		})
	}
	if len(found) < 20 {
		t.Fatalf("only %d codes found", len(found))
	}
	var missing []string
	for code, path := range found {
		if !strings.Contains(string(page), "`"+code+"`") {
			missing = append(missing, code+" ("+path+")")
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		t.Errorf("codes that %s does not explain:\n%s", errorPage, strings.Join(missing, "\n"))
	}
}

// codesIn returns the code that a node defines, if it does.
func codesIn(n ast.Node) []string {
	switch n := n.(type) {
	case *ast.CallExpr:
		sel, ok := n.Fun.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != "New" || len(n.Args) == 0 {
			return nil
		}
		if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "fault" {
			return literal(n.Args[0])
		}
	case *ast.ValueSpec:
		var codes []string
		for i, name := range n.Names {
			if i < len(n.Values) && (strings.HasPrefix(name.Name, "Code") || strings.HasPrefix(name.Name, "code")) {
				codes = append(codes, literal(n.Values[i])...)
			}
		}
		return codes
	}
	return nil
}

func literal(e ast.Expr) []string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return nil
	}
	text, err := strconv.Unquote(lit.Value)
	if err != nil || text == "" {
		return nil
	}
	return []string{text}
}
