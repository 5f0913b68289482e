package files_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

func TestWriteReplacesWithMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for _, want := range []string{"first", "second"} {
		if err := files.Write(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := files.ReadSecret(path)
		if err != nil || string(got) != want {
			t.Fatalf("read %q, %v; want %q", got, err, want)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d files left, %v; want 1", len(entries), err)
	}
}

func TestWriteTightensAnOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := files.Write(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestReadSecretRefusesWhatOthersRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o666} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := files.ReadSecret(path); fault.Code(err) != "insecure_file" {
			t.Errorf("mode %#o: %v, want insecure_file", mode, err)
		}
	}
}

func TestWriteFaults(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "no", "such", "folder")
	if err := files.Write(missing, nil, 0o600); fault.Code(err) != "write_failed" {
		t.Errorf("missing folder: %v, want write_failed", err)
	}
}

func TestMkdirPrivateTightens(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := files.MkdirPrivate(dir); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("mode %v, %v; want 0700", info.Mode(), err)
	}
}
