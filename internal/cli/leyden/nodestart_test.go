package leyden

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestGivenFlags(t *testing.T) {
	root := &cobra.Command{Use: "leyden", TraverseChildren: true}
	root.PersistentFlags().String("home", "", "")
	start := nodeStartCmd(&App{})
	var got []string
	start.RunE = func(cmd *cobra.Command, args []string) error {
		got = append(givenFlags(cmd, "detach"), args...)
		return nil
	}
	root.AddCommand(start)
	root.SetArgs([]string{"--home", "/x", "start", "--detach", "--home=/y", "--backend", "btcd", "--rest",
		"--listen", "127.0.0.1:1", "--listen=127.0.0.1:2", "--", "--alias=a"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	want := []string{"--backend=btcd", "--listen=127.0.0.1:1", "--listen=127.0.0.1:2", "--rest=true", "--alias=a"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestShowSeed(t *testing.T) {
	var out bytes.Buffer
	words := strings.Fields(strings.Repeat("abandon ", 23) + "zoo")
	if err := (&App{Out: &out}).showSeed(words); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 7 || !strings.HasPrefix(lines[1], " 1. abandon") || !strings.Contains(lines[6], "24. zoo") {
		t.Errorf("got\n%s", out.String())
	}
}
