// Package lnctest is a relay on loopback and sessions of nodes behind it, for
// tests of those who reach a node by Lightning Node Connect. It leaves out what
// a node is: calls go to a handler of the test's.
package lnctest

import (
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync"

	"github.com/btcsuite/btcd/btcec/v2"
	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/cert"
	"github.com/leydenln/leyden/internal/mailbox"
	"github.com/leydenln/leyden/lnc"
)

// Relay is a relay that certifies itself.
type Relay struct {
	// Addr is its host:port, CertPath its certificate.
	Addr, CertPath string

	certs  *cert.Keeper
	server *mailbox.Server
}

// StartRelay starts a relay with a new folder for its certificate.
func StartRelay(dir string) (*Relay, error) {
	r := &Relay{Addr: "127.0.0.1:0", CertPath: filepath.Join(dir, "relay.cert")}
	var err error
	r.certs, err = cert.Open(cert.Options{CertPath: r.CertPath, KeyPath: filepath.Join(dir, "relay.key"),
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	return r, r.Start()
}

// Start starts it again, where it was, after Stop.
func (r *Relay) Start() error {
	relay, err := mailbox.New(mailbox.Limits{}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", r.Addr)
	if err != nil {
		return errors.Join(err, relay.Close())
	}
	r.Addr = l.Addr().String()
	r.server = mailbox.Serve(relay, l, r.certs.TLSConfig())
	return nil
}

// Stop ends the relay.
func (r *Relay) Stop() error { return r.server.Close() }

// Session is a node's side of a session.
type Session struct {
	// Phrase is what a client pairs with.
	Phrase lnc.Phrase

	config   lnc.ListenerConfig
	handler  grpc.StreamHandler
	listener *lnc.Listener
	server   *grpc.Server

	mu       sync.Mutex
	identity lnc.Identity
	accepted int
}

// Serve begins a session: its calls carry the macaroon, and go to the handler.
func (r *Relay) Serve(macaroon []byte, handler grpc.StreamHandler) (*Session, error) {
	key, err := btcec.NewPrivateKey()
	if err != nil {
		return nil, err
	}
	s := &Session{Phrase: lnc.NewPhrase(), handler: handler, identity: lnc.Identity{Static: key}}
	s.config = lnc.ListenerConfig{Mailbox: r.Mailbox(), Phrase: s.Phrase, Persist: s.keep,
		AuthData: []byte("Macaroon: " + hex.EncodeToString(macaroon))}
	return s, s.Start()
}

// Mailbox is how clients reach the relay.
func (r *Relay) Mailbox() lnc.Mailbox {
	return lnc.Mailbox{Addr: r.Addr, TLS: &tls.Config{InsecureSkipVerify: true}}
}

// Start serves the session again after Stop.
func (s *Session) Start() error {
	s.config.Identity = s.Identity()
	var err error
	if s.listener, err = lnc.NewListener(s.config); err != nil {
		return err
	}
	s.server = grpc.NewServer(grpc.Creds(lnc.Credentials()), grpc.UnknownServiceHandler(s.handler))
	go func() { _ = s.server.Serve(counted{s.listener, s}) }()
	return nil
}

// Stop ends the session as one ends that is revoked: the relay knows it no
// more.
func (s *Session) Stop() {
	s.server.Stop()
	_ = s.listener.Close()
}

// ID is the session's name.
func (s *Session) ID() string {
	return hex.EncodeToString(s.Identity().Static.PubKey().SerializeCompressed()[1:5])
}

// Identity is what the node has kept.
func (s *Session) Identity() lnc.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.identity
}

// Accepted is how many connections there have been.
func (s *Session) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

func (s *Session) keep(identity lnc.Identity) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identity = identity
	return nil
}

// counted counts connections.
type counted struct {
	net.Listener
	session *Session
}

// Accept implements [net.Listener].
func (c counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.session.mu.Lock()
		defer c.session.mu.Unlock()
		c.session.accepted++
	}
	return conn, err
}
