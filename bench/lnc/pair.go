package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/leydenln/leyden/lnc"
)

// program is a peer that runs: it does a command a line.
type program struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startProgram(command []string) (*program, error) {
	p := &program{cmd: exec.Command(command[0], command[1:]...)}
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, p.cmd.Start()
}

// do returns what follows "ok" in the answer to a command.
func (p *program) do(command ...string) (string, error) {
	if _, err := fmt.Fprintln(p.in, strings.Join(command, " ")); err != nil {
		return "", err
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s: no answer to %s: %w", p.cmd.Path, command[0], err)
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	if word != "ok" {
		return "", fmt.Errorf("%s: %s: %s", p.cmd.Path, command[0], rest)
	}
	return rest, nil
}

func (p *program) timed(command ...string) (time.Duration, error) {
	answer, err := p.do(command...)
	if err != nil {
		return 0, err
	}
	ns, err := strconv.ParseInt(answer, 10, 64)
	return time.Duration(ns), err
}

func (p *program) end() error {
	return errors.Join(p.in.Close(), p.cmd.Wait())
}

// pair is both sides of one implementation, each a process of its own.
type pair struct {
	name         string
	node, client *program
	relay, cert  string
	addr, phrase string // of the session
}

func startPair(name, relay, cert string, command []string) (*pair, error) {
	p := &pair{name: name, relay: relay, cert: cert}
	var err error
	if p.node, err = startProgram(command); err != nil {
		return nil, err
	}
	p.client, err = startProgram(command)
	if err != nil {
		err = errors.Join(err, p.node.end())
	}
	return p, err
}

func (p *pair) end() error { return errors.Join(p.client.end(), p.node.end()) }

// begin has the node serve a session that nobody is paired with.
func (p *pair) begin() error {
	if _, err := p.client.do("hangup"); err != nil {
		return err
	}
	phrase := lnc.NewPhrase()
	p.phrase = hex.EncodeToString(phrase[:])
	var err error
	if p.addr, err = p.node.do("serve", p.relay, p.cert, p.phrase); err != nil {
		return err
	}
	time.Sleep(settle)
	return nil
}

func (p *pair) dial() (time.Duration, error) { return p.client.timed("dial", p.addr, p.cert, p.phrase) }

// leave ends the connection and gives the node time to notice.
func (p *pair) leave() error {
	_, err := p.client.do("hangup")
	time.Sleep(settle)
	return err
}

// settle is how long what was begun or ended may need at the relay.
const settle = time.Second
