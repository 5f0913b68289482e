package backup

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/until"
)

// TestFolderThatDoesNotAnswer: the node goes on without it, nobody else begins
// meanwhile, and status says why there is no copy.
func TestFolderThatDoesNotAnswer(t *testing.T) {
	h, f := newHome(t), begun(t, "a")
	if err := Remember(h, f); err != nil {
		t.Fatal(err)
	}
	follower := NewFollower(h, alice.Network, slog.New(slog.DiscardHandler))
	follower.patience = 0
	answers, hangs := make(chan struct{}), make(chan struct{})
	var dialled atomic.Int32
	dial := func() (*grpc.ClientConn, error) {
		if dialled.Add(1) == 1 {
			close(hangs)
			_ = follower.timed(func() error { <-answers; return nil })
		}
		return nil, errors.New("lnd is away")
	}
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			follower.Run(ctx, dial)
		}()
		<-hangs
		cancel()
		<-ended
		if s, err := StatusOf(h, os.Getpid()); err != nil || s.OK || s.Code != CodeStuck {
			t.Errorf("%+v, %v", s, err)
		}
	}
	if n := dialled.Load(); n != 1 {
		t.Errorf("connected %d times", n)
	}
	close(answers)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		follower.Run(ctx, dial)
	}()
	until.True(t, "the next run to begin", func() bool { return dialled.Load() > 1 })
	cancel()
	<-ended
}

func TestApart(t *testing.T) {
	h := newHome(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(h.Guard(), link); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ dir, code string }{
		"ok/elsewhere":     {t.TempDir(), ""},
		"ok/beside":        {filepath.Dir(string(h)), ""},
		"fail/home":        {string(h), "write_failed"},
		"fail/accounts":    {h.Guard(), "write_failed"},
		"fail/by a link":   {link, "write_failed"},
		"fail/not there":   {filepath.Join(t.TempDir(), "no"), "write_failed"},
		"fail/lnd's files": {h.Node(), "write_failed"},
	} {
		if err := Folder(c.dir).Apart(h); fault.Code(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWithoutManifest: where lnd's own file is left, the hint names it.
func TestWithoutManifest(t *testing.T) {
	f := begun(t, "a")
	for _, harm := range []func(*testing.T, Folder){spoil(ManifestFile, "{"), remove(ManifestFile)} {
		harm(t, f)
		_, err := f.Read()
		if code := fault.Code(err); code != CodeDamaged && code != CodeNone || !strings.Contains(fault.Hint(err), f.path(ChannelsFile)) {
			t.Errorf("%v, hint %q", err, fault.Hint(err))
		}
	}
	remove(ChannelsFile)(t, f)
	if _, err := f.Read(); strings.Contains(fault.Hint(err), ChannelsFile) {
		t.Errorf("hint %q", fault.Hint(err))
	}
	if b, err := Folder(begun(t, "a").path(ChannelsFile)).Read(); err != nil || len(b.Multi) == 0 {
		t.Errorf("%+v, %v", b, err)
	}
}
