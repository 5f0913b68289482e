package guardpost

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"testing"
	"time"

	lndcert "github.com/lightningnetwork/lnd/cert"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/front"
)

// door is a post before a front whose lnd is away: an open door says node_down,
// a shut one its reason.
func door(t *testing.T) (*Post, func() string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM, err := lndcert.GenCertPair("test", nil, nil, true, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	f, err := front.New(front.Options{
		Listeners: []net.Listener{l}, TLS: &tls.Config{Certificates: []tls.Certificate{pair}},
		Backend: front.Backend{Socket: "none", TLSCert: "none"}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Start()
	t.Cleanup(func() {
		if err := f.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient(l.Addr().String(),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p := open(t, t.TempDir())
	t.Cleanup(func() { p.Close() })
	p.Before(f)
	return p, func() string {
		_, err := lnrpc.NewLightningClient(conn).GetInfo(t.Context(), &lnrpc.GetInfoRequest{})
		return status.Convert(err).Message()
	}
}

// TestDoor: whoever gave an attachment up has the last word, however late the
// guard says that it is attached or lost.
func TestDoor(t *testing.T) {
	const (
		isOpen   = "leyden: node_down: lnd is not running or did not answer (try: leyden node status)"
		isLost   = "leyden: starting: the guard is not attached to lnd at the moment"
		isShut   = "leyden: lnd_down: gone"
		starting = "leyden: starting: the node is starting"
	)
	gone := front.Refusal{Code: codes.Unavailable, Reason: "lnd_down", Sentence: "gone"}
	p, says := door(t)
	ctx, giveUp := context.WithCancel(t.Context())
	steps := []struct {
		name string
		do   func()
		want string
	}{
		{"begin", func() {}, starting},
		{"attached", func() { p.opened(ctx) }, isOpen},
		{"lost", func() { p.lost(ctx) }, isLost},
		{"attached again", func() { p.opened(ctx) }, isOpen},
		{"given up", func() { giveUp(); p.Shut(gone) }, isShut},
		{"attached too late", func() { p.opened(ctx) }, isShut},
		{"lost too late", func() { p.lost(ctx) }, isShut},
		{"next run attached", func() { p.opened(t.Context()) }, isOpen},
	}
	for _, step := range steps {
		step.do()
		if got := says(); got != step.want {
			t.Fatalf("%s: the front says %q, want %q", step.name, got, step.want)
		}
	}
}
