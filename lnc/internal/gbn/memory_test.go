package gbn

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// mostHeap is what a connection may hold of a peer that sends without end while
// nobody reads, in bytes: the queue's limit, and what memory is rounded up to.
const mostHeap = queueLimit + 1<<20

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestEndlessPeer: a peer that heeds no window, and whose messages nobody reads,
// costs no more than the limit, whatever the messages are.
func TestEndlessPeer(t *testing.T) {
	for name, payload := range map[string]int{"empty": 0, "one byte": 1, "usual": 100, "long": 60_000} {
		for _, final := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, final %v", name, final), func(t *testing.T) {
				now := time.Unix(0, 0)
				m := newMachine(now, false, Options{}.withDefaults(false))
				m.receive(now, packet{kind: kindSYN, seq: maxWindow}.encode())
				m.next(now)
				m.written(now)
				m.receive(now, packet{kind: kindSYNACK}.encode())
				before := heap()
				for range min(300_000, 20<<20/max(1, payload)) {
					m.receive(now, packet{kind: kindDATA, seq: byte(m.recv.expected), final: final,
						payload: make([]byte, payload)}.encode())
					m.next(now)
				}
				if grown := heap() - before; grown > mostHeap {
					t.Errorf("%d bytes are kept in %d messages, the limit is %d", grown, len(m.recv.queue), mostHeap)
				}
				runtime.KeepAlive(m)
			})
		}
	}
}

// TestLongSYN: a SYN that ends a connection is kept, not what follows it.
func TestLongSYN(t *testing.T) {
	now := time.Unix(0, 0)
	m := newMachine(now, false, Options{}.withDefaults(false))
	m.end(ErrDead, false)
	before := heap()
	m.receive(now, append([]byte{byte(kindSYN), 20}, make([]byte, 10<<20)...))
	if grown := heap() - before; m.syn == nil || grown > 1<<20 {
		t.Errorf("%d bytes are kept for SYN %x", grown, m.syn[:2])
	}
}
