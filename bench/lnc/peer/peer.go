// Package peer is the part of a program that bench/lnc measures: it reads
// commands, one a line, from standard input, has an implementation of Lightning
// Node Connect do them, and answers each with one line, "ok" and perhaps a
// figure, or "error" and why. bench/README.md has the commands.
//
// It promises that all programs which use it do the same work and are timed
// alike. It leaves out the implementation, and has no dependency of its own on
// the one in package lnc, so that a program of another module can bring its own.
package peer

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
)

// Session is where two sides meet.
type Session struct {
	// Addr is the relay's host and port, or whatever Serve has returned.
	Addr string
	// Certificate is the file of the relay's certificate, PEM.
	Certificate string
	// Phrase is the pairing phrase's 14 bytes.
	Phrase [14]byte
}

// TLS trusts the relay's certificate and no other.
func (s Session) TLS() (*tls.Config, error) {
	text, err := os.ReadFile(s.Certificate)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in %q", s.Certificate)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// Implementation is one of Lightning Node Connect, at either side.
type Implementation interface {
	// Serve serves what register registers to the session's client, until stop
	// is called. addr is what the client is to dial.
	Serve(s Session, register func(grpc.ServiceRegistrar)) (addr string, stop func(), err error)
	// Client returns a side that has never met the other.
	Client(s Session) (Client, error)
}

// Client is a client that keeps its keys from one connection to the next.
type Client interface {
	// Connect returns a connection to be used for calls, and how to end it.
	Connect(ctx context.Context) (conn *grpc.ClientConn, hangUp func(), err error)
}

// patience is how long a command may take.
const patience = time.Minute

// Run does the commands until there are no more.
func Run(made Implementation, commands io.Reader, answers io.Writer) error {
	w := &worker{made: made, stop: func() {}, hangUp: func() {}}
	defer func() {
		w.hangUp()
		w.stop()
	}()
	lines := bufio.NewScanner(commands)
	for lines.Scan() {
		answer, err := w.do(strings.Fields(lines.Text()))
		if err != nil {
			answer = "error " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		if _, err := fmt.Fprintln(answers, answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

// worker is what a program has at hand: a session that it serves, or one that
// it is the client of.
type worker struct {
	made Implementation
	stop func()

	session Session
	client  Client
	conn    *grpc.ClientConn
	hangUp  func()
}

func (w *worker) do(words []string) (answer string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var took time.Duration
	switch {
	case len(words) == 4 && words[0] == "serve":
		return w.serve(words[1:])
	case len(words) == 4 && words[0] == "dial":
		took, err = w.dial(ctx, words[1:])
	case len(words) == 1 && words[0] == "hangup":
		w.hangUp()
		w.conn, w.hangUp = nil, func() {}
		return "ok", nil
	case len(words) == 2 && w.conn != nil:
		took, err = w.use(ctx, words[0], words[1])
	default:
		err = fmt.Errorf("no command, or not now: %q", words)
	}
	return "ok " + strconv.FormatInt(took.Nanoseconds(), 10), err
}

func (w *worker) serve(words []string) (answer string, err error) {
	s, err := parseSession(words)
	if err != nil {
		return "", err
	}
	w.stop()
	w.stop = func() {}
	addr, stop, err := w.made.Serve(s, register)
	if err != nil {
		return "", err
	}
	w.stop = stop
	return "ok " + addr, nil
}

// dial connects, and counts the time until a call was answered.
func (w *worker) dial(ctx context.Context, words []string) (time.Duration, error) {
	s, err := parseSession(words)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if w.client == nil || w.session != s {
		if w.client, err = w.made.Client(s); err != nil {
			return 0, err
		}
		w.session = s
	}
	if w.conn, w.hangUp, err = w.client.Connect(ctx); err != nil {
		w.hangUp = func() {}
		return 0, err
	}
	_, err = call(ctx, w.conn)
	return time.Since(start), err
}

func (w *worker) use(ctx context.Context, what, number string) (time.Duration, error) {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s %q: how many?", what, number)
	}
	switch what {
	case "call":
		return calls(ctx, w.conn, n)
	case "fetch":
		return fetch(ctx, w.conn, n)
	case "push":
		return push(ctx, w.conn, n)
	}
	return 0, fmt.Errorf("no such command: %q", what)
}

func parseSession(words []string) (Session, error) {
	s := Session{Addr: words[0], Certificate: words[1]}
	phrase, err := hex.DecodeString(words[2])
	if err != nil || len(phrase) != len(s.Phrase) {
		return s, fmt.Errorf("a phrase is %d bytes in hex", len(s.Phrase))
	}
	copy(s.Phrase[:], phrase)
	return s, nil
}
