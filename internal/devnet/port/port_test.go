package port_test

import (
	"net"
	"testing"

	"github.com/leydenln/leyden/internal/devnet/port"
)

func TestReservedPortIsOursToBind(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		addr, err := port.Reserve()
		if err != nil {
			t.Fatal(err)
		}
		if seen[addr] {
			t.Fatalf("%s was reserved twice", addr)
		}
		seen[addr] = true
	}
	for addr := range seen {
		l, err := net.Listen("tcp4", addr)
		if err != nil {
			t.Fatalf("bind a reserved port: %v", err)
		}
		defer l.Close()
	}
}

func TestKeep(t *testing.T) {
	addr, err := port.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	again, err := port.Keep(addr)
	if err != nil || again != addr {
		t.Fatalf("got %s, %v, want %s again", again, err, addr)
	}
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if other, err := port.Keep(addr); err != nil || other == addr {
		t.Fatalf("got %s, %v for a port in use", other, err)
	}
}
