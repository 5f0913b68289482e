package leyden

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/fault"
)

// person answers what a prompt asks: it sees the words once, and types back what
// answer makes of them.
type person struct {
	seen   bytes.Buffer
	answer func(word string) string
	words  []string
	typed  strings.Reader
	asked  int
}

var question = regexp.MustCompile(`Type word (\d+): $`)

func (p *person) Write(text []byte) (int, error) { return p.seen.Write(text) }

func (p *person) Read(to []byte) (int, error) {
	if p.typed.Len() == 0 {
		asked := question.FindStringSubmatch(p.seen.String())
		if asked == nil {
			return 0, fmt.Errorf("nothing was asked in %q", p.seen.String())
		}
		var number int
		fmt.Sscan(asked[1], &number)
		p.asked++
		p.typed.Reset(p.answer(p.words[number-1]) + "\n")
	}
	return p.typed.Read(to)
}

func TestConfirmSeed(t *testing.T) {
	words := strings.Fields(strings.Repeat("one two three four five six ", 4))
	for i := range words {
		words[i] += fmt.Sprint(i)
	}
	slips := 0
	for name, c := range map[string]struct {
		answer func(string) string
		asked  int
		code   string
	}{
		"ok/typed":        {func(w string) string { return w }, 2, ""},
		"ok/with spaces":  {func(w string) string { return "  " + w + " " }, 2, ""},
		"ok/slips":        {func(w string) string { slips++; return w + strings.Repeat("x", slips%2) }, 4, ""},
		"fail/wrong":      {func(w string) string { return "x" + w }, confirmTries, "seed_unsafe"},
		"fail/just enter": {func(string) string { return "" }, confirmTries, "seed_unsafe"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &person{answer: c.answer, words: words}
			err := (&App{In: p, Out: p}).confirmSeed(words)
			if fault.Code(err) != c.code || p.asked != c.asked {
				t.Errorf("code %q (%v), %d questions; want %q, %d", fault.Code(err), err, p.asked, c.code, c.asked)
			}
			for _, w := range words {
				if !strings.Contains(p.seen.String(), w) {
					t.Errorf("word %q was not shown", w)
				}
			}
		})
	}
}

func TestAskSeed(t *testing.T) {
	const line = "a b c d e f g h i j k l"
	for name, c := range map[string]struct{ typed, code string }{
		"ok/one line":  {line + " " + line + "\n", ""},
		"ok/two lines": {line + "\n" + line, ""},
		"ok/columns":   {strings.ReplaceAll(line+" "+line, " ", "\n"), ""},
		"fail/nothing": {"", "bad_seed"},
		"fail/few":     {line, "bad_seed"},
		"fail/many":    {line + " " + line + " m\n", "bad_seed"},
	} {
		t.Run(name, func(t *testing.T) {
			words, err := (&App{In: strings.NewReader(c.typed)}).askSeed()
			if fault.Code(err) != c.code || err == nil && len(words) != 24 {
				t.Errorf("%q: %v", words, err)
			}
		})
	}
}
