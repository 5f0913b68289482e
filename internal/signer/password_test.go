package signer_test

import (
	"os"
	"path/filepath"
	"testing"
)

func TestChangePassword(t *testing.T) {
	t.Parallel()
	if _, code := newMachine(t).run("change-password"); code != "no_wallet" {
		t.Errorf("of nothing: %q", code)
	}
	m := newMade(t)
	b := m.bundle()
	old, err := os.ReadFile(m.path("wallet-password.txt"))
	if err != nil {
		t.Fatal(err)
	}
	kept := m.write(filepath.Join(t.TempDir(), "old"), string(old), 0o600)
	m.must("change-password")
	if again, err := os.ReadFile(m.path("wallet-password.txt")); err != nil || string(again) == string(old) {
		t.Errorf("the same password: %v", err)
	}
	if _, code := m.run("change-password", "--password-file", kept); code != "wrong_password" {
		t.Errorf("with the old one: %q", code)
	}
	given := m.write(filepath.Join(t.TempDir(), "given"), "a password of mine\n", 0o600)
	m.must("change-password", "--new-password-file", given)
	m.start()
	if err := sign(m.connect(b, b.Macaroon)); err != nil {
		t.Error(err)
	}
	if _, code := m.run("change-password"); code != "already_running" {
		t.Errorf("of a running signer: %q", code)
	}
}
