package backup

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

func TestKeep(t *testing.T) {
	for name, c := range map[string]struct {
		lnd    fakeLnd
		spoil  func(*testing.T, Folder)
		owner  Owner
		multi  []byte
		code   string
		intact bool // the copy that was there still is
	}{
		"ok/a channel more":              {multi: pack("a", "b", "c")},
		"ok/one is closed":               {lnd: fakeLnd{closed: []string{"b"}}, multi: pack("a")},
		"ok/one is closing on the chain": {lnd: fakeLnd{closing: []string{"b"}}, multi: pack("a")},
		"ok/the file is damaged":         {spoil: spoil(ChannelsFile, "half of"), multi: pack("a", "b", "c")},
		"ok/the file is gone":            {spoil: remove(ChannelsFile), multi: pack("a", "b", "c")},
		"ok/the manifest is damaged":     {spoil: spoil(ManifestFile, "{"), multi: pack("a", "b", "c")},
		"fail/a node that knows nothing": {multi: pack(), code: CodeLoses, intact: true},
		"fail/one is unknown":            {lnd: fakeLnd{closed: []string{"x"}}, multi: pack("a"), code: CodeLoses, intact: true},
		"fail/lost, the file as well":    {spoil: remove(ChannelsFile), multi: pack("a"), code: CodeLoses},
		"fail/lost, manifest damaged":    {spoil: spoil(ManifestFile, "{"), multi: pack("a"), code: CodeLoses},
		"fail/not ours, no manifest": {spoil: func(t *testing.T, f Folder) {
			spoil(ManifestFile, "{")(t, f)
			spoil(ChannelsFile, "somebody else's")(t, f)
		}, multi: pack("a"), code: CodeDamaged},
		"fail/of another node":         {owner: Owner{Network: "regtest", Key: "02bb"}, multi: pack("a", "b"), code: CodeOtherNode, intact: true},
		"fail/of another network":      {owner: Owner{Network: "testnet", Key: "02aa"}, multi: pack("a", "b"), code: CodeOtherNode, intact: true},
		"fail/lnd cannot open it":      {multi: []byte("garbled"), code: CodeRefused, intact: true},
		"fail/the disk is not mounted": {spoil: remove(ManifestFile), multi: pack("a", "b"), code: CodeNone},
	} {
		t.Run(name, func(t *testing.T) {
			f := begun(t, "a", "b")
			if c.spoil != nil {
				c.spoil(t, f)
			}
			if c.owner.Key == "" {
				c.owner = alice
			}
			_, err := f.Keep(t.Context(), &c.lnd, c.owner, c.multi)
			if fault.Code(err) != c.code {
				t.Fatalf("code %q, want %q: %v", fault.Code(err), c.code, err)
			}
			want := pack("a", "b")
			if c.code == "" {
				want = c.multi
			} else if !c.intact {
				return
			}
			b, err := f.Read()
			if err != nil || string(b.Multi) != string(want) || b.Node != alice.Key {
				t.Errorf("%+v, %v", b, err)
			}
		})
	}
}

func spoil(name, text string) func(*testing.T, Folder) {
	return func(t *testing.T, f Folder) {
		t.Helper()
		if err := files.Write(f.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(name string) func(*testing.T, Folder) {
	return func(t *testing.T, f Folder) {
		t.Helper()
		if err := os.Remove(f.path(name)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCutShort: the manifest is written and the file is not.
func TestCutShort(t *testing.T) {
	f := begun(t, "a")
	m, err := f.manifest()
	if err != nil {
		t.Fatal(err)
	}
	next := copyOf(pack("a", "b"), time.Now())
	next.Channels = []string{"a", "b"}
	m.Channels = f.prepend(ChannelsFile, m.Channels, next)
	if err := f.write(m); err != nil {
		t.Fatal(err)
	}
	b, err := f.Read()
	if err != nil || !slices.Equal(b.Channels.Channels, []string{"a"}) || b.Cut != ChannelsFile {
		t.Fatalf("%+v, %v", b, err)
	}
	h := newHome(t)
	if err := Remember(h, f); err != nil {
		t.Fatal(err)
	}
	if s, err := StatusOf(h, 0); err != nil || s.OK || s.Code != CodeDamaged || s.Channels != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := f.Keep(t.Context(), &fakeLnd{}, alice, pack("a", "b")); err != nil {
		t.Fatal(err)
	}
	if b, err = f.Read(); err != nil || len(b.Channels.Channels) != 2 {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestLook(t *testing.T) {
	for name, c := range map[string]struct {
		open  []string
		spoil func(*testing.T, Folder)
		kept  bool // a new copy is made
	}{
		"ok/nothing new": {open: []string{"b", "a"}},
		"ok/new":         {open: []string{"a", "b", "c"}, kept: true},
		"ok/damaged":     {open: []string{"a", "b"}, spoil: spoil(ChannelsFile, "x"), kept: true},
		"ok/gone":        {open: []string{"a", "b"}, spoil: remove(ChannelsFile), kept: true},
		"ok/old": {open: []string{"a", "b"}, kept: true, spoil: func(t *testing.T, f Folder) {
			m, err := f.manifest()
			if err != nil {
				t.Fatal(err)
			}
			m.Channels[0].Time = m.Channels[0].Time.Add(-renewEvery)
			if err := f.write(m); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := begun(t, "a", "b")
			if c.spoil != nil {
				c.spoil(t, f)
			}
			if err := f.Look(t.Context(), &fakeLnd{open: c.open}, alice); err != nil {
				t.Fatal(err)
			}
			b, err := f.Read()
			if err != nil {
				t.Fatal(err)
			}
			if kept := strings.Contains(string(b.Multi), strings.Join(c.open, ",")); kept != c.kept && name != "ok/old" {
				t.Errorf("copied: %t", kept)
			}
			if time.Since(b.Channels.Time) > renewEvery/2 {
				t.Errorf("the copy is of %s", b.Channels.Time)
			}
		})
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"network":"regtest","node":"02aa","channels":[{"time":"2026-01-01T00:00:00Z","sha256":"00","channels":["a:0"]}]}`))
	f.Add([]byte(`{"network":"regtest","node":""}`))
	f.Add([]byte(`{"network":"","channels":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseManifest(data)
		if err == nil && (m.Network == "" || m.Node == "" && len(m.Channels) > 0) {
			t.Errorf("accepted %q", data)
		}
	})
}
