package leyden

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// diagnose runs leyden doctor, and returns its exit status and what it prints.
func diagnose(t *testing.T, home string, args ...string) (status int, out, said string) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("TMPDIR", t.TempDir())
	var stdout, stderr bytes.Buffer
	app := &App{In: new(bytes.Buffer), Out: &stdout, Err: &stderr}
	status = Run(t.Context(), app, append([]string{"--home", home, "doctor", "--skip", "clock"}, args...))
	return status, stdout.String(), stderr.String()
}

func TestDoctorStatus(t *testing.T) {
	// A seed that everybody can read, in a folder of no network: real money.
	holed := func(t *testing.T) string {
		home := t.TempDir()
		if err := os.MkdirAll(filepath.Join(home, "node"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, "node", "seed.txt"), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{filepath.Dir(home), home, filepath.Join(home, "node")} {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		return home
	}
	nothing := func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") }
	for name, c := range map[string]struct {
		home   func(*testing.T) string
		args   []string
		status int
		words  string // on stdout, or of the error
	}{
		"ok/nothing there":     {nothing, nil, 0, `"ok": true`},
		"ok/list":              {nothing, []string{"--list"}, 0, `"id": "file-modes"`},
		"ok/warning":           {holed, []string{"--skip", "file-modes"}, 0, `"warn": 1`},
		"ok/as a person reads": {nothing, []string{"--json=false"}, 0, "0 fail, 0 warn"},
		"fail/strict":          {holed, []string{"--skip", "file-modes", "--strict"}, 1, `"warn": 1`},
		"fail/open seed":       {holed, nil, 1, `"fix": "chmod 600 `},
		"fail/person":          {holed, []string{"--json=false"}, 1, "to do: chmod 600 "},
		"fail/no such check":   {nothing, []string{"--skip", "nonsense"}, 2, `"code": "usage"`},
		"fail/no such user":    {nothing, []string{"--agent-user", "nobody-of-that-name"}, 1, `"code": "unknown_user"`},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, said := diagnose(t, c.home(t), c.args...)
			if status != c.status || !strings.Contains(out+said, c.words) {
				t.Errorf("status %d, printed %s%s, want %d, %s", status, out, said, c.status, c.words)
			}
			if slices.Contains(c.args, "--json=false") || out == "" {
				return
			}
			if !json.Valid([]byte(out)) {
				t.Errorf("no JSON: %s", out)
			}
		})
	}
}

// typed are the commands of ours in a sentence, up to a mark or a name.
var typed = regexp.MustCompile(`\bleyden ((?:--?[a-z][a-z_-]*|[a-zA-Z]+(?:-[a-z]+)*)(?: (?:--[a-z][a-z_-]*|[a-zA-Z0-9]+(?:-[a-z]+)*))*)`)

// TestDoctorsCommandsExist finds each command that the doctor tells to type.
func TestDoctorsCommandsExist(t *testing.T) {
	root := newRootCmd(&App{})
	checked := 0
	for _, text := range told(t, "../../doctor") {
		for _, m := range typed.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(m[1], "X") { // of any daemon
				continue
			}
			checked++
			if err := exists(root, strings.Fields(m[1])); err != "" {
				t.Errorf("%q: %s", m[0], err)
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d commands found", checked)
	}
}

// exists says what is wrong with a command line, if anything.
func exists(root *cobra.Command, words []string) string {
	cmd, rest, err := root.Find(words)
	if err != nil || cmd == root {
		return "no such command"
	}
	for _, word := range rest {
		flag, is := strings.CutPrefix(word, "--")
		switch {
		case is && cmd.Flags().Lookup(flag) == nil && cmd.InheritedFlags().Lookup(flag) == nil:
			return "no flag " + word
		case !is && cmd.HasSubCommands() && cmd.Name() != "bake" && strings.ToLower(word) == word:
			return "no sub-command " + word
		}
	}
	return ""
}

// told are the texts in a folder's sources, with X for what is filled in.
func told(t *testing.T, dir string) (texts []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, whole := flat(e)
			if whole {
				texts = append(texts, text)
			}
			return !whole
		})
	}
	return texts
}

// flat joins the texts of a sum; whole is false for what is none.
func flat(e ast.Expr) (text string, whole bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, okLeft := flat(e.X)
		right, okRight := flat(e.Y)
		if e.Op != token.ADD || !okLeft && !okRight {
			return "", false
		}
		if !okLeft {
			left = "X"
		}
		if !okRight {
			right = "X"
		}
		return left + right, true
	}
	return "", false
}
