package gate

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is a backend that keeps every byte it gets. It answers each request
// that it can read with the same answer.
type recorder struct {
	listener net.Listener
	answer   string

	mu  sync.Mutex
	got [][]byte // by connection
}

const recorderAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ngoods"

func newRecorder(t testing.TB, answer string) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{listener: l, answer: answer}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(c)
		}
	}()
	return r
}

func (r *recorder) addr() string { return r.listener.Addr().String() }

func (r *recorder) serve(c net.Conn) {
	defer c.Close()
	r.mu.Lock()
	place := len(r.got)
	r.got = append(r.got, nil)
	r.mu.Unlock()
	in := bufio.NewReader(io.TeeReader(c, writerFunc(func(p []byte) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got[place] = append(r.got[place], p...)
	})))
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		answer := r.answer
		if req.Method == http.MethodHead {
			answer = strings.TrimSuffix(answer, "goods")
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

// bytes is all that came, of all connections.
func (r *recorder) bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Join(r.got, []byte("\n"))
}

// requests are the requests as they came, bodies included, read strictly.
func (r *recorder) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, got := range r.got {
		rest := bytes.NewReader(got)
		in := bufio.NewReader(rest)
		from := 0
		for {
			req, err := http.ReadRequest(in)
			if err != nil {
				break
			}
			_, _ = io.Copy(io.Discard, req.Body)
			to := len(got) - rest.Len() - in.Buffered()
			all = append(all, string(got[from:to]))
			from = to
		}
		if from < len(got) {
			all = append(all, string(got[from:])) // what cannot be read
		}
	}
	return all
}

// exchange sends bytes on a connection of their own and returns what comes
// back until the gate has nothing more to say.
func exchange(t testing.TB, addr net.Addr, send string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return converse(c, send, patient)
}

const (
	// quiet is how long the gate may think about an attack that leaves it waiting
	// for more.
	quiet = 500 * time.Millisecond

	// patient is how long it may take to what it must do, on a busy machine.
	patient = time.Minute
)

// converse returns what comes back until nothing came for the silence, or the gate
// has ended the connection.
func converse(c net.Conn, send string, silence time.Duration) string {
	go func() { _, _ = io.WriteString(c, send) }()
	var answer strings.Builder
	buf := make([]byte, 64<<10)
	for {
		if c.SetReadDeadline(time.Now().Add(silence)) != nil {
			return answer.String()
		}
		n, err := c.Read(buf)
		answer.Write(buf[:n])
		if err != nil {
			return answer.String()
		}
	}
}
