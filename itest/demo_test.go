package itest

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leydenln/leyden/internal/demo"
	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/testbin"
)

// demoSteps are the steps that the documents name.
var demoSteps = []string{"network up", "shop open", "account for the agent", "balances before", "price preview",
	"paid fetch", "second fetch", "a world of its own", "refusal over the cap", "refusal by the limit", "freeze",
	"audit verified", "balances after"}

func TestDemoOnce(t *testing.T) {
	cmd := demoCommand(t, "demo", "--once", "--json")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	checkReport(t, out)
	demoGone(t, cmd)
}

// TestDemoStaysUp: without --once it ends with an interrupt, and leaves
// nothing behind.
func TestDemoStaysUp(t *testing.T) {
	cmd := demoCommand(t, "demo")
	var out, said watched
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	await(t, "something to try", func() bool { return strings.HasSuffix(said.String(), "devnet mine 1\n") })
	checkReport(t, []byte(out.String()))
	tryAll(t, said.String())
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	demoGone(t, cmd)
}

// tryAll types what the demo says one can try: the lines without a comment.
func tryAll(t *testing.T, text string) {
	t.Helper()
	tried := 0
	for line := range strings.Lines(text) {
		line, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "curl ") {
			continue
		}
		tried++
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", line, err, out)
		}
	}
	if tried < 5 {
		t.Errorf("only %d lines to try in %q", tried, text)
	}
}

// TestDemoFailsLoudly: a buyer's program that does nothing is noticed.
func TestDemoFailsLoudly(t *testing.T) {
	bin := testbin.Dir(t)
	lnget := filepath.Join(t.TempDir(), "lnget")
	if err := os.WriteFile(lnget, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	d, err := demo.New(demo.Options{Leyden: filepath.Join(bin, "leyden"), Btcd: filepath.Join(bin, "btcd"), Lnget: lnget})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Stop(context.Background(), false); err != nil {
			t.Error(err)
		}
	}()
	report, err := d.Run(t.Context())
	if fault.Code(err) != "demo_failed" || report.OK || len(report.Steps) != 5 || report.Steps[4].OK {
		t.Fatalf("%v, %+v", err, report)
	}
}

// demoCommand is a demo whose temporary folder is in TMPDIR.
func demoCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(testbin.Dir(t), "leyden"), args...)
	cmd.Env = append(devnet.Environ(), "TMPDIR="+t.TempDir())
	return cmd
}

func checkReport(t *testing.T, text []byte) {
	t.Helper()
	var report map[string]any
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	hasKeys(t, "report", report, "ok", "total_ms", "steps")
	var names []string
	for _, s := range report["steps"].([]any) {
		hasKeys(t, "step", s, "name", "ok", "ms", "detail")
		step := s.(map[string]any)
		names = append(names, step["name"].(string))
		if step["ok"] != true {
			t.Errorf("step %v", step)
		}
	}
	if report["ok"] != true || !slices.Equal(names, demoSteps) {
		t.Errorf("ok %v, steps %q", report["ok"], names)
	}
}

// demoGone insists that neither processes nor files of the demo are left.
func demoGone(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	dir, ok := strings.CutPrefix(cmd.Env[len(cmd.Env)-1], "TMPDIR=")
	if !ok {
		t.Fatal("no TMPDIR")
	}
	if left := (devnetRun{t: t, home: dir}).processes(); len(left) > 0 {
		t.Errorf("still running: %q", left)
	}
	left, err := filepath.Glob(filepath.Join(dir, "leyden-demo-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("still there: %q, %v", left, err)
	}
}
