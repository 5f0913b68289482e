package devnet

import (
	"os"
	"testing"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
)

func TestAdapt(t *testing.T) {
	home := config.Home("/h")
	three := state{Backend: "neutrino", Info: Info{Nodes: []NodeInfo{
		{Name: "alice", RPC: "127.0.0.1:1"}, {Name: "bob"}, {Name: "carol"}}}}
	cases := map[string]struct {
		from    state
		opts    Options
		nodes   int
		backend string
		code    string
	}{
		"ok/new":               {state{}, Options{}, 2, "btcd", ""},
		"ok/new, one":          {state{}, Options{Nodes: 1}, 1, "btcd", ""},
		"ok/new, neutrino":     {state{}, Options{Backend: "neutrino"}, 2, "neutrino", ""},
		"ok/as before":         {three, Options{}, 3, "neutrino", ""},
		"ok/grow":              {three, Options{Nodes: 8}, 8, "neutrino", ""},
		"ok/change of backend": {three, Options{Backend: "btcd"}, 3, "btcd", ""},
		"fail/shrink":          {three, Options{Nodes: 2}, 0, "", "bad_nodes"},
		"fail/negative":        {state{}, Options{Nodes: -1}, 0, "", "bad_nodes"},
		"fail/too many":        {state{}, Options{Nodes: maxNodes + 1}, 0, "", "bad_nodes"},
		"fail/backend":         {state{}, Options{Backend: "bitcoind"}, 0, "", "unknown_backend"},
		"fail/backend in file": {state{Backend: "x"}, Options{}, 0, "", "unknown_backend"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := c.from
			c.opts.Home = home
			if err := s.adapt(c.opts); fault.Code(err) != c.code {
				t.Fatalf("got %v, want code %q", err, c.code)
			}
			if c.code != "" {
				return
			}
			if len(s.Nodes) != c.nodes || s.Backend != c.backend {
				t.Fatalf("%d nodes on %s", len(s.Nodes), s.Backend)
			}
			names := map[string]bool{}
			for i, n := range s.Nodes {
				names[n.Name] = true
				if i < len(c.from.Nodes) && n != c.from.Nodes[i] {
					t.Errorf("node %d changed: %+v", i, n)
				}
				if i >= len(c.from.Nodes) && n.LndDir != "/h/devnet/"+n.Name+"/node" {
					t.Errorf("node %d is in %s", i, n.LndDir)
				}
			}
			if len(names) != c.nodes {
				t.Errorf("names repeat: %v", names)
			}
		})
	}
}

func TestStateFile(t *testing.T) {
	home := config.Home(t.TempDir())
	if _, err := loadState(home); fault.Code(err) != codeNone {
		t.Fatalf("no file: %v", err)
	}
	if err := files.MkdirPrivate(home.Devnet()); err != nil {
		t.Fatal(err)
	}
	var s state
	s.Home = string(home)
	if err := s.adapt(Options{Home: home}); err != nil {
		t.Fatal(err)
	}
	if err := s.save(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(stateFile(home))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v: the file has btcd's password", info.Mode(), err)
	}
	got, err := loadState(home)
	if err != nil || len(got.Nodes) != 2 || got.Nodes[1] != s.Nodes[1] || got.Backend != s.Backend {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := os.WriteFile(stateFile(home), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadState(home); fault.Code(err) != "bad_devnet" {
		t.Fatalf("damaged: %v", err)
	}
}
