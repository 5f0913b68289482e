package mailbox

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// What is served, and where.
const (
	grpcPrefix = "/hashmailrpc.HashMail/"
	restPath   = "/v1/lightning-node-connect/hashmail"
)

// Serves says whether a request's path is one of the relay's.
func Serves(path string) bool {
	return strings.HasPrefix(path, grpcPrefix) || path == restPath || strings.HasPrefix(path, restPath+"/")
}

// Handler serves the relay: gRPC over HTTP/2, REST and WebSockets. It lifts
// the server's read and write timeouts from its own streams.
func (r *Relay) Handler() http.Handler { return http.HandlerFunc(r.serve) }

func (r *Relay) newRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+grpcPrefix+"{method}", r.serveGRPC)
	mux.HandleFunc("POST "+restPath, r.restCreate)
	mux.HandleFunc("DELETE "+restPath, r.restDelete)
	mux.HandleFunc("POST "+restPath+"/send", r.restSend)
	mux.HandleFunc("POST "+restPath+"/receive", r.restReceive)
	mux.HandleFunc("GET "+restPath+"/send", r.upgrade(r.socketSend))
	mux.HandleFunc("GET "+restPath+"/receive", r.upgrade(r.socketReceive))
	return mux
}

// call is one request: who makes it, until when.
type call struct {
	context.Context
	from *client
}

type callKey struct{}

// callOf returns the call that serve put into a request.
func callOf(req *http.Request) call {
	c, _ := req.Context().Value(callKey{}).(*client)
	return call{req.Context(), c}
}

// serve counts a request and has it end with the relay.
func (r *Relay) serve(w http.ResponseWriter, req *http.Request) {
	r.done.Add(1)
	defer r.done.Add(1)
	from := r.clients.get(req.RemoteAddr)
	defer from.drop()
	if !from.takeStream() {
		_ = r.refuse(errTooManyStreams)
		w.Header().Set("Retry-After", "2")
		http.Error(w, errTooManyStreams.message, http.StatusTooManyRequests)
		return
	}
	defer from.giveStream()
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // what cannot be set is not in the way
	_ = control.SetWriteDeadline(time.Time{})
	if req.ProtoMajor < 2 {
		// The server reads what is left of a body before it goes on.
		defer func() { _ = control.SetReadDeadline(time.Now().Add(r.messageWithin)) }()
	}
	ctx, cancel := context.WithCancel(context.WithValue(req.Context(), callKey{}, from))
	defer cancel()
	defer r.whenClosed(func() {
		cancel()
		_ = control.SetReadDeadline(time.Now()) // who waits for a client's next message
	})()
	r.routes.ServeHTTP(w, req.WithContext(ctx))
}

// whenClosed calls do when the relay ends, and never once what it returns has
// returned.
func (r *Relay) whenClosed(do func()) (done func()) {
	ended := make(chan struct{})
	stop := context.AfterFunc(r.ctx, func() {
		defer close(ended)
		do()
	})
	return func() {
		if !stop() {
			<-ended
		}
	}
}

// refusalOf returns an error as clients get it.
func refusalOf(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	return errInternal
}

// upgrade makes a WebSocket of a request. Other implementations send the name
// of the method that the request stands for.
func (r *Relay) upgrade(serve func(call, *websocket.Conn)) http.HandlerFunc {
	upgrader := websocket.Upgrader{
		ReadBufferSize: socketBuffer, WriteBufferSize: socketBuffer, WriteBufferPool: &r.socketBuffers,
		HandshakeTimeout: r.helloWithin,
		// Pages from anywhere use the relay: an id is all that counts.
		CheckOrigin: func(*http.Request) bool { return true },
	}
	return func(w http.ResponseWriter, req *http.Request) {
		if m := req.URL.Query().Get("method"); m != http.MethodPost {
			http.Error(w, "a WebSocket needs ?method=POST", http.StatusMethodNotAllowed)
			return
		}
		conn, err := upgrader.Upgrade(w, req, nil)
		if err != nil {
			return // Upgrade has answered
		}
		defer conn.Close()
		clear(req.Header) // which would be kept for as long as the socket lasts
		serve(callOf(req), conn)
	}
}
