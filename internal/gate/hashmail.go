package gate

import (
	"errors"
	"io"
	"math"
	"net/http"
	"net/netip"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/leydenln/leyden/internal/mailbox"
)

// HashMail is a relay of Lightning Node Connect on the gate's own port, before
// the services.
type HashMail struct {
	// Enabled serves the relay. Default false.
	Enabled bool `yaml:"enabled"`

	// MessageRate is the mean time between two messages into one box, at most
	// 1s; more are delayed. Default 200µs.
	MessageRate duration `yaml:"messagerate"`

	// MessageBurstAllowance is how many messages into one box may come at once.
	// Default: as many as the rate gives in four seconds.
	MessageBurstAllowance allowance `yaml:"messageburstallowance"`

	// StaleTimeout is after how long a box that nobody uses is deleted. Below
	// zero, with aperture never, is a day: a relay that is full of boxes that
	// were left behind serves nobody. Default 1h.
	StaleTimeout staleTime `yaml:"staletimeout"`
}

// longestStale is how long an unused box stays at most.
const longestStale = 24 * time.Hour

// allowance is a number of messages, 0 for the default.
type allowance int

func (a *allowance) UnmarshalYAML(n *yaml.Node) error {
	v, err := integer(n, math.MaxUint32)
	*a = allowance(v)
	return err
}

// staleTime is a length of time that may be negative, 0 for the default.
type staleTime time.Duration

func (s *staleTime) UnmarshalYAML(n *yaml.Node) error {
	text, err := scalar(n)
	if err != nil || text == "" {
		return err
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return bad(n, "%q: want a time with its unit, such as 5m, or -1s", text)
	}
	*s = staleTime(v)
	return nil
}

func (h HashMail) check() error {
	if rate := time.Duration(h.MessageRate); rate > time.Second {
		return at("hashmail.messagerate", "%v: want at most 1s", rate)
	}
	return nil
}

// limits are those of the relay. Its streams leave at least half of the gate's
// connections to buyers, and no client has more than a quarter of them.
func (h HashMail) limits(connections int) mailbox.Limits {
	usual := mailbox.DefaultLimits()
	l := mailbox.Limits{
		BoxBurst:      int(h.MessageBurstAllowance),
		Stale:         time.Duration(h.StaleTimeout),
		Streams:       min(usual.Streams, max(1, connections/2)),
		ClientStreams: min(usual.ClientStreams, max(1, connections/8)),
	}
	if h.MessageRate > 0 {
		l.BoxRate = int(time.Second / time.Duration(h.MessageRate))
	}
	if l.Stale < 0 || l.Stale > longestStale {
		l.Stale = longestStale
	}
	return l
}

// openRelay makes the relay, if it is wanted.
func (g *Gate) openRelay(cfg *Config) (err error) {
	if cfg.HashMail.Enabled {
		g.relay, err = mailbox.New(cfg.HashMail.limits(int(cfg.Limits.MaxConnections)), g.log)
	}
	return err
}

// relayDoor sends what is for the relay to it, and everything else to the
// shop. What passes the relay is no visit: its streams last for days, may be
// silent for as long, and have limits and figures of their own.
type relayDoor struct {
	relay   http.Handler
	shop    http.Handler
	edge    *edge
	silence time.Duration
}

// ServeHTTP serves a request.
func (d *relayDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !mailbox.Serves(r.URL.Path) {
		d.shop.ServeHTTP(w, r)
		return
	}
	client, claimed, ok := d.edge.admit(w, r)
	if !ok {
		return
	}
	r = r.WithContext(r.Context())
	if claimed {
		r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
	}
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		body := &endedBody{ReadCloser: r.Body}
		r.Body = body
		// The answer does not wait for a body that the relay does not want.
		_ = http.NewResponseController(w).EnableFullDuplex()
		defer d.finish(w, r, body)
	}
	d.relay.ServeHTTP(w, r)
}

// finish bounds how long the server waits for the rest of a body that the relay
// has not read. The connection may go meanwhile.
func (d *relayDoor) finish(w http.ResponseWriter, r *http.Request, body *endedBody) {
	if body.ended {
		return
	}
	conn, _ := r.Context().Value(connKey{}).(*boundConn)
	conn.idle()
	// A connection without deadlines is one of a test.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(d.silence))
}

// endedBody knows whether it has been read to its end.
type endedBody struct {
	io.ReadCloser
	ended bool
}

func (b *endedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || errors.Is(err, io.EOF)
	return n, err
}
