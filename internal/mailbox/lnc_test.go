package mailbox

import (
	"bytes"
	"crypto/rand"
	"io"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/leydenln/leyden/lnc"
)

// TestSessions: node and client meet here, by both ways of speaking with a
// relay; what is said comes back; then again by their keys alone.
func TestSessions(t *testing.T) {
	for name, socket := range map[string]bool{"gRPC": false, "WebSocket": true} {
		t.Run(name, func(t *testing.T) {
			r := startRelay(t, Limits{})
			phrase := lnc.NewPhrase()
			key, err := btcec.NewPrivateKey()
			if err != nil {
				t.Fatal(err)
			}
			way := lnc.Mailbox{Addr: r.addr, TLS: r.tls}
			node, err := lnc.NewListener(lnc.ListenerConfig{
				Mailbox: way, Phrase: phrase, Identity: lnc.Identity{Static: key}, AuthData: []byte("Macaroon: 00")})
			if err != nil {
				t.Fatal(err)
			}
			defer node.Close()
			go echo(node)
			way.WebSocket = socket
			client := &lnc.Dialer{Mailbox: way, Phrase: phrase}
			defer client.Close()
			for range 2 {
				conn, err := client.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				said := make([]byte, 1<<20)
				_, _ = rand.Read(said)
				go func() { _, _ = conn.Write(said) }() // what comes back tells
				heard := make([]byte, len(said))
				if _, err := io.ReadFull(conn, heard); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(said, heard) {
					t.Error("something else came back")
				}
				conn.Close()
			}
			if n, _ := r.queued(); n > 50 {
				t.Errorf("%v messages are left", n)
			}
		})
	}
}

// echo returns what each connection sends.
func echo(node *lnc.Listener) {
	for {
		conn, err := node.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(conn, conn)
		conn.Close()
	}
}
