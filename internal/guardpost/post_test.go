package guardpost

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/leydenln/leyden/internal/fault"
)

func open(t *testing.T, dir string) *Post {
	t.Helper()
	p, err := Open(t.Context(), Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestOneProcess: a second post on the folder is refused, and a start that
// fails leaves the folder to others.
func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	opts := Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)}
	p := open(t, dir)
	if _, err := Open(t.Context(), opts); fault.Code(err) != "guard_running" {
		t.Errorf("second: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time nobody holds the lock
		if err := os.WriteFile(filepath.Join(dir, databaseFile), []byte("no database, but long enough to be taken for one"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), opts); fault.Code(err) != "database_corrupt" {
			t.Errorf("corrupt: %q %v", fault.Code(err), err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, databaseFile), good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir).Close(); err != nil {
		t.Error(err)
	}
}

// identity is an lnd that only says who it is.
type identity struct {
	lnrpc.UnimplementedLightningServer
	key string
}

func (i *identity) GetInfo(context.Context, *lnrpc.GetInfoRequest) (*lnrpc.GetInfoResponse, error) {
	return &lnrpc.GetInfoResponse{IdentityPubkey: i.key}, nil
}

// TestSameNode: the first node that is seen is the only one from then on.
func TestSameNode(t *testing.T) {
	node := &identity{key: "02aa"}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	lnrpc.RegisterLightningServer(server, node)
	go server.Serve(l)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })

	dir := t.TempDir()
	p := open(t, dir)
	for _, key := range []string{"02cc", "02aa", "02aa"} {
		node.key = key
		keepID, err := p.sameNode(t.Context(), conn)
		if err == nil && key == "02aa" { // 02cc was never attached to
			err = keepID()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	node.key = "02bb"
	if _, err := p.sameNode(t.Context(), conn); fault.Code(err) != "other_node" || fault.Hint(err) == "" {
		t.Errorf("another node: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = open(t, dir)
	t.Cleanup(func() { p.Close() })
	if _, err := p.sameNode(t.Context(), conn); fault.Code(err) != "other_node" {
		t.Errorf("another node, after a restart: %v", err)
	}
}

// TestConnectionIsMadeOnce: a connection that broke is not made again, so that
// no call reaches another life of lnd. A failed attempt may be repeated.
func TestConnectionIsMadeOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	dialled := 0
	dial := once(func(ctx context.Context, _ string) (net.Conn, error) {
		if dialled++; dialled == 1 {
			return nil, errors.New("not up yet")
		}
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	})
	for attempt, ok := range []bool{false, true, false, false} {
		conn, err := dial(t.Context(), "")
		if (err == nil) != ok {
			t.Errorf("attempt %d: %v", attempt, err)
		}
		if conn != nil {
			conn.Close()
		}
	}
	if dialled != 2 {
		t.Errorf("dialled %d times", dialled)
	}
}
