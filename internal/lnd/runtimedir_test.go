package lnd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/fault"
)

// shortDir is one in which a socket's path is not too long, as it may be in t.TempDir.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "short")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestRuntimeDir(t *testing.T) {
	base := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("TMPDIR", base)
	one, err := RuntimeDir("/home/a/.leyden/node")
	if err != nil {
		t.Fatal(err)
	}
	two, err := RuntimeDir("/home/b/.leyden/node")
	if err != nil {
		t.Fatal(err)
	}
	again, err := RuntimeDir("/home/a/.leyden/node/")
	if err != nil || one == two || one != again || !strings.HasPrefix(one, base) {
		t.Errorf("%q, %q, %q, %v", one, two, again, err)
	}
	if info, err := os.Stat(one); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	private := filepath.Join(base, "private")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", private)
	if dir, err := RuntimeDir("/x"); err != nil || !strings.HasPrefix(dir, private+"/leyden/") {
		t.Errorf("XDG_RUNTIME_DIR: %q, %v", dir, err)
	}
}

// TestRuntimeDirIsShort: a socket's path has at most 107 bytes on Linux.
func TestRuntimeDirIsShort(t *testing.T) {
	deep := filepath.Join(t.TempDir(), strings.Repeat("d", 90))
	if err := os.Mkdir(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", deep)
	t.Setenv("TMPDIR", deep)
	dir, err := RuntimeDir(strings.Repeat("/deep", 40))
	if err != nil || len(filepath.Join(dir, socketName)) > 103 {
		t.Errorf("%q, %v", dir, err)
	}
	if err := os.Remove(dir); err != nil {
		t.Error(err)
	}
}

func TestRuntimeDirRefusesOthersWork(t *testing.T) {
	prepare := map[string]func(path string) error{
		"fail/open to others": func(p string) error { return os.Mkdir(p, 0o777) },
		"fail/a link":         func(p string) error { return os.Symlink(os.TempDir(), p) },
		"fail/a file":         func(p string) error { return os.WriteFile(p, nil, 0o600) },
	}
	for name, make := range prepare {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_RUNTIME_DIR", "")
			t.Setenv("TMPDIR", shortDir(t))
			path := runtimeBase()
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			if name == "fail/open to others" {
				if err := os.Chmod(path, 0o777); err != nil {
					t.Fatal(err)
				}
			}
			_, err := RuntimeDir("/x")
			if fault.Code(err) != "insecure_runtime_dir" {
				t.Errorf("got %v", err)
			}
			if ours := fault.Hint(err) == "chmod 700 "+path; ours != (name == "fail/open to others") {
				t.Errorf("hint %q", fault.Hint(err))
			}
		})
	}
}
