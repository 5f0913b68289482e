package front

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// withREST serves HTTP with a handler that runs f on the front's own connection
// and answers 200, or 500 with f's error.
func withREST(t *testing.T, f func(context.Context, grpc.ClientConnInterface) error) func(*Options) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return func(o *Options) {
		o.REST = &REST{Listeners: []net.Listener{l}, Handler: func(cc grpc.ClientConnInterface) (http.Handler, error) {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := f(r.Context(), cc); err != nil {
					http.Error(w, err.Error(), http.StatusInternalServerError)
				}
			}), nil
		}}
	}
}

func (b *bed) get(t *testing.T) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: insecureTLS}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(testContext(t), http.MethodGet, b.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

func TestLocalConn(t *testing.T) {
	text := func(s string) *wrapperspb.StringValue { return wrapperspb.String(s) }
	cases := map[string]func(context.Context, grpc.ClientConnInterface) error{
		"ok/unary": func(ctx context.Context, cc grpc.ClientConnInterface) error {
			ctx = metadata.AppendToOutgoingContext(ctx, "x-one", "1", "macaroon", "aa")
			var header, trailer metadata.MD
			out := new(wrapperspb.StringValue)
			err := cc.Invoke(ctx, "/fake/Echo", text("hello"), out, grpc.Header(&header), grpc.Trailer(&trailer))
			if err != nil {
				return err
			}
			if out.Value != "hello" || header.Get("got-x-one")[0] != "1" || header.Get("got-macaroon")[0] != "aa" ||
				trailer.Get("x-trailer-bin")[0] != "\x00\xff" {
				return fmt.Errorf("got %v, %v, %v", out, header, trailer)
			}
			return nil
		},
		"ok/error with details and trailer": func(ctx context.Context, cc grpc.ClientConnInterface) error {
			var trailer metadata.MD
			err := cc.Invoke(ctx, "/fake/Fail", text("x"), new(wrapperspb.StringValue), grpc.Trailer(&trailer))
			if status.Code(err) != codes.Unknown || trailer.Get("x-why")[0] != "because" {
				return fmt.Errorf("got %v, %v", err, trailer)
			}
			return nil
		},
		"ok/refusal": func(ctx context.Context, cc grpc.ClientConnInterface) error {
			err := cc.Invoke(ctx, "/lnrpc.WalletUnlocker/GenSeed", text("x"), new(wrapperspb.StringValue))
			info, _ := errdetailsOf(status.Convert(err))
			if info.GetReason() != "method_blocked" || !strings.HasPrefix(status.Convert(err).Message(), "leyden: ") {
				return fmt.Errorf("got %v", err)
			}
			return nil
		},
		"ok/chat": func(ctx context.Context, cc grpc.ClientConnInterface) error {
			s, err := cc.NewStream(ctx, streams, "/fake/Chat")
			if err != nil {
				return err
			}
			for range 100 {
				out := new(wrapperspb.StringValue)
				if err := errors.Join(s.SendMsg(text("hello")), s.RecvMsg(out)); err != nil || out.Value != "hello" {
					return fmt.Errorf("got %v, %v", out, err)
				}
			}
			if err := s.CloseSend(); err != nil {
				return err
			}
			if err := s.RecvMsg(new(wrapperspb.StringValue)); !errors.Is(err, io.EOF) {
				return fmt.Errorf("got %v", err)
			}
			return nil
		},
		"ok/header first, then cancelled": func(ctx context.Context, cc grpc.ClientConnInterface) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			s, err := cc.NewStream(ctx, streams, "/fake/Hang")
			if err != nil {
				return err
			}
			header, err := s.Header()
			cancel()
			if err != nil || len(header.Get("hanging")) != 1 {
				return fmt.Errorf("got %v, %v", header, err)
			}
			if err := s.RecvMsg(new(wrapperspb.StringValue)); status.Code(err) != codes.Canceled {
				return fmt.Errorf("got %v", err)
			}
			return nil
		},
		"ok/not from a request": func(_ context.Context, cc grpc.ClientConnInterface) error {
			err := cc.Invoke(context.Background(), "/fake/Echo", text("x"), new(wrapperspb.StringValue))
			if status.Code(err) != codes.Internal {
				return fmt.Errorf("got %v", err)
			}
			return nil
		},
	}
	for name, f := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, withREST(t, f))
			b.get(t)
			if name == "ok/header first, then cancelled" {
				wait(t, b.lnd.ended, "the end of the call at lnd")
			}
		})
	}
}

// TestUnaryCardinality: a hook that drops or doubles the answer of a unary call
// makes it fail instead of pass for an empty one.
func TestUnaryCardinality(t *testing.T) {
	for name, f := range map[string]MessageFunc{
		"fail/none": func(context.Context, []byte) ([][]byte, error) { return nil, nil },
		"fail/two":  func(_ context.Context, msg []byte) ([][]byte, error) { return [][]byte{msg, msg}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, func(o *Options) {
				decide(Decision{Response: f})(o)
				withREST(t, func(ctx context.Context, cc grpc.ClientConnInterface) error {
					err := cc.Invoke(ctx, "/fake/Echo", wrapperspb.String("x"), new(wrapperspb.StringValue))
					if status.Code(err) != codes.Internal {
						return fmt.Errorf("got %v", err)
					}
					return nil
				})(o)
			})
			b.get(t)
			if _, err := ask(testContext(t), b.dial(t, ""), "/fake/Echo", "x"); status.Code(err) != codes.Internal {
				t.Errorf("over gRPC: %v", err)
			}
		})
	}
}

// TestLocalMetadata: what a client in the process sends arrives, and does not
// ride along on calls that the hook makes with the call's context.
func TestLocalMetadata(t *testing.T) {
	_, server := localPipe(metadata.AppendToOutgoingContext(t.Context(), "macaroon", "ab"))
	defer server.cancel()
	if md, _ := metadata.FromIncomingContext(server.Context()); !slices.Equal(md["macaroon"], []string{"ab"}) {
		t.Errorf("incoming %v", md)
	}
	if md, _ := metadata.FromOutgoingContext(server.Context()); len(md) > 0 {
		t.Errorf("outgoing %v", md)
	}
}
