// Package served runs programs that listen, each in a process of its own, for
// as long as a benchmark needs them.
package served

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/owned"
	"github.com/leydenln/leyden/internal/devnet/port"
)

// Program is one that listens.
type Program struct {
	*owned.Process

	// Addr is where it listens, host:port, on loopback.
	Addr string
}

// Start runs a program with the arguments for an address that is free, and
// waits until it listens there, some seconds at most. Its output is in home.
func Start(home, path string, args func(addr string) []string) (*Program, error) {
	addr, err := port.Reserve()
	if err != nil {
		return nil, err
	}
	p, err := owned.Start(owned.Command{
		Path: path, Args: args(addr), Env: devnet.Environ(), LogFile: filepath.Join(home, filepath.Base(path)+".log"),
	})
	if err != nil {
		return nil, err
	}
	for range 200 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			return &Program{p, addr}, conn.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, errors.Join(fmt.Errorf("%s does not listen on %s", path, addr), p.Stop(context.Background()))
}

// Relay runs the relay of the leyden in a folder, with limits that no benchmark
// reaches. Certificate is the file of its certificate, beside that of its key.
func Relay(home, bin string) (relay *Program, certificate string, err error) {
	leyden, err := filepath.Abs(filepath.Join(bin, "leyden"))
	if err != nil {
		return nil, "", err
	}
	relay, err = Start(home, leyden, func(addr string) []string {
		return []string{"--home", home, "mailbox", "start", "--listen", addr,
			"--client-rate", "1000000", "--box-rate", "1000000", "--client-connections", "4096", "--client-boxes", "8000"}
	})
	return relay, filepath.Join(home, "mailbox", "tls.cert"), err
}
