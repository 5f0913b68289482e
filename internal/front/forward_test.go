package front

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// outcome is all that a client can see of a call.
type outcome struct {
	msgs            []string
	code            codes.Code
	text            string
	details         string
	header, trailer metadata.MD
}

func outcomeOf(msgs []string, err error, header, trailer metadata.MD) outcome {
	st := status.Convert(err)
	var details strings.Builder
	for _, d := range st.Proto().GetDetails() {
		raw, _ := proto.Marshal(d)
		details.WriteString(hex.EncodeToString(raw))
	}
	delete(header, "content-type")
	delete(trailer, "content-type")
	return outcome{msgs, st.Code(), st.Message(), details.String(), header, trailer}
}

// TestLikeDirect makes calls straight to lnd and through the front and compares
// everything that the client sees.
func TestLikeDirect(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<16)
	cases := map[string]struct {
		method string
		md     metadata.MD
		msgs   []string
		opts   []grpc.CallOption
		unary  bool
	}{
		"ok/unary":              {method: "/fake/Echo", msgs: []string{"hello"}, unary: true},
		"ok/unary, empty":       {method: "/fake/Echo", msgs: []string{""}, unary: true},
		"ok/unary, big":         {method: "/fake/Echo", msgs: []string{big}, unary: true},
		"ok/unary, gzip":        {method: "/fake/Echo", msgs: []string{big}, unary: true, opts: []grpc.CallOption{grpc.UseCompressor(gzip.Name)}},
		"ok/metadata":           {method: "/fake/Echo", msgs: []string{"x"}, unary: true, md: metadata.MD{"x-one": {"1"}, "x-many": {"a", "b", ""}, "x-raw-bin": {"\x00\x01\xfe"}, "macaroon": {"0201"}}},
		"ok/unary as a stream":  {method: "/fake/Echo", msgs: []string{"hello"}},
		"ok/server stream":      {method: "/fake/Count", msgs: []string{"1000"}},
		"ok/server stream of 0": {method: "/fake/Count", msgs: []string{"0"}},
		"ok/client stream":      {method: "/fake/Sum", msgs: []string{"a", "b", "", big}},
		"ok/no message":         {method: "/fake/Sum"},
		"ok/bidirectional":      {method: "/fake/Chat", msgs: []string{"a", "", "b", big}},
		"fail/unknown method":   {method: "/fake/Nothing", msgs: []string{"x"}, unary: true},
		"fail/plain error":      {method: "/fake/Fail", msgs: []string{"wallet locked"}, unary: true},
		"fail/in a stream":      {method: "/fake/Count", msgs: []string{"many"}},
		"fail/missing message":  {method: "/fake/Fail"},
	}
	for code := 1; code <= 16; code++ {
		name := fmt.Sprintf("fail/code %d", code)
		c := cases[name]
		c.method, c.msgs, c.unary = "/fake/Fail", []string{strconv.Itoa(code)}, code%2 == 0
		cases[name] = c
	}
	b := newBed(t, nil)
	conns := [2]*grpc.ClientConn{b.direct(t), b.dial(t, "")}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got [2]outcome
			for i, cc := range conns {
				ctx := metadata.NewOutgoingContext(testContext(t), c.md)
				if c.unary {
					var header, trailer metadata.MD
					msg, err := ask(ctx, cc, c.method, c.msgs[0], append(c.opts, grpc.Header(&header), grpc.Trailer(&trailer))...)
					got[i] = outcomeOf([]string{msg}, err, header, trailer)
					continue
				}
				s := open(t, ctx, cc, c.method)
				for _, msg := range c.msgs {
					if err := s.send(msg); err != nil {
						t.Fatal(err)
					}
				}
				s.CloseSend()
				msgs, err := s.all()
				header, _ := s.Header()
				got[i] = outcomeOf(msgs, err, header, s.Trailer())
			}
			delete(got[1].header, "got-x-forwarded-user-agent")
			delete(got[1].trailer, "got-x-forwarded-user-agent")
			if !reflect.DeepEqual(got[0], got[1]) {
				t.Errorf("direct:  %.2000v\nthrough: %.2000v", got[0], got[1])
			}
			if strings.HasPrefix(name, "ok/") != (got[1].code == codes.OK) {
				t.Errorf("code %v", got[1].code)
			}
		})
	}
}

func TestLargeMessage(t *testing.T) {
	b := newBed(t, nil)
	msg := make([]byte, 64<<20)
	rand.Read(msg)
	var out []byte
	if err := b.dial(t, "").Invoke(testContext(t), "/fake/Echo", &msg, &out); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(msg, out) {
		t.Error("64 MB came back changed")
	}
}

func TestTooLargeRequest(t *testing.T) {
	b := newBed(t, nil)
	msg := make([]byte, maxRequest+1)
	var out []byte
	err := b.dial(t, "").Invoke(testContext(t), "/fake/Echo", &msg, &out)
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
}

