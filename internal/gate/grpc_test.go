package gate

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// echoServer answers each message, and ends with a status of its own after one
// that says so. It tells the metadata of each call.
func echoServer(t *testing.T, options ...grpc.ServerOption) (addr string, calls chan metadata.MD) {
	t.Helper()
	calls = make(chan metadata.MD, 10)
	options = append(options, grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		calls <- md
		stream.SetTrailer(metadata.Pairs("x-sum", "of all"))
		for {
			var m wrapperspb.StringValue
			if err := stream.RecvMsg(&m); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if m.Value == "fail" {
				return status.Error(codes.FailedPrecondition, "as asked: é")
			}
			if err := stream.SendMsg(wrapperspb.String("echo " + m.Value)); err != nil {
				return err
			}
		}
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(options...)
	t.Cleanup(s.Stop)
	go func() { _ = s.Serve(l) }()
	return l.Addr().String(), calls
}

// TestGRPC calls through the gate, by plain HTTP/2 and over TLS on either side:
// unpaid, then paid for, messages both ways, a status in the trailers.
func TestGRPC(t *testing.T) {
	for _, gateTLS := range []bool{false, true} {
		for _, backendTLS := range []bool{false, true} {
			t.Run(fmt.Sprintf("gate %v backend %v", gateTLS, backendTLS), func(t *testing.T) {
				testGRPC(t, gateTLS, backendTLS)
			})
		}
	}
}

func testGRPC(t *testing.T, gateTLS, backendTLS bool) {
	dir, node := t.TempDir(), newFakeNode()
	service := "name: a"
	var options []grpc.ServerOption
	if backendTLS {
		pair := httptest.NewUnstartedServer(nil)
		pair.StartTLS()
		t.Cleanup(pair.Close)
		file := filepath.Join(dir, "backend.pem")
		block := &pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate().Raw}
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		service += ", protocol: https, tlscertpath: " + file
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&pair.TLS.Certificates[0])))
	}
	addr, calls := echoServer(t, options...)
	g := openGate(t, dir, node, fmt.Sprintf("insecure: %v\nservername: shop.test\nservices: [{%s, address: %q}]\n", !gateTLS, service, addr))
	creds := insecure.NewCredentials()
	if gateTLS {
		creds = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
	}
	conn, err := grpc.NewClient(g.Addr().String(), grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	var answer wrapperspb.StringValue
	var trailer metadata.MD
	err = conn.Invoke(t.Context(), "/test.Echo/Once", wrapperspb.String("x"), &answer, grpc.Trailer(&trailer))
	if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "payment required") || len(trailer.Get("www-authenticate")) == 0 {
		t.Fatalf("unpaid: %v, %v", err, trailer)
	}
	paid := metadata.AppendToOutgoingContext(t.Context(), "authorization", paidFor(t, node, trailer.Get("www-authenticate")), "x-keep", "kept")
	err = conn.Invoke(paid, "/test.Echo/Once", wrapperspb.String("fail"), &answer, grpc.Trailer(&trailer))
	if status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != "as asked: é" || len(trailer.Get("x-sum")) != 1 {
		t.Errorf("a status: %v, %v", err, trailer)
	}
	if md := <-calls; len(md.Get("authorization")) != 0 || len(md.Get("x-keep")) != 1 {
		t.Errorf("the backend got %v", md)
	}
	talk(paid, t, conn)
}

// paidFor pays the challenge that a call was answered with.
func paidFor(t *testing.T, node *fakeNode, lines []string) string {
	t.Helper()
	resp := httptest.NewRecorder().Result()
	resp.Header["Www-Authenticate"] = lines
	return buy(t, node, resp)[1]
}

// talk sends messages one by one, each after the answer to the last.
func talk(ctx context.Context, t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Echo/Both")
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range []string{"one", strings.Repeat("two", 100_000), ""} {
		var answer wrapperspb.StringValue
		if err := stream.SendMsg(wrapperspb.String(message)); err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(&answer); err != nil || answer.Value != "echo "+message {
			t.Fatalf("%d bytes, %v", len(answer.Value), err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != io.EOF || len(stream.Trailer().Get("x-sum")) != 1 {
		t.Errorf("the end: %v, %v", err, stream.Trailer())
	}
}

// TestGRPCClientListens: a call may stay open without a word of the client's.
func TestGRPCClientListens(t *testing.T) {
	addr, _ := echoServer(t)
	g := openGate(t, t.TempDir(), newFakeNode(), "limits: {bodytimeout: 100ms}\n"+fmt.Sprintf(freeService, addr))
	conn, err := grpc.NewClient(g.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Echo/Both")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := stream.SendMsg(wrapperspb.String("x")); err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond) // silent on purpose
	}
}

// TestGRPCBackendAway tells a caller that it may try again.
func TestGRPCBackendAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	g := openGate(t, t.TempDir(), newFakeNode(), fmt.Sprintf(freeService, l.Addr()))
	conn, err := grpc.NewClient(g.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Invoke(t.Context(), "/test.Echo/Once", wrapperspb.String("x"), new(wrapperspb.StringValue))
	if status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}
