package lnc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const goodWords = "metal what rely can sail crash service aisle example feed"

func TestParsePhrase(t *testing.T) {
	want, err := ParsePhrase(goodWords)
	if err != nil {
		t.Fatal(err)
	}
	for name, words := range map[string]string{
		"ok/blanks": "  metal\twhat  rely can\nsail crash service aisle example feed \r\n",
		"ok/case":   strings.ToUpper(goodWords),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ParsePhrase(words); err != nil || got != want {
				t.Errorf("got %x, %v", got[:], err)
			}
		})
	}
	for _, test := range []struct{ name, words, says string }{
		{"fail/empty", "", "0 words"},
		{"fail/nine", "metal what rely can sail crash service aisle example", "9 words"},
		{"fail/eleven", goodWords + " zoo", "11 words"},
		{"fail/unknown", strings.Replace(goodWords, "rely", "rellly", 1), "word 3 of"},
		{"fail/prefix", strings.Replace(goodWords, "service", "serv", 1), "word 7 of"},
		{"fail/commas", strings.ReplaceAll(goodWords, " ", ","), "1 words"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParsePhrase(test.words)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v, want %q in it", err, test.says)
			}
			for word := range strings.FieldsSeq(test.words) {
				if strings.Contains(err.Error(), word) {
					t.Errorf("%q holds %q", err, word)
				}
			}
		})
	}
}

func TestNewPhrase(t *testing.T) {
	seen := map[Phrase]bool{}
	for range 100 {
		p := NewPhrase()
		if p[13]&padding != 0 {
			t.Fatalf("padding of %x is set", p[:])
		}
		if back, err := ParsePhrase(p.Words()); err != nil || back != p {
			t.Fatalf("%x comes back as %x, %v", p[:], back[:], err)
		}
		seen[p] = true
	}
	if len(seen) != 100 {
		t.Error("a phrase was drawn twice")
	}
}

// TestPhraseDoesNotPrint tries what a careless caller may.
func TestPhraseDoesNotPrint(t *testing.T) {
	p, err := ParsePhrase(goodWords)
	if err != nil {
		t.Fatal(err)
	}
	toClient, _ := p.StreamIDs()
	inside := struct {
		P  Phrase
		ID StreamID
	}{p, toClient}
	encoded, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("hello", "phrase", p, "inside", inside)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("hello", "phrase", p)
	all := string(encoded) + log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o"} {
		all += fmt.Sprintf(verb+" "+verb+" "+verb, p, &p, inside)
	}
	for _, secret := range []string{
		"metal", fmt.Sprintf("%x", p[:]), fmt.Sprintf("%X", p[:]), fmt.Sprint(p[1], " ", p[2]),
		fmt.Sprintf("%#x, %#x", p[1], p[2]), fmt.Sprintf("%x", toClient[8:16]),
	} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is in %s", secret, all)
		}
	}
}

func TestStretchTakesTurns(t *testing.T) {
	stretching <- struct{}{}
	defer func() { <-stretching }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewPhrase().Stretch(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzParsePhrase(f *testing.F) {
	f.Add(goodWords)
	f.Add("abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon")
	f.Add(" ZOO\tzoo zoo zoo zoo zoo zoo zoo zoo zoo ")
	f.Add("")
	f.Fuzz(func(t *testing.T, words string) {
		p, err := ParsePhrase(words)
		if err != nil {
			if p != (Phrase{}) {
				t.Fatal("half a phrase")
			}
			return
		}
		if got := p.Words(); got != strings.Join(strings.Fields(strings.ToLower(words)), " ") {
			t.Fatalf("%q is read as %q", words, got)
		}
	})
}