func TestUserAgentGoesAlong(t *testing.T) {
	b := newBed(t, nil)
	var header metadata.MD
	if _, err := ask(testContext(t), b.dial(t, ""), "/fake/Echo", "x", grpc.Header(&header)); err != nil {
		t.Fatal(err)
	}
	if got := header["got-x-forwarded-user-agent"]; len(got) != 1 || !strings.HasPrefix(got[0], "tester/1") {
		t.Errorf("got %q", got)
	}
}

// TestHeaderBeforeMessages: a stream that says nothing yet shows its header.
// TestHeadersBeyondGRPC: what a gRPC server takes but a gRPC client must not send
// stays behind, and the call goes on.
func TestHeadersBeyondGRPC(t *testing.T) {
	b := newBed(t, nil)
	transport := &http.Transport{TLSClientConfig: insecureTLS.Clone(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	for name, header := range map[string]http.Header{
		"ok/user agent":        {"User-Agent": {"Zeus \u26a1"}},
		"ok/value beyond text": {"X-One": {"\u00fcn\u00ef"}},
		"ok/key beyond gRPC's": {"X~Y": {"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			message := []byte{0, 0, 0, 0, 2, 'h', 'i'}
			req, err := http.NewRequestWithContext(testContext(t), http.MethodPost, "https://"+b.addr+"/fake/Echo", bytes.NewReader(message))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = header
			header.Set("Content-Type", "application/grpc")
			header.Set("Te", "trailers")
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, message) {
				t.Errorf("got %q, %v; status %q: %s", got, err, resp.Header.Get("Grpc-Status"), resp.Header.Get("Grpc-Message"))
			}
		})
	}
}

func TestHeaderBeforeMessages(t *testing.T) {
	b := newBed(t, nil)
	s := open(t, testContext(t), b.dial(t, ""), "/fake/Hang")
	header, err := s.Header()
	if err != nil || len(header["hanging"]) != 1 {
		t.Errorf("got %v, %v", header, err)
	}
}

// TestPingPong: each message arrives before the next is sent, in both directions.
func TestPingPong(t *testing.T) {
	b := newBed(t, nil)
	s := open(t, testContext(t), b.dial(t, ""), "/fake/Chat")
	for i := range 200 {
		msg := strconv.Itoa(i)
		if err := s.send(msg); err != nil {
			t.Fatal(err)
		}
		if got, err := s.recv(); err != nil || got != msg {
			t.Fatalf("got %q, %v; want %q", got, err, msg)
		}
	}
	s.CloseSend()
	if rest, err := s.all(); err != nil || len(rest) != 0 {
		t.Errorf("after half-close: %q, %v", rest, err)
	}
}

func TestCancellationReachesLnd(t *testing.T) {
	b := newBed(t, nil)
	ctx, cancel := context.WithCancel(testContext(t))
	s := open(t, ctx, b.dial(t, ""), "/fake/Hang")
	if _, err := s.Header(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := wait(t, b.lnd.ended, "the end of the call at lnd"); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

func TestDeadline(t *testing.T) {
	b := newBed(t, nil)
	cc := b.dial(t, "")
	for within, there := 50*time.Millisecond, false; !there; within *= 2 { // until it has come as far as lnd
		ctx, cancel := context.WithTimeout(testContext(t), within)
		if _, err := ask(ctx, cc, "/fake/Hang", "x"); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
		cancel()
		there = len(b.lnd.seen) > 0
	}
	wait(t, b.lnd.ended, "the end of the call at lnd")

	var header metadata.MD
	long, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	if _, err := ask(long, cc, "/fake/Echo", "x", grpc.Header(&header)); err != nil {
		t.Fatal(err)
	}
	if got := header["got-deadline"]; len(got) != 1 || got[0] != "true" {
		t.Errorf("lnd's deadline: %q", got)
	}
}

// TestSlowReader: a client that does not read stalls only its own call.
func TestSlowReader(t *testing.T) {
	b := newBed(t, nil)
	cc := b.dial(t, "")
	slow := open(t, testContext(t), cc, "/fake/Count")
	if err := slow.send("30000"); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := ask(testContext(t), cc, "/fake/Echo", "x"); err != nil {
			t.Fatal(err)
		}
	}
	if msgs, err := slow.all(); err != nil || len(msgs) != 30000 || msgs[29999] != "29999" {
		t.Errorf("%d messages, %v", len(msgs), err)
	}
}

func TestOutgoingMetadata(t *testing.T) {
	in := metadata.MD{
		":authority": {"node:10009"}, "content-type": {"application/grpc"}, "user-agent": {"tester/1"},
		"te": {"trailers"}, "grpc-accept-encoding": {"gzip"}, "macaroon": {"aa"}, "x-one": {"1", "2"},
	}
	want := metadata.MD{"macaroon": {"aa"}, "x-one": {"1", "2"}, "x-forwarded-user-agent": {"tester/1"}}
	if got := outgoing(in, nil); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if in["user-agent"] == nil {
		t.Error("the client's metadata was changed")
	}
}
