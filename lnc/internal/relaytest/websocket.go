package relaytest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/leydenln/leyden/lnc/internal/relay"
)

type jsonDesc struct {
	StreamID []byte `json:"stream_id"`
}

func (d jsonDesc) id() (id relay.ID) {
	copy(id[:], d.StreamID)
	return id
}

type jsonBox struct {
	Desc jsonDesc `json:"desc"`
	Msg  []byte   `json:"msg"`
}

type jsonStatus struct {
	Code    int      `json:"code"`
	Message string   `json:"message"`
	Details []string `json:"details"`
}

// ServeWebSocket serves the relay's WebSockets, with TLS of the returned
// server's certificate, until the test ends.
func (r *Relay) ServeWebSocket(t testing.TB) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/lightning-node-connect/hashmail/send", r.socket(r.serveSend))
	mux.HandleFunc("/v1/lightning-node-connect/hashmail/receive", r.socket(r.serveReceive))
	server := httptest.NewTLSServer(mux)
	t.Cleanup(func() {
		r.Cut()
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

// socket upgrades, and hangs up without a word when serve returns.
func (r *Relay) socket(serve func(ctx context.Context, conn *websocket.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Query().Get("method") != http.MethodPost {
			http.Error(w, "method", http.StatusMethodNotAllowed)
			return
		}
		conn, err := new(websocket.Upgrader).Upgrade(w, req, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		ctx, cancel := r.stream(context.Background())
		defer cancel()
		defer context.AfterFunc(ctx, func() { conn.UnderlyingConn().Close() })()
		serve(ctx, conn)
	}
}

// frames reads the socket until it closes, and answers pings by that.
func frames(ctx context.Context, cancel context.CancelFunc, conn *websocket.Conn) <-chan []byte {
	arrived := make(chan []byte)
	go func() {
		defer cancel()
		for {
			_, frame, err := conn.ReadMessage()
			if err != nil {
				return
			}
			select {
			case arrived <- frame:
			case <-ctx.Done():
				return
			}
		}
	}()
	return arrived
}

// serveSend reports an error after the next frame only, as relays do.
func (r *Relay) serveSend(ctx context.Context, conn *websocket.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	arrived := frames(ctx, cancel, conn)
	next := func() (box jsonBox, err error) {
		select {
		case frame := <-arrived:
			decoder := json.NewDecoder(strings.NewReader(string(frame)))
			decoder.DisallowUnknownFields()
			return box, decoder.Decode(&box)
		case <-ctx.Done():
			return box, io.EOF
		}
	}
	first, err := next()
	if err != nil {
		return
	}
	pending := [][]byte{first.Msg}
	err = r.fill(ctx, first.Desc.id(), func() ([]byte, error) {
		if len(pending) > 0 {
			msg := pending[0]
			pending = nil
			return msg, nil
		}
		box, err := next()
		return box.Msg, err
	})
	if _, late := next(); late == nil {
		conn.WriteJSON(jsonStatus{Code: 2, Message: err.Error(), Details: []string{}})
	}
}

func (r *Relay) serveReceive(ctx context.Context, conn *websocket.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var desc jsonDesc
	select {
	case frame := <-frames(ctx, cancel, conn):
		if json.Unmarshal(frame, &desc) != nil {
			return
		}
	case <-ctx.Done():
		return
	}
	err := r.empty(ctx, desc.id(), func(msg []byte) error {
		return conn.WriteJSON(map[string]any{"result": jsonBox{Desc: desc, Msg: msg}})
	})
	conn.WriteJSON(map[string]any{"error": jsonStatus{Code: 2, Message: err.Error(), Details: []string{}}})
}
