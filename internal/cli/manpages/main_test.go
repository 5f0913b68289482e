package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFresh: the pages in docs/man are those of the commands as they are.
func TestFresh(t *testing.T) {
	const committed = "../../../docs/man"
	dir := t.TempDir()
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	made, err := os.ReadDir(dir)
	if err != nil || len(made) < 10 {
		t.Fatalf("%d pages, %v", len(made), err)
	}
	there, err := filepath.Glob(filepath.Join(committed, "*.1"))
	if err != nil || len(there) != len(made) {
		t.Errorf("%d pages in docs/man, want %d, %v: make man", len(there), len(made), err)
	}
	for _, page := range made {
		want, err := os.ReadFile(filepath.Join(dir, page.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(committed, page.Name())); err != nil || string(got) != string(want) {
			t.Errorf("docs/man/%s is not what --help says, %v: make man", page.Name(), err)
		}
	}
}
