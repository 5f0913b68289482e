package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// figures are what a process holds.
type figures struct {
	rss         int64 // bytes
	goroutines  int64 // unknown where it does not say
	descriptors int64
}

const unknown = -1

// sample is taken of the process with that id.
type sample struct {
	at  time.Time
	pid int
	figures
}

// watch takes a sample of the gate every second.
type watch struct {
	w       *world
	cancel  context.CancelFunc
	done    sync.WaitGroup
	samples []sample // read after stop
}

func (w *world) startWatch(ctx context.Context, t *tally) *watch {
	ctx, cancel := context.WithCancel(ctx)
	x := &watch{w: w, cancel: cancel}
	x.done.Go(func() {
		for pause(ctx, time.Second) == nil {
			begin, pid := time.Now(), int(w.gatePid.Load())
			f, err := w.look(ctx, pid)
			if away := w.gateAway.met(begin, time.Now()); err != nil && !away && ctx.Err() == nil {
				t.fault("look at the gate: %v", err)
			} else if err == nil && !away {
				x.samples = append(x.samples, sample{begin, pid, f})
			}
		}
	})
	return x
}

func (x *watch) stop() {
	x.cancel()
	x.done.Wait()
}

// look reads the figures of the gate's process from the kernel and from itself.
func (w *world) look(ctx context.Context, pid int) (f figures, err error) {
	proc := "/proc/" + strconv.Itoa(pid)
	open, err := os.ReadDir(proc + "/fd")
	if err != nil {
		return f, err
	}
	f.descriptors = int64(len(open))
	statm, err := os.ReadFile(proc + "/statm")
	if err != nil {
		return f, err
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return f, fmt.Errorf("statm says %q", statm)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return f, err
	}
	f.rss = pages * int64(os.Getpagesize())
	if f.goroutines, err = w.goroutines(ctx); err != nil {
		f.goroutines = unknown
	}
	return f, nil
}

func (w *world) goroutines(ctx context.Context) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.metrics+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(io.LimitReader(resp.Body, 1<<20)); lines.Scan(); {
		if n, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			return strconv.ParseInt(n, 10, 64)
		}
	}
	return 0, errors.New("the gate's figures have no go_goroutines")
}

// What may come on top from the first window to the last: memory because
// tokens that were verified are remembered, and the collector has its way;
// goroutines and descriptors because connections come and go.
const (
	moreRSS   = 16 << 20
	moreThan  = 10 // percent
	moreCount = 16
)

// growth compares what the gate's last process held in the fifth of its time
// after the first, its warm-up, with the last fifth.
func (x *watch) growth(t *tally) error {
	if len(x.samples) == 0 {
		return errors.New("nobody looked at the gate")
	}
	last := x.samples[len(x.samples)-1].pid
	life := slices.DeleteFunc(slices.Clone(x.samples), func(s sample) bool {
		return s.pid != last || x.w.backAway.met(s.at.Add(-nodeGrace), s.at) || x.w.nodeMet(s.at, s.at)
	})
	fifth := len(life) / 5
	if fifth == 0 {
		return fmt.Errorf("only %d samples of the gate's last process", len(life))
	}
	first, then := life[fifth:2*fifth], life[len(life)-fifth:]
	var faults []error
	compare := func(name string, unit, slack int64, of func(sample) int64) string {
		a, b := median(first, of), median(then, of)
		if a == unknown || b == unknown {
			faults = append(faults, fmt.Errorf("the gate does not say how many %s it has", name))
			return name + " unknown"
		}
		if b > a+a*moreThan/100+slack {
			faults = append(faults, fmt.Errorf("the gate's %s grew from %d to %d", name, a/unit, b/unit))
		}
		return fmt.Sprintf("%s %d to %d", name, a/unit, b/unit)
	}
	t.grown = strings.Join([]string{
		compare("MB", 1<<20, moreRSS, func(s sample) int64 { return s.rss }),
		compare("goroutines", 1, moreCount, func(s sample) int64 { return s.goroutines }),
		compare("descriptors", 1, moreCount, func(s sample) int64 { return s.descriptors }),
	}, ", ") + fmt.Sprintf(" within %.0f s", then[len(then)-1].at.Sub(first[0].at).Seconds())
	return errors.Join(faults...)
}

func median(of []sample, value func(sample) int64) int64 {
	values := make([]int64, len(of))
	for i, s := range of {
		values[i] = value(s)
	}
	slices.SortFunc(values, cmp.Compare)
	return values[len(values)/2]
}
