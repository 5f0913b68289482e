package wallet

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestAdoptCutShort: where the files end that a start uses the old password, the
// pending file is there to explain it, and to undo it from.
func TestAdoptCutShort(t *testing.T) {
	const old, changed = "the old password", "the new password"
	for name, c := range map[string]struct{ used, given string }{
		"made after made":   {used: "made"},
		"made after given":  {used: "given"},
		"given after made":  {used: "made", given: "next"},
		"given after given": {used: "given", given: "next"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			at := func(name string) string { return filepath.Join(dir, name) }
			put := func(name, text string) {
				if err := os.WriteFile(at(name), []byte(text+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			put(c.used, old)
			put("next", changed)
			put("made.new", changed)
			change := Change{Made: at("made"), Used: at(c.used), Remember: func(string) error { return errors.New("killed") }}
			if c.given != "" {
				change.New = at(c.given)
			}
			if _, err := change.adopt([]byte(changed)); err == nil {
				t.Fatal("nothing was cut short")
			}
			if password, err := ReadPassword(at(c.used)); err != nil || string(password) == old && !exists(at("made.new")) {
				t.Errorf("a start uses %q, and the new password is nowhere: %v", password, err)
			}
			change.Remember = func(file string) error { change.Used = file; return nil }
			if c.used == "made" && c.given == "" {
				return // renamed: there is nothing left to do
			}
			file, err := change.adopt([]byte(changed))
			if err != nil || exists(at("made.new")) {
				t.Fatalf("%v, pending %v", err, exists(at("made.new")))
			}
			if password, err := ReadPassword(file); err != nil || string(password) != changed {
				t.Errorf("%s: %q, %v", file, password, err)
			}
		})
	}
}
