package main

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestJudge(t *testing.T) {
	begin := time.Unix(1e9, 0)
	at := func(s float64) time.Time { return begin.Add(time.Duration(s * float64(time.Second))) }
	said := func(began, ended float64, words string) answer {
		a := answer{question: "GetInfo", began: at(began), ended: at(ended)}
		if words != "" {
			a.err = status.Error(codes.Unavailable, words)
		}
		return a
	}
	const away, starting = "leyden: signer_unreachable: x", "leyden: starting: x"
	// The fault is at 0, it is being mended at 5, and mended at 6.
	cases := map[string]struct {
		expect  expectation
		answers []answer
		fault   string
		refused float64 // after s
		back    float64
	}{
		"ok/refused":              {mustRefuse, []answer{said(-2, -1, starting), said(-1, 1, ""), said(1, 2, away), said(4, 4.1, away), said(6, 7, starting)}, "", 2, 7},
		"ok/served":               {mustServe, []answer{said(-1, 1, ""), said(1, 9, "")}, "", unknown, 6},
		"ok/either":               {mayRefuse, []answer{said(1, 2, away)}, "", 2, 6},
		"ok/given while it comes": {mustRefuse, []answer{said(1, 2, away), said(4.9, 5.1, "")}, "", 2, 6},
		"fail/no word":            {mustRefuse, []answer{said(1, 2, "")}, "never said", 0, 0},
		"fail/slow only":          {mustServe, []answer{said(1, 2, away)}, "only slow", 0, 0},
		"fail/other words":        {mustRefuse, []answer{said(1, 2, away), said(3, 4, starting)}, "other words", 0, 0},
		"fail/answered":           {mustRefuse, []answer{said(1, 2, away), said(3, 4, "")}, "was answered", 0, 0},
		"fail/hangs":              {mayRefuse, []answer{said(1, 17, away)}, "too long", 0, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			when := times{struck: at(0), mending: at(5), whole: at(6)}
			v, err := judge(c.answers, blow{expect: c.expect}, &when)
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Fatalf("got %v, want %q", err, c.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := at(c.refused).Sub(begin); c.refused != unknown && v.refusedAfter != want || c.refused == unknown && v.refusedAfter != unknown {
				t.Errorf("refused after %v", v.refusedAfter)
			}
			if !when.back.Equal(at(c.back)) {
				t.Errorf("back at %v", when.back.Sub(begin))
			}
		})
	}
}
