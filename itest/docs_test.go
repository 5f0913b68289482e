package itest

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// root is the module's, seen from this package.
const root = ".."

// TestDocumentedCommandsExist checks every command that a page shows, in a
// block or in a sentence: program, sub-command and each flag are there.
func TestDocumentedCommandsExist(t *testing.T) {
	w := theWorld(t)
	var checked int
	for _, page := range pages(t) {
		text := readPage(t, page)
		lines := prose(text)
		for _, block := range blocks(text) {
			lines = append(lines, block...)
		}
		for _, line := range lines {
			for _, words := range commands(line) {
				checked++
				if err := w.exists(words); err != nil {
					t.Errorf("%s: %s: %v", page, line, err)
				}
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d commands found: does this test still read the pages?", checked)
	}
}

// TestLinks follows the relative links of every page.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
	var checked int
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(readPage(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			checked++
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
	if checked < 15 {
		t.Errorf("only %d links found: does this test still read the pages?", checked)
	}
}

// pages are the Markdown files of the repository, relative to its root.
func pages(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			found = append(found, strings.TrimPrefix(path, root+"/"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func readPage(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	fence   = regexp.MustCompile("(?ms)^```(bash|console)\n(.*?)^```$")
	comment = regexp.MustCompile(`(^|\s+)#(\s.*|$)`)
	span    = regexp.MustCompile("`((?:bin/)?(?:leyden|lnget|make) [^`]+)`")
)

// blocks are the lines to type in each block of a page.
func blocks(text string) [][]string {
	var found [][]string
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		var lines []string
		for line := range strings.Lines(m[2]) {
			line = strings.TrimSpace(line)
			if m[1] == "console" {
				typed, ok := strings.CutPrefix(line, "$ ")
				if !ok {
					continue // what the command printed
				}
				line = typed
			}
			if line = comment.ReplaceAllString(line, ""); line != "" {
				lines = append(lines, line)
			}
		}
		found = append(found, lines)
	}
	return found
}

// prose are the commands in a page's sentences.
func prose(text string) []string {
	var found []string
	for _, m := range span.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		found = append(found, m[1])
	}
	return found
}

var (
	word       = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s|&;'"])+|[|&;]+`)
	assignment = regexp.MustCompile(`^\w+=`)
)

// commands splits a line of shell into simple commands.
func commands(line string) [][]string {
	found := [][]string{nil}
	for _, w := range word.FindAllString(line, -1) {
		last := len(found) - 1
		switch {
		case strings.Trim(w, "|&;") == "":
			found = append(found, nil)
		case len(found[last]) > 0 || !assignment.MatchString(w):
			found[last] = append(found[last], w)
		}
	}
	return slices.DeleteFunc(found, func(c []string) bool { return len(c) == 0 })
}

// exists says what of a command does not exist.
func (w *world) exists(words []string) error {
	program, args := strings.TrimPrefix(words[0], "bin/"), words[1:]
	switch program {
	case "leyden", "lnget":
		return w.isCommand([]string{program}, args)
	case "lncli":
		return w.isCommand([]string{"leyden", "lncli"}, args)
	case "make":
		makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
		if err == nil && !strings.Contains(string(makefile), "\n"+args[0]+":") {
			err = fmt.Errorf("no target %q", args[0])
		}
		return err
	case "jq", "go", "python3", "chmod", "curl", "git", "rm":
		return nil
	}
	return fmt.Errorf("%q is a program that this test does not know", program)
}

// isCommand walks from a command down to the sub-command that args name, and
// looks each flag up in the help of the command it is given to.
func (w *world) isCommand(path, args []string) error {
	h, err := w.help(path)
	if err != nil {
		return err
	}
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		arg := strings.Trim(args[i], "[]") // usage writes what may be left out so
		name, _, hasValue := strings.Cut(arg, "=")
		switch {
		case strings.HasPrefix(arg, "-"):
			takesValue, ok := h.flags[name]
			if !ok {
				return fmt.Errorf("%s has no flag %s", strings.Join(path, " "), name)
			}
			if takesValue && !hasValue {
				i++
			}
		case h.commands[arg]:
			return w.isCommand(append(path, arg), args[i+1:])
		case h.group && !strings.HasPrefix(arg, "…"):
			return fmt.Errorf("%s has no command %q", strings.Join(path, " "), arg)
		}
	}
	return nil
}

// help is what a command says of itself.
type help struct {
	commands map[string]bool
	flags    map[string]bool // name with dashes: does it take a value?
	group    bool            // only holds other commands
}

var (
	helps struct {
		sync.Mutex
		of map[string]help
	}
	helpCommand = regexp.MustCompile(`(?m)^ {2,5}([a-z][\w-]*)(?:, \w+)*\s`)
	helpFlag    = regexp.MustCompile(`(?m)^ +(--?[\w-]+.*)$`)
	helpName    = regexp.MustCompile(`(--?[\w-]+)( \w+)?(?:, | |$)`)
)

func (w *world) help(path []string) (help, error) {
	key := strings.Join(path, " ")
	helps.Lock()
	defer helps.Unlock()
	if h, ok := helps.of[key]; ok {
		return h, nil
	}
	cmd := exec.Command(w.program(path[0]), append(path[1:len(path):len(path)], "--help")...)
	cmd.Env = append(os.Environ(), "LEYDEN_HOME="+string(w.buyerNode().Home()))
	text, err := cmd.CombinedOutput()
	if err != nil {
		return help{}, fmt.Errorf("%s --help: %w: %s", key, err, text)
	}
	h := parseHelp(string(text))
	if helps.of == nil {
		helps.of = map[string]help{}
	}
	helps.of[key] = h
	return h, nil
}

// parseHelp reads the help of our programs and of lncli, which look alike: a
// section of commands, and sections of flags with their names in front.
func parseHelp(text string) help {
	h := help{commands: map[string]bool{}, flags: map[string]bool{"--help": false}}
	section := ""
	for line := range strings.Lines(text) {
		switch {
		case line == "\n":
		case line[0] != ' ':
			section = strings.ToLower(line)
		case strings.Contains(section, "commands:"):
			if m := helpCommand.FindStringSubmatch(line); m != nil {
				h.commands[m[1]] = true
			}
		case strings.Contains(section, "flags:"), strings.Contains(section, "options:"):
			if m := helpFlag.FindStringSubmatch(line); m != nil {
				names, _, _ := strings.Cut(m[1], "  ")
				found := helpName.FindAllStringSubmatch(names, -1)
				takesValue := slices.ContainsFunc(found, func(n []string) bool { return n[2] != "" })
				for _, n := range found {
					h.flags[n[1]] = takesValue
				}
			}
		}
	}
	h.group = len(h.commands) > 0 && !strings.Contains(text, "lnget [flags] URL")
	return h
}
