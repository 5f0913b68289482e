package lnget

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestBar: a line fits its terminal, whatever is shown.
func TestBar(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var out bytes.Buffer
	width := 60
	b := &bar{w: &out, width: func() int { return width }, now: func() time.Time { return now }, from: -1}
	b.show(1_000_000, 10_000_000) // of a part that was there
	now = now.Add(2 * time.Second)
	out.Reset()
	b.show(3_000_000, 10_000_000)
	const line = "[######----------------]   30%   3.00 MB   1.00 MB/s  00:07"
	if got := strings.TrimSuffix(strings.TrimPrefix(out.String(), "\r"), "\x1b[K"); got != line {
		t.Errorf("got  %q\nwant %q", got, line)
	}
	for width = range 200 {
		for _, total := range []int64{-1, 0, 1, 10_000_000, 1 << 62} {
			if got := b.line(min(max(total, 0), 3_000_000), total, width); len(got) > max(0, width-1) {
				t.Fatalf("%d columns of %d: %q", len(got), width, got)
			}
		}
	}
	out.Reset()
	b.end()
	if out.String() != "\r\x1b[K" {
		t.Errorf("at the end: %q", out.String())
	}
	out.Reset()
	(&bar{w: &out}).end()
	if out.Len() != 0 {
		t.Errorf("nothing was shown, and cleared: %q", out.String())
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.00 kB", 9_949: "9.95 kB", 99_449: "99.4 kB",
		123_456: "123 kB", 999_499: "999 kB", 999_500: "1.00 MB", 1 << 62: "4.61 EB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestETA(t *testing.T) {
	for want, at := range map[string][2]int64{"00:07": {7, 1}, "01:40": {100, 1}, "2:46:40": {10_000, 1}, "--:--": {1, 0}, "99:00:00": {99 * 3600, 1}} {
		if got := eta(at[0], at[1]); got != want {
			t.Errorf("%v: %q, want %q", at, got, want)
		}
	}
}
