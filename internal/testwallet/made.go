package testwallet

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Made holds folders that the programs made once, by name, for all tests of a binary
// that are about what comes after. The zero Made is ready for use.
type Made struct {
	mu sync.Mutex
	of map[string]*once
}

type once struct {
	sync.Once
	dir  string
	done bool
}

// Copy returns a copy of the folder that make has filled, once for all tests that ask
// for one of that name.
func (m *Made) Copy(t testing.TB, name string, make func(dir string)) string {
	t.Helper()
	it := m.named(name)
	it.Do(func() {
		var err error
		if it.dir, err = os.MkdirTemp("", "made"); err != nil {
			t.Fatal(err)
		}
		make(it.dir)
		it.done = true
	})
	if !it.done {
		t.Fatalf("%s could not be made", name)
	}
	to := filepath.Join(t.TempDir(), "home")
	if err := Copy(to, it.dir); err != nil {
		t.Fatalf("copy of %s: %v", name, err)
	}
	return to
}

func (m *Made) named(name string) *once {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil {
		m.of = map[string]*once{}
	}
	if m.of[name] == nil {
		m.of[name] = new(once)
	}
	return m.of[name]
}

// Remove removes the folders, at the end of the binary.
func (m *Made) Remove() (err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, it := range m.of {
		err = errors.Join(err, os.RemoveAll(it.dir))
	}
	return err
}

// CheapenIn is Cheapen for the regtest wallet in an lnddir, whose password is in a file.
func CheapenIn(t testing.TB, lndDir, passwordFile string) {
	t.Helper()
	password, err := os.ReadFile(passwordFile)
	if err == nil {
		err = Cheapen(filepath.Join(lndDir, "data", "chain", "bitcoin", "regtest"), bytes.TrimSpace(password))
	}
	if err != nil {
		t.Fatal(err)
	}
}
