// Package config finds Leyden's home folder and reads configuration files
// strictly: a key it does not know is an error that names file and line. What
// the keys mean is the business of the package that owns them. Nothing is ever
// read from the current directory.
package config

import (
	"os"
	"path/filepath"

	"github.com/leydenln/leyden/internal/fault"
)

// Home is Leyden's folder, an absolute path. Its layout is in
// ARCHITECTURE.md, "Files and ports".
type Home string

// ResolveHome returns the home folder: the --home flag if given, else
// LEYDEN_HOME, else ~/.leyden. It makes nothing.
func ResolveHome(flag string) (Home, error) {
	dir := flag
	if dir == "" {
		dir = os.Getenv("LEYDEN_HOME")
	}
	if dir == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return "", fault.New("no_home", "pass --home DIR",
				"find the home folder: %w", err)
		}
		dir = filepath.Join(user, ".leyden")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fault.New("no_home", "pass --home DIR",
			"home folder %q: %w", dir, err)
	}
	return Home(abs), nil
}

// Node is the node's lnddir.
func (h Home) Node() string { return filepath.Join(string(h), "node") }

// Gate holds gate.yaml, gate.db and the gate's keys.
func (h Home) Gate() string { return filepath.Join(string(h), "gate") }

// Guard holds guard.db and leyden.macaroon.
func (h Home) Guard() string { return filepath.Join(string(h), "guard") }

// Signer holds the signer's wallet and its credentials bundle.
func (h Home) Signer() string { return filepath.Join(string(h), "signer") }

// Bakery holds the records of the macaroons that leyden bake has made.
func (h Home) Bakery() string { return filepath.Join(string(h), "bakery") }

// Mailbox holds the relay's certificate.
func (h Home) Mailbox() string { return filepath.Join(string(h), "mailbox") }

// Run holds sockets and pid files, mode 0700.
func (h Home) Run() string { return filepath.Join(string(h), "run") }

// Devnet holds the private test network.
func (h Home) Devnet() string { return filepath.Join(string(h), "devnet") }
