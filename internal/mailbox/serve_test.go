package mailbox

import (
	"bytes"
	"crypto/tls"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Clients may begin several streams before they have heard the server's
// settings, with headers compressed as HTTP/2's defaults allow.
func TestStreamsBeforeSettings(t *testing.T) {
	r := startRelay(t, Limits{})
	config := r.tls.Clone()
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", r.addr, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var out, block bytes.Buffer
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, conn)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	encoder := hpack.NewEncoder(&block)
	streams := map[uint32]bool{1: true, 3: true}
	for _, id := range []uint32{1, 3} {
		block.Reset()
		for _, h := range []hpack.HeaderField{
			{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "relay.example:443"},
			{Name: ":path", Value: grpcPrefix + "NewCipherBox"}, {Name: "content-type", Value: "application/grpc"},
			{Name: "te", Value: "trailers"}, {Name: "user-agent", Value: "a client whose name takes some of the table"},
			{Name: "grpc-accept-encoding", Value: "identity,deflate,gzip"}, {Name: "accept-encoding", Value: "identity"},
		} {
			if err := encoder.WriteField(h); err != nil {
				t.Fatal(err)
			}
		}
		if err := framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Write(out.Bytes()); err != nil {
		t.Fatal(err)
	}
	for len(streams) > 0 {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.GoAwayFrame:
			t.Fatalf("the relay ends the connection: %v", frame.ErrCode)
		case *http2.HeadersFrame:
			delete(streams, frame.StreamID)
		}
	}
}
