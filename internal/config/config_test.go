package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leydenln/leyden/internal/config"
	"github.com/leydenln/leyden/internal/fault"
)

type sample struct {
	Name  string `yaml:"name"`
	Price int    `yaml:"price"`
}

func TestResolveHome(t *testing.T) {
	t.Setenv("HOME", "/home/u")
	t.Setenv("LEYDEN_HOME", "")
	if h, err := config.ResolveHome(""); err != nil || h != "/home/u/.leyden" {
		t.Errorf("default: %q, %v", h, err)
	}
	t.Setenv("LEYDEN_HOME", "/from/env")
	if h, err := config.ResolveHome(""); err != nil || h != "/from/env" {
		t.Errorf("environment: %q, %v", h, err)
	}
	if h, err := config.ResolveHome("/from/flag"); err != nil || h != "/from/flag" {
		t.Errorf("flag: %q, %v", h, err)
	}
	t.Setenv("HOME", "")
	t.Setenv("LEYDEN_HOME", "")
	if _, err := config.ResolveHome(""); fault.Code(err) != "no_home" {
		t.Errorf("no home: %v", err)
	}
}

func TestParseStrictYAML(t *testing.T) {
	cases := map[string]struct{ in, want string }{
		"ok/plain":          {"name: a\nprice: 3\n", ""},
		"ok/empty":          {"", ""},
		"fail/unknown key":  {"name: a\nprize: 3\n", `f.yaml: line 2: unknown key "prize"`},
		"fail/wrong type":   {"price: many\n", "f.yaml: line 1: cannot unmarshal"},
		"fail/no section":   {"3\n", "f.yaml: line 1: cannot unmarshal !!int `3` here"},
		"fail/repeated":     {"name: a\nname: b\n", "f.yaml: line 2: mapping key \"name\" already defined"},
		"fail/syntax":       {"name: [\n", "f.yaml: line"},
		"fail/two document": {"name: a\n---\nname: b\n", "f.yaml: more than one document"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var s sample
			err := config.ParseStrictYAML("f.yaml", []byte(c.in), &s)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if fault.Code(err) != "bad_config" || !strings.HasPrefix(err.Error(), c.want) {
				t.Fatalf("got %v, want prefix %q", err, c.want)
			}
			if strings.Contains(err.Error(), "config_test") {
				t.Errorf("a Go type shows: %v", err)
			}
		})
	}
}

func TestLoadMissing(t *testing.T) {
	err := config.LoadStrictYAML(filepath.Join(t.TempDir(), "none.yaml"), &sample{})
	if !errors.Is(err, os.ErrNotExist) || fault.Code(err) != "bad_config" {
		t.Fatalf("got %v", err)
	}
}
