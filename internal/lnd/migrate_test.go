package lnd

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/leydenln/leyden/internal/fault"
)

// deletedKey makes a database that a key was deleted from, which its free pages still
// have.
func deletedKey(t *testing.T, path string) (key []byte) {
	t.Helper()
	key = bytes.Repeat([]byte("a private key, encrypted "), 40)
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	put := func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("keys"))
		return errors.Join(err, b.Put([]byte("private"), key), b.Put([]byte("public"), []byte("kept")))
	}
	remove := func(tx *bbolt.Tx) error { return tx.Bucket([]byte("keys")).Delete([]byte("private")) }
	if err := errors.Join(db.Update(put), db.Update(remove), db.Close()); err != nil {
		t.Fatal(err)
	}
	if !has(t, path, key) {
		t.Fatal("the file does not have what this test looks for")
	}
	return key
}

func has(t *testing.T, path string, what []byte) bool {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(data, what)
}

// TestCompact: no file has the deleted key any more, nor has the old one, whatever an
// earlier time that was cut short left behind.
func TestCompact(t *testing.T) {
	for name, left := range map[string]func(t *testing.T, path string){
		"ok/first time": func(*testing.T, string) {},
		"ok/killed while writing": func(t *testing.T, path string) {
			if err := os.WriteFile(path+".compact", []byte("half a database"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"ok/killed before the new one took its place": func(t *testing.T, path string) {
			if err := os.Link(path, path+".before"); err != nil {
				t.Fatal(err)
			}
		},
		"ok/killed before the old one was overwritten": func(t *testing.T, path string) {
			deletedKey(t, path+".before")
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "wallet.db")
			key := deletedKey(t, path)
			left(t, path)
			var old []*os.File
			for _, p := range []string{path, path + ".before"} {
				if f, err := os.Open(p); err == nil {
					defer f.Close()
					old = append(old, f)
				}
			}
			if err := compact(path); err != nil {
				t.Fatal(err)
			}
			for _, f := range old {
				if data, err := io.ReadAll(f); err != nil || bytes.Contains(data, key) {
					t.Errorf("an old file still has the key, or %v", err)
				}
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 1 || has(t, path, key) || !has(t, path, []byte("kept")) {
				t.Errorf("left: %v, %v", entries, err)
			}
		})
	}
}

// TestCompactOnFullDisk: what has no space is told as that, and done once there is.
// It needs the right to mount.
func TestCompactOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=256k", "none", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a small disk: %v %s", err, out)
	}
	t.Cleanup(func() {
		if err := exec.Command("umount", "-l", dir).Run(); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(dir, "wallet.db")
	key := deletedKey(t, path)
	if err := spaceBeside(path); fault.Code(err) != "disk_full" {
		t.Errorf("before: %v", err)
	}
	ballast := filepath.Join(dir, "ballast")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ballast, make([]byte, 256<<10-info.Size()-12<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := compact(path); fault.Code(err) != "disk_full" {
		t.Errorf("compact: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("half a database takes space: %v, %v", entries, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := compact(path); err != nil || has(t, path, key) {
		t.Errorf("with space: %v", err)
	}
}
