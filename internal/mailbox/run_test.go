package mailbox

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/acme"
	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
)

func TestRun(t *testing.T) {
	home, log := config.Home(t.TempDir()), slog.New(slog.NewTextHandler(io.Discard, nil))
	if _, err := Status(home); fault.Code(err) != "not_running" {
		t.Errorf("status before the start: %v", err)
	}
	if err := Stop(t.Context(), home); fault.Code(err) != "not_running" {
		t.Errorf("stop before the start: %v", err)
	}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	ready, ended := make(chan Running, 1), make(chan error, 1)
	go func() {
		// Its authority does not answer, so it serves with its own certificate.
		ended <- Run(ctx, home, Options{Listen: "127.0.0.1:0",
			Authority: acme.Terms{Name: "relay.example.com", Directory: "https://127.0.0.1:1/dir"},
			Metrics:   "127.0.0.1:0", Names: []string{"relay.example", "192.0.2.7"}},
			log, func(r Running) { ready <- r })
	}()
	var r Running
	select {
	case r = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	if told, err := Status(home); err != nil || told.Listen != r.Listen || told.PID == 0 {
		t.Errorf("status %+v, %v; want %+v", told, err, r)
	}
	options := func(o Options) error { return Run(t.Context(), home, o, log, func(Running) {}) }
	if err := options(Options{}); fault.Code(err) != "already_running" {
		t.Errorf("a second relay: %v", err)
	}
	conn, err := tls.Dial("tcp", r.Listen, &tls.Config{ServerName: "relay.example", InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	leaf := conn.ConnectionState().PeerCertificates[0]
	if err := errors.Join(leaf.VerifyHostname("relay.example"), leaf.VerifyHostname("192.0.2.7"), conn.Close()); err != nil {
		t.Error(err)
	}
	answer, err := http.Get("http://" + r.Metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if answer.Body.Close(); err != nil || !strings.Contains(string(text), "leyden_mailbox_boxes 0") {
		t.Errorf("figures %s, %v", text, err)
	}
	http.DefaultClient.CloseIdleConnections()
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRunFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken, nothing := l.Addr().String(), filepath.Join(t.TempDir(), "none.pem")
	for name, test := range map[string]struct {
		options Options
		code    string
	}{
		"port in use":         {Options{Listen: taken}, "port_in_use"},
		"figures' port":       {Options{Listen: "127.0.0.1:0", Metrics: taken}, "port_in_use"},
		"no such address":     {Options{Listen: "192.0.2.1:0"}, "listen_failed"},
		"no such certificate": {Options{CertPath: nothing, KeyPath: nothing}, "bad_certificate"},
		"no such root":        {Options{Listen: "127.0.0.1:0", Authority: acme.Terms{Name: "relay.example.com", Root: nothing}}, "bad_tls"},
		"limits":              {Options{Limits: Limits{Boxes: -1}}, "bad_limit"},
	} {
		t.Run(name, func(t *testing.T) {
			home, log := config.Home(t.TempDir()), slog.New(slog.NewTextHandler(io.Discard, nil))
			if err := Run(t.Context(), home, test.options, log, func(Running) {}); fault.Code(err) != test.code {
				t.Errorf("got %v, want the code %s", err, test.code)
			}
		})
	}
}
