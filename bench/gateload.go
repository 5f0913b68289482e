package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// load sends requests over keep-alive connections, one at a time on each, and
// does as little as it can itself: it shares the machine with what it measures.
type load struct {
	addr  string
	conns int

	// request writes the next request of a connection into buf.
	request func(conn int, buf []byte) []byte

	// status is what every answer must have.
	status int
}

// figures are what a run of a load gave.
type figures struct {
	requests int
	took     time.Duration
	p50, p99 time.Duration
}

func (f figures) rate() float64 { return float64(f.requests) / f.took.Seconds() }

// tail is how much longer a slow request takes than a usual one.
func (f figures) tail() float64 { return float64(f.p99) / float64(f.p50) }

// during sends for a time.
func (l load) during(ctx context.Context, d time.Duration) (figures, error) {
	end := time.Now().Add(d)
	return l.run(ctx, func() bool { return time.Now().Before(end) })
}

// count sends a number of requests.
func (l load) count(ctx context.Context, n int) (figures, error) {
	var sent atomic.Int64
	return l.run(ctx, func() bool { return sent.Add(1) <= int64(n) })
}

func (l load) run(ctx context.Context, more func() bool) (figures, error) {
	latencies := make([][]time.Duration, l.conns)
	g, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for i := range l.conns {
		g.Go(func() (err error) {
			latencies[i], err = l.connection(ctx, i, more)
			return err
		})
	}
	err := g.Wait()
	took := time.Since(start)
	all := slices.Concat(latencies...)
	if err == nil && len(all) == 0 {
		err = errors.New("no request was answered")
	}
	if err != nil {
		return figures{}, err
	}
	slices.Sort(all)
	return figures{len(all), took, all[len(all)/2], all[len(all)*99/100]}, nil
}

// connection sends on one connection while there is more to send.
func (l load) connection(ctx context.Context, i int, more func() bool) ([]time.Duration, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	var latencies []time.Duration
	in, buf := bufio.NewReaderSize(c, 8<<10), []byte(nil)
	for more() {
		buf = l.request(i, buf[:0])
		start := time.Now()
		if _, err := c.Write(buf); err != nil {
			return nil, err
		}
		if err := l.answer(in); err != nil {
			return nil, err
		}
		latencies = append(latencies, time.Since(start))
	}
	return latencies, nil
}

var contentLength = []byte("Content-Length: ")

// answer reads one answer, which must say how long it is, as Go's does.
func (l load) answer(in *bufio.Reader) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < 12 || string(line[9:12]) != strconv.Itoa(l.status) {
		return fmt.Errorf("answered %q, want status %d", line, l.status)
	}
	length := -1
	for len(line) > 2 {
		if line, err = in.ReadSlice('\n'); err != nil {
			return err
		}
		if value, ok := bytes.CutPrefix(line, contentLength); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without its length")
	}
	_, err = in.Discard(length)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
