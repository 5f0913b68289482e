package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/owned"
	"github.com/leydenln/leyden/internal/devnet/port"
)

// The words by which this program runs itself as another process, so that the
// processor time of each can be told apart.
const (
	asBackend = "serve-backend"
	asBare    = "serve-bare"
)

// serveAs is this program as a backend or as a bare reverse proxy; false when
// the arguments do not ask for it.
func serveAs(args []string) (bool, error) {
	switch {
	case len(args) == 2 && args[0] == asBackend:
		body := []byte(strings.Repeat("x", bodySize))
		return true, http.ListenAndServe(args[1], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(body)
		}))
	case len(args) == 3 && args[0] == asBare:
		return true, http.ListenAndServe(args[1], bareProxy(args[2]))
	}
	return false, nil
}

// bareProxy is what the gate is compared with: the standard library's proxy
// with enough idle connections and with buffers that are used again.
func bareProxy(backend string) http.Handler {
	target := &url.URL{Scheme: "http", Host: backend}
	return &httputil.ReverseProxy{
		Transport:  &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		BufferPool: new(buffers),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
		},
	}
}

type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[32 << 10]byte); ok {
		return p[:]
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(p []byte) { b.pool.Put((*[32 << 10]byte)(p)) }

// process is this program, running as something else.
type process struct {
	*owned.Process
	addr string
}

// startSelf runs this program with a word, an address to listen on and more.
func (w *world) startSelf(word string, more ...string) (process, error) {
	self, err := os.Executable()
	if err != nil {
		return process{}, err
	}
	addr, err := port.Reserve()
	if err != nil {
		return process{}, err
	}
	p, err := owned.Start(owned.Command{
		Path: self, Args: append([]string{word, addr}, more...), Env: devnet.Environ(),
		LogFile: filepath.Join(w.home, word+".log"),
	})
	if err != nil {
		return process{}, err
	}
	for range 100 {
		if c, err := net.Dial("tcp", addr); err == nil {
			return process{p, addr}, c.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return process{}, fmt.Errorf("%s does not listen on %s", word, addr)
}

// ticks is how many clock ticks of /proc make a second.
const ticks = 100

// processorTime is what a process has used, of user and system.
func processorTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var sum time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * time.Second / ticks
	}
	return sum, nil
}

// memory is what a process has in memory, in bytes: now, at most so far, and
// what of it now is its own, not pages of its program's file.
type memory struct{ now, most, own int64 }

func memoryOf(pid int) (m memory, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(text)) {
		for name, value := range map[string]*int64{"VmRSS:": &m.now, "VmHWM:": &m.most, "RssAnon:": &m.own} {
			var kilobytes int64
			if _, err := fmt.Sscanf(line, name+" %d kB", &kilobytes); err == nil {
				*value = kilobytes << 10
			}
		}
	}
	return m, nil
}
