package front

import (
	"context"
	"io"
	"strings"
	"testing"

	_ "github.com/lightningnetwork/lnd/lnrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// init describes some of the fake lnd's methods, as lnd's protobuf files do its
// own: Echo, Fail, Hold and One take and give one message, Count gives many.
// Nobody knows what the others do.
func init() {
	method := func(name string, many bool) *descriptorpb.MethodDescriptorProto {
		return &descriptorpb.MethodDescriptorProto{
			Name: &name, InputType: proto.String(".Bytes"), OutputType: proto.String(".Bytes"), ServerStreaming: &many,
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("fake.proto"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("Bytes")}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("fake"), Method: []*descriptorpb.MethodDescriptorProto{
			method("Echo", false), method("Fail", false), method("Hold", false), method("One", false),
			method("Count", true),
		}}},
	}, nil)
	if err == nil {
		err = protoregistry.GlobalFiles.RegisterFile(file)
	}
	if err != nil {
		panic(err)
	}
}

func TestShapes(t *testing.T) {
	cases := map[string]grpc.StreamDesc{
		"/lnrpc.Lightning/AddInvoice":          {},
		"/lnrpc.Lightning/SubscribePeerEvents": {ServerStreams: true},
		"/lnrpc.Lightning/ChannelAcceptor":     {ClientStreams: true, ServerStreams: true},
		"/lnrpc.Lightning/NoSuch":              *streams,
		"/lnrpc.Lightning":                     *streams,
		"/lnrpc.Invoice/value":                 *streams,
		"//":                                   *streams,
	}
	for method, want := range cases {
		if got := shapeOf(method); got.ClientStreams != want.ClientStreams || got.ServerStreams != want.ServerStreams {
			t.Errorf("%s: %+v", method, *got)
		}
	}
}

// TestOneMessage: lnd hears of a call to a method that takes one message with that
// message, and of no second one; the client hears lnd's status if there is none.
func TestOneMessage(t *testing.T) {
	judged := make(chan string, 10)
	b := newBed(t, decide(Decision{Request: func(_ context.Context, msg []byte) ([][]byte, error) {
		judged <- string(msg)
		if string(msg) == "drop" {
			return nil, nil
		}
		return [][]byte{msg}, nil
	}}))
	cc := b.dial(t, "")
	s := open(t, t.Context(), cc, "/fake/Echo")
	select {
	case method := <-b.lnd.seen:
		t.Fatalf("lnd heard of %s", method)
	default:
	}
	for _, msg := range []string{"drop", "one", "two"} {
		if err := s.send(msg); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	if got, err := s.all(); err != nil || strings.Join(got, " ") != "one" {
		t.Errorf("answered %q, %v", got, err)
	}
	if first, second := <-judged, <-judged; first != "drop" || second != "one" || len(judged) > 0 {
		t.Errorf("judged %q, %q and %d more", first, second, len(judged))
	}
	none := open(t, t.Context(), cc, "/fake/Count")
	none.CloseSend()
	if got, err := none.all(); err == nil || len(got) > 0 {
		t.Errorf("no message: answered %q, %v", got, err)
	}
	two := open(t, t.Context(), cc, "/fake/One")
	if err := two.send("x"); err != nil {
		t.Fatal(err)
	}
	if got, err := two.all(); status.Code(err) != codes.Aborted || len(got) > 0 {
		t.Errorf("an answer and an error: %q, %v", got, err)
	}
}
