package peer_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/leydenln/leyden/bench/lnc/peer"
)

// plain is gRPC with nothing in between.
type plain struct{}

func (plain) Serve(_ peer.Session, register func(grpc.ServiceRegistrar)) (string, func(), error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(peer.MaxMessage))
	register(s)
	go s.Serve(l)
	return l.Addr().String(), s.Stop, nil
}

type plainClient string

func (plain) Client(s peer.Session) (peer.Client, error) { return plainClient(s.Addr), nil }

func (c plainClient) Connect(context.Context) (*grpc.ClientConn, func(), error) {
	conn, err := grpc.NewClient(string(c), grpc.WithTransportCredentials(insecure.NewCredentials()))
	return conn, func() { conn.Close() }, err
}

func run(t *testing.T, commands ...string) []string {
	t.Helper()
	var out strings.Builder
	if err := peer.Run(plain{}, strings.NewReader(strings.Join(commands, "\n")+"\n"), &out); err != nil {
		t.Fatal(err)
	}
	answers := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(answers) != len(commands) {
		t.Fatalf("%d answers to %d commands: %q", len(answers), len(commands), answers)
	}
	return answers
}

const phrase = "0102030405060708090a0b0c0d0e"

func TestRun(t *testing.T) {
	r := make(chan string, 1)
	node, commands := net.Pipe()
	go func() {
		defer close(r)
		if err := peer.Run(plain{}, node, answers(r)); err != nil {
			t.Error(err)
		}
	}()
	defer func() {
		commands.Close()
		<-r
	}()
	if _, err := commands.Write([]byte("serve relay none " + phrase + "\n")); err != nil {
		t.Fatal(err)
	}
	addr, ok := strings.CutPrefix(strings.TrimSpace(<-r), "ok ")
	if !ok {
		t.Fatalf("the node answers %q", addr)
	}
	dial := "dial " + addr + " none " + phrase
	for i, a := range run(t, dial, "call 5", "fetch 1000000", "push 5000000", "hangup", dial, "call 1") {
		if a != "ok" && (!strings.HasPrefix(a, "ok ") || a == "ok 0") || (a == "ok") != (i == 4) {
			t.Errorf("answer %d: %q", i, a)
		}
	}
	for _, bad := range []string{"call 1", "", "dial a b", "serve a b 00", "fly", "dial " + addr + " none 0g"} {
		if a := run(t, bad)[0]; !strings.HasPrefix(a, "error ") {
			t.Errorf("%q: %q", bad, a)
		}
	}
	if a := run(t, dial, "call 0", "fly 3", "fetch 1"); !strings.HasPrefix(a[1], "error ") ||
		!strings.HasPrefix(a[2], "error ") || !strings.HasPrefix(a[3], "ok ") {
		t.Errorf("%q", a)
	}
}

// answers hands lines to a channel.
type answers chan<- string

func (a answers) Write(p []byte) (int, error) {
	a <- string(p)
	return len(p), nil
}
