package gbn

import "fmt"

// kind is the first byte of a packet.
type kind byte

const (
	kindSYN    kind = 1
	kindDATA   kind = 2
	kindACK    kind = 3
	kindNACK   kind = 4
	kindFIN    kind = 5
	kindSYNACK kind = 6
)

// dataHeader is the length of a DATA packet with no payload, in bytes.
const dataHeader = 4

// packet is one packet, as specs/lnc.md section 3.1 lays it out.
type packet struct {
	kind kind
	// seq is the sequence number of DATA, ACK and NACK, the window of SYN.
	seq byte
	// final marks the last DATA packet of a message, ping one that carries
	// nothing and only asks for a sign of life.
	final, ping bool
	// payload of DATA; it aliases what was parsed.
	payload []byte
}

// parse reads a packet. What follows a packet of fixed length is ignored, as
// other implementations do.
func parse(b []byte) (packet, error) {
	if len(b) == 0 {
		return packet{}, fmt.Errorf("%w: an empty packet", ErrProtocol)
	}
	p := packet{kind: kind(b[0])}
	need := 1
	switch p.kind {
	case kindSYN, kindACK, kindNACK:
		need = 2
	case kindDATA:
		need = dataHeader
	case kindFIN, kindSYNACK:
	default:
		return packet{}, fmt.Errorf("%w: a packet of unknown kind %d", ErrProtocol, b[0])
	}
	if len(b) < need {
		return packet{}, fmt.Errorf("%w: a packet of kind %d with %d bytes", ErrProtocol, b[0], len(b))
	}
	if need > 1 {
		p.seq = b[1]
	}
	if p.kind == kindDATA {
		p.final, p.ping, p.payload = b[2] == 1, b[3] == 1, b[dataHeader:]
		if p.ping && (p.final || len(p.payload) > 0) {
			return packet{}, fmt.Errorf("%w: a ping that carries something", ErrProtocol)
		}
	}
	return p, nil
}

// encode writes a packet into a new slice.
func (p packet) encode() []byte {
	switch p.kind {
	case kindFIN, kindSYNACK:
		return []byte{byte(p.kind)}
	case kindDATA:
		return append([]byte{byte(p.kind), p.seq, flag(p.final), flag(p.ping)}, p.payload...)
	default:
		return []byte{byte(p.kind), p.seq}
	}
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}
