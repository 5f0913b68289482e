package gate

import (
	"bytes"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLogStaysCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(newCalmHandler(slog.NewTextHandler(&out, nil)))
		for i := range 1000 {
			log.With("service", "a").Warn("backend failed", "n", i)
			log.Info("paid", "n", i)
		}
		log.WithGroup("g").Error("something else")
		text := out.String()
		if n := strings.Count(text, "backend failed"); n != calmLines || !strings.Contains(text, "n=9\n") || !strings.Contains(text, "service=a") {
			t.Errorf("%d lines of %s", n, text[:min(len(text), 2000)])
		}
		if strings.Count(text, "paid") != 1000 || strings.Count(text, "something else") != 1 {
			t.Error("other lines were left out")
		}
		out.Reset()
		time.Sleep(calmSpan)
		log.Warn("backend failed", "n", "later")
		if !strings.Contains(out.String(), "n=later left_out_before=990") {
			t.Error(out.String())
		}
		out.Reset()
		log.Warn("backend failed")
		if strings.Contains(out.String(), "left_out") {
			t.Error(out.String())
		}
		for i := range 3 * maxSayings {
			log.Warn(strconv.Itoa(i))
		}
		if n := len(log.Handler().(calmHandler).said.by); n > maxSayings {
			t.Errorf("%d messages are kept", n)
		}
	})
}

// TestFailingBackendDoesNotFillTheLog: strangers ask for something free that
// the service cannot give.
func TestFailingBackendDoesNotFillTheLog(t *testing.T) {
	dir, out := t.TempDir(), &bytes.Buffer{}
	cfg, err := Parse(filepath.Join(dir, "gate.yaml"), []byte("listenaddr: 127.0.0.1:0\ninsecure: true\n"+
		"authenticator: {disable: true}\nservices: [{name: a, address: '127.0.0.1:1'}]\n"), dir)
	if err != nil {
		t.Fatal(err)
	}
	log, _ := newLogger(out, cfg)
	g, err := Start(t.Context(), cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if resp := get(t, g, "/"); resp.StatusCode != http.StatusBadGateway {
			t.Fatal(resp.StatusCode)
		}
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "backend failed"); n == 0 || n > calmLines {
		t.Errorf("%d lines", n)
	}
}
