package front

import (
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
)

// BenchmarkUnary compares calls straight to lnd's socket with calls through the
// front, interleaved. It reports medians and the difference between them.
func BenchmarkUnary(b *testing.B) {
	bed := newBed(b, nil)
	msg := make([]byte, 1024)
	compare(b, bed, func(cc *grpc.ClientConn) error {
		var out []byte
		return cc.Invoke(context.Background(), "/fake/Echo", &msg, &out)
	})
}

// BenchmarkStream compares calls with several answers, as SendPaymentV2's are.
func BenchmarkStream(b *testing.B) {
	bed := newBed(b, nil)
	compare(b, bed, func(cc *grpc.ClientConn) error {
		s := open(b, context.Background(), cc, "/fake/Count")
		if err := s.send("3"); err != nil {
			return err
		}
		s.CloseSend()
		_, err := s.all()
		return err
	})
}

// BenchmarkUnaryParallel measures throughput through the front.
func BenchmarkUnaryParallel(b *testing.B) {
	bed := newBed(b, nil)
	for name, cc := range map[string]*grpc.ClientConn{"bare": bed.direct(b), "front": bed.dial(b, "")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				msg := make([]byte, 1024)
				for pb.Next() {
					var out []byte
					if err := cc.Invoke(context.Background(), "/fake/Echo", &msg, &out); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func compare(b *testing.B, bed *bed, call func(*grpc.ClientConn) error) {
	bare, front := bed.direct(b), bed.dial(b, "")
	var times [2][]time.Duration
	for b.Loop() {
		for i, cc := range []*grpc.ClientConn{bare, front} {
			start := time.Now()
			if err := call(cc); err != nil {
				b.Fatal(err)
			}
			times[i] = append(times[i], time.Since(start))
		}
	}
	var median [2]float64
	for i := range times {
		slices.Sort(times[i])
		median[i] = float64(times[i][len(times[i])/2].Microseconds())
	}
	b.ReportMetric(median[0], "bare-µs")
	b.ReportMetric(median[1], "front-µs")
	b.ReportMetric(median[1]-median[0], "diff-µs")
}
