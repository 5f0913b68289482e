package itest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/node"
	"github.com/leydenln/leyden/internal/signer"
)

// public says whether everybody may read a file: certificates and logs.
func public(path string) bool {
	return slices.Contains([]string{".cert", ".crt", ".log"}, filepath.Ext(path))
}

// machine is where a watch-only node and its signer run.
type machine struct {
	homes  []string
	node   node.Running
	signer signer.Running
	open   []string // the ports that everybody reaches
}

func newMachine(t *testing.T, n *devnet.Network) *machine {
	t.Helper()
	alice := n.Nodes[0]
	m := &machine{homes: []string{string(alice.Home()), string(alice.Signer.Home())}}
	var err error
	if m.node, err = node.Status(alice.Home()); err != nil {
		t.Fatal(err)
	}
	if m.signer, err = signer.Status(alice.Signer.Home()); err != nil {
		t.Fatal(err)
	}
	m.open = slices.Sorted(slices.Values([]string{alice.RPC, alice.REST, alice.P2P, alice.API, alice.Signer.RPC}))
	return m
}

// pids are those of node, signer, and the lnd of each.
func (m *machine) pids() []int {
	return []int{m.node.PID, m.node.LndPID, m.signer.PID, m.signer.LndPID}
}

// all is everything there is to try.
func (m *machine) all(t *testing.T) (at lookAt) {
	t.Helper()
	at.PIDs = m.pids()
	roots := slices.Concat(m.homes, []string{filepath.Dir(m.node.Socket), filepath.Dir(m.signer.Socket)})
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type() == fs.ModeSocket {
				at.Sockets = append(at.Sockets, path)
			} else if err == nil {
				at.Paths = append(at.Paths, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Contains(at.Sockets, m.node.Socket) || !slices.Contains(at.Sockets, m.signer.Socket) {
		t.Fatalf("the sockets %q are not among %q", []string{m.node.Socket, m.signer.Socket}, at.Sockets)
	}
	for _, pid := range m.pids() {
		at.Ports = append(at.Ports, listening(t, pid)...)
	}
	at.Ports = slices.Compact(slices.Sorted(slices.Values(at.Ports)))
	return at
}

// expect holds what was seen against what may be: files that are public, ports
// that everybody reaches.
func (m *machine) expect(t *testing.T, got seen, readable func(string) bool) {
	t.Helper()
	for _, path := range got.Read {
		info, err := os.Stat(path)
		if readable == nil || err == nil && !info.IsDir() && !readable(path) {
			t.Errorf("the agent can read %s", path)
		}
	}
	for _, path := range got.Written {
		t.Errorf("the agent can write %s", path)
	}
	if slices.Sort(got.Connected); !slices.Equal(got.Connected, m.open) {
		t.Errorf("the agent connects to %q, want the ports %q", got.Connected, m.open)
	}
	secrets := m.secrets(t)
	for i, line := range got.Lines {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", m.pids()[i]))
		if err != nil {
			t.Fatal(err)
		}
		for name, secret := range secrets {
			if strings.Contains(line, secret) || bytes.Contains(environ, []byte(secret)) {
				t.Errorf("process %d was started with %s", m.pids()[i], name)
			}
		}
	}
}

// secrets are what no command line may hold, by name.
func (m *machine) secrets(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, home := range m.homes {
		err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			switch filepath.Ext(path) {
			case ".macaroon":
				found[path+" in hex"] = hex.EncodeToString(data)
				found[path+" in base64"] = base64.StdEncoding.EncodeToString(data)
			case ".txt":
				found[path] = strings.TrimSpace(string(data))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(found) < 10 { // passwords of node and signer, a seed, the macaroons of two lnds
		t.Fatalf("only these secrets were found: %q", found)
	}
	return found
}

// openFolders is an operator's mistake: everybody may pass and list every folder
// of the test's own.
func (m *machine) openFolders(t *testing.T) {
	t.Helper()
	parent := filepath.Clean(os.TempDir()) + "/"
	for _, path := range m.all(t).Paths {
		for ; strings.HasPrefix(path, parent); path = filepath.Dir(path) {
			info, err := os.Stat(path)
			if err == nil && info.IsDir() {
				err = os.Chmod(path, 0o755)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// listening are the TCP ports on which a process listens.
func listening(t *testing.T, pid int) (addresses []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	open, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	inodes := make(map[string]bool)
	for _, fd := range open {
		target, _ := os.Readlink(filepath.Join(dir, fd.Name())) // it may be closed by now
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line) // proc(5): local address, state, inode
			if len(f) < 10 || f[3] != "0A" || !inodes[f[9]] {
				continue
			}
			_, hexPort, _ := strings.Cut(f[1], ":")
			port, err := strconv.ParseUint(hexPort, 16, 16)
			if err != nil {
				t.Fatal(err)
			}
			addresses = append(addresses, fmt.Sprintf("127.0.0.1:%d", port))
		}
	}
	return addresses
}
