package gbn

import (
	"testing"
	"time"
)

// FuzzMachine has a hostile peer say anything at any time: the machine must
// neither panic nor hold more than it may, nor expect a time that has passed.
// Each step is a length, a pause and a packet.
func FuzzMachine(f *testing.F) {
	f.Add(true, []byte("\x02\x00\x01\x14\x05\x01\x02\x00\x01\x00a\x02\x09\x03\x00\x02\x09\x04\x01"))
	f.Add(false, []byte("\x02\x00\x01\x14\x01\x00\x06\x06\x01\x02\x00\x00\x00ab\x06\xff\x02\x01\x01\x00cd\x02\x00\x01\x05"))
	f.Add(false, []byte("\x02\x00\x01\xfe\x04\x00\x02\x00\x01\x00\x02\xff\x03\xff\x02\xff\x04\xff\x01\xff\x05"))
	f.Fuzz(func(t *testing.T, client bool, script []byte) {
		now := time.Unix(0, 0)
		m := newMachine(now, client, Options{}.withDefaults(client))
		drain := func() {
			for n := 0; ; n++ {
				b, ok := m.next(now)
				if !ok {
					return
				}
				m.written(now)
				if _, err := parse(b); err != nil {
					t.Fatalf("wrote %x: %v", b, err)
				}
				if n > 2*maxWindow {
					t.Fatal("writes without end")
				}
			}
		}
		drain()
		for len(script) > 1 {
			n := min(int(script[0]), len(script)-2)
			now = now.Add(time.Duration(script[1]) * 100 * time.Millisecond)
			m.tick(now)
			m.receive(now, script[2:2+n])
			script = script[2+n:]
			m.submit(now, []byte("hello"))
			drain()
			if at := m.wakeAt(); !at.IsZero() && at.Before(now) {
				m.tick(now)
				if at := m.wakeAt(); !at.IsZero() && at.Before(now) {
					t.Fatalf("in state %d something has been due since %v", m.state, now.Sub(at))
				}
				drain()
			}
			if m.recv.bytes > queueLimit || len(m.recv.queue) > queueMessages+maxWindow+2 {
				t.Fatalf("%d messages of %d bytes wait", len(m.recv.queue), m.recv.bytes)
			}
			if len(m.send.out) > maxWindow {
				t.Fatalf("%d packets outstanding", len(m.send.out))
			}
		}
	})
}
