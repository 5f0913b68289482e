package itest

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/acme"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/mailbox"
)

// TestMailboxAuthority: a relay gets its certificate from an authority, by
// TLS-ALPN-01 on its own port, and serves with it.
func TestMailboxAuthority(t *testing.T) {
	port := freePort(t)
	a := startAuthority(t, freePort(t), port, time.Hour)
	ready, ended := make(chan mailbox.Running, 1), make(chan error, 1)
	go func() {
		ended <- mailbox.Run(t.Context(), config.Home(t.TempDir()), mailbox.Options{
			Listen:    net.JoinHostPort("127.0.0.1", port),
			Authority: acme.Terms{Name: shopName, Directory: a.directory, Root: a.root},
		}, slog.New(slog.NewTextHandler(io.Discard, nil)), func(r mailbox.Running) { ready <- r })
	}()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	var relay mailbox.Running
	select {
	case relay = <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	trusted := a.issuer(t)
	await(t, "a certificate of the authority", func() bool {
		conn, err := tls.Dial("tcp", relay.Listen, &tls.Config{RootCAs: trusted, ServerName: shopName, NextProtos: []string{"h2"}})
		if err != nil {
			return false
		}
		return conn.ConnectionState().NegotiatedProtocol == "h2" && conn.Close() == nil
	})
}
