package gbn

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestHostileRelay: who carries the packets can end the connection; within a
// minute it is over, or everything arrives.
func TestHostileRelay(t *testing.T) {
	for name, test := range map[string]struct {
		// do plays the relay: it may say anything to either side.
		do             func(toClient, toServer func(string))
		client, server error
	}{
		"fin to both": {
			func(c, s func(string)) { c("\x05"); s("\x05") }, ErrPeerClosed, ErrPeerClosed,
		},
		"syn to the server": {
			func(_, s func(string)) { s("\x01\x14") }, ErrDead, ErrRestarted,
		},
		"syn to the client after data": {
			func(c, _ func(string)) { c("\x03\x00"); c("\x01\x14") }, ErrRestarted, ErrDead,
		},
		"empty packet":      {func(c, _ func(string)) { c("") }, ErrProtocol, ErrPeerClosed},
		"unknown packet":    {func(_, s func(string)) { s("\x63") }, ErrPeerClosed, ErrProtocol},
		"window of 0":       {func(_, s func(string)) { s("\x01\x00") }, ErrPeerClosed, ErrProtocol},
		"ping with payload": {func(_, s func(string)) { s("\x02\x00\x00\x01x") }, ErrPeerClosed, ErrProtocol},
		"rest never comes":  {func(_, s func(string)) { s("\x02\x00\x00\x00x") }, ErrPeerClosed, ErrProtocol},
		"message without end": {
			func(_, s func(string)) {
				for i := range 20 {
					s("\x02" + string(rune(i)) + "\x00\x00" + string(make([]byte, 10000)))
				}
			}, ErrPeerClosed, ErrProtocol,
		},
		"forged acknowledgement": {
			func(c, _ func(string)) { c("\x03\x00") }, ErrProtocol, ErrPeerClosed,
		},
		"nonsense that means nothing": {
			func(c, s func(string)) {
				c("\x01\x14")
				for i := range 256 {
					c("\x03" + string([]byte{byte(i | 64)}))
					s("\x06")
				}
			}, nil, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server, ce, se := connect(t, faults{}, Options{})
				// The client's first message is under way, and gets lost.
				ce.out.set(faults{lose: 1})
				mustSend(t, client, "hello")
				synctest.Wait()
				say := func(l *link) func(string) {
					return func(p string) { l.arrive([]byte(p), 0) }
				}
				ce.out.set(faults{})
				test.do(say(se.out), say(ce.out))
				time.Sleep(time.Minute)
				if err := client.Err(); !errors.Is(err, test.client) {
					t.Errorf("the client ended with %v, want %v", err, test.client)
				}
				if err := server.Err(); !errors.Is(err, test.server) {
					t.Errorf("the server ended with %v, want %v", err, test.server)
				}
				if test.server == nil {
					mustRecv(t, server, "hello")
				}
				client.Close()
				server.Close()
			})
		})
	}
}
