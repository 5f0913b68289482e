package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
)

// The control socket is HTTP on a unix socket in the run folder, which only
// its owner enters. Errors are {"error":{"code","message","hint"}}.
const (
	controlReload      = "POST /reload"
	controlRotate      = "POST /keys"        // ?drop=old leaves only the new key
	controlRevocations = "POST /revocations" // read them again
	controlLive        = "GET /live"
	controlStatus      = "GET /status"
	controlServices    = "GET /services"
)

// restartHint is for a gate that runs and does not answer.
const restartHint = "see its log; leyden gate stop, then leyden gate start"

// controlTimeout bounds one call.
const controlTimeout = 20 * time.Second

func socketFile(home config.Home) string { return filepath.Join(home.Run(), "gate.sock") }

// control serves the control socket of a gate.
type control struct {
	server   *http.Server
	listener net.Listener
	path     string
	done     chan struct{}
}

// serveControl opens the socket. The caller holds the pid file, so a socket
// that is there is left from a gate that was killed.
func (g *Gate) serveControl(path string) (*control, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fault.New("listen_failed", "check the folder's owner and mode", "control socket: %w", err)
	}
	c := &control{path: path, done: make(chan struct{})}
	err := withShortPath(path, func(short string) error {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false) // the short path is good only now
		c.listener = l
		return os.Chmod(short, 0o600)
	})
	if err != nil {
		return nil, fault.New("listen_failed", "check the folder's owner and mode", "control socket %s: %w", path, err)
	}
	c.server = &http.Server{Handler: g.controlHandler(), ReadHeaderTimeout: controlTimeout,
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug)}
	go func() {
		defer close(c.done)
		if err := c.server.Serve(c.listener); !errors.Is(err, http.ErrServerClosed) {
			g.log.Error("control socket", "err", err)
		}
	}()
	return c, nil
}

// close lets calls end and removes the socket.
func (c *control) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), controlTimeout)
	defer cancel()
	err := c.server.Shutdown(ctx)
	<-c.done
	if gone := os.Remove(c.path); !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

func (g *Gate) controlHandler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, do func(*http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			answer, err := do(r)
			if err != nil {
				w.WriteHeader(http.StatusConflict)
				answer = controlError{Error: &controlFault{fault.Code(err), err.Error(), fault.Hint(err)}}
			}
			_ = json.NewEncoder(w).Encode(answer) // an error means that the caller has gone
		})
	}
	handle(controlReload, func(r *http.Request) (any, error) {
		return struct{}{}, g.Reload(context.WithoutCancel(r.Context()))
	})
	handle(controlRotate, func(r *http.Request) (any, error) {
		return g.rotate(context.WithoutCancel(r.Context()), r.URL.Query().Get("drop") == "old")
	})
	handle(controlRevocations, func(r *http.Request) (any, error) {
		return struct{}{}, g.watcher.loadRevocations(r.Context())
	})
	handle(controlStatus, func(r *http.Request) (any, error) { return g.statusNow(r.Context()) })
	handle(controlServices, func(*http.Request) (any, error) { return g.now.Load().cfg.views(), nil })
	handle(controlLive, func(*http.Request) (any, error) { return g.live(), nil })
	return mux
}

type controlFault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

type controlError struct {
	Error *controlFault `json:"error"`
}

// callControl asks the running gate. call is one of the constants, which may
// be followed by a query. into gets the answer, nil for none. Errors are the
// gate's own, or no_control when it does not answer.
func callControl(ctx context.Context, home config.Home, call string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	var method, target string
	if _, err := fmt.Sscan(call, &method, &target); err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
			err = withShortPath(socketFile(home), func(short string) error {
				conn, err = new(net.Dialer).DialContext(ctx, "unix", short)
				return err
			})
			return conn, err
		}}}
	req, err := http.NewRequestWithContext(ctx, method, "http://gate"+target, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fault.New("no_control", restartHint, "the running gate does not answer at %s: %w", socketFile(home), err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var refusal controlError
		if err := json.NewDecoder(resp.Body).Decode(&refusal); err != nil || refusal.Error == nil {
			return fault.New("no_control", restartHint, "the running gate answers with status %s", resp.Status)
		}
		return fault.New(refusal.Error.Code, refusal.Error.Hint, "%s", refusal.Error.Message)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// maxSocketPath is what a socket's address holds everywhere.
const maxSocketPath = 100

// withShortPath calls use with a path that leads to the same file and is short
// enough for a socket's address.
func withShortPath(path string, use func(short string) error) error {
	if len(path) <= maxSocketPath {
		return use(path)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return use(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}
