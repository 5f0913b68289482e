package l402http

import (
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"net/http"
	"net/netip"
	"strings"

	"github.com/leydenln/leyden/l402"
	"github.com/leydenln/leyden/l402/mpp"
)

// cookieName is the cookie by which a client that sends no L402-Client header
// is known until it has paid. Its value has the header's form.
const cookieName = "l402_client"

// Bits of an address that count as one network.
const (
	prefixBits4 = 24
	prefixBits6 = 48
)

// who is the client of a request, as far as challenges go.
type who struct {
	// key names the client; nil when it names itself by nothing.
	key *[32]byte
	// cookie is to be set so that the client is known next time, "" for not.
	cookie string
	prefix netip.Prefix
}

// identify finds out who asks. A client without a name gets a cookie, and is
// known by that if it sends it back.
func identify(r *http.Request, sale Sale, byAddress bool) (who, error) {
	addr := remoteAddr(r)
	w := who{prefix: networkOf(addr)}
	if nonce, err := l402.ParseClientNonce(r.Header.Get(l402.HeaderClient)); err == nil {
		w.key = clientKey("nonce", nonce[:], sale)
		return w, nil
	}
	if c, err := r.Cookie(cookieName); err == nil {
		if nonce, err := l402.ParseClientNonce(c.Value); err == nil {
			w.key = clientKey("nonce", nonce[:], sale)
			return w, nil
		}
	}
	if byAddress && addr.IsValid() {
		w.key = clientKey("address", addr.AsSlice(), sale)
		return w, nil
	}
	nonce, err := l402.NewClientNonce(rand.Reader)
	if err != nil {
		return who{}, err
	}
	w.key, w.cookie = clientKey("nonce", nonce[:], sale), nonce.String()
	return w, nil
}

// clientKey names a client, service and terms: only when all three are the
// same may a challenge be given out again. It is a hash, so that what the
// journal keeps does not let anybody take the client's place.
func clientKey(kind string, name []byte, sale Sale) *[32]byte {
	key := sha256.Sum256(sale.appendTerms(appendParts(make([]byte, 0, 256), kind, string(name), sale.Service)))
	return &key
}

// remoteAddr is the address of the HTTP peer. No header can change it.
func remoteAddr(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

// networkOf is the /24 or /48 of an address; the zero Prefix for none.
func networkOf(addr netip.Addr) netip.Prefix {
	bits := prefixBits6
	if addr.Is4() {
		bits = prefixBits4
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// Anonymous passes requests on without what belongs to the buyer and the
// seller alone: credentials of L402 and of the Payment scheme, the L402-Client header, our cookie. Other
// credentials and cookies stay.
func Anonymous(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, anonymous(r))
	})
}

// anonymous returns the request with a header of its own.
func anonymous(r *http.Request) *http.Request {
	clean := *r
	clean.Header = maps.Clone(r.Header)
	Strip(clean.Header)
	return &clean
}

// Strip removes from a request's header what Anonymous does.
func Strip(h http.Header) {
	l402.Strip(h)
	l402.StripScheme(h, mpp.Scheme)
	h.Del(l402.HeaderClient)
	stripCookie(h)
}

func stripCookie(h http.Header) {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return
	}
	var kept []string
	for _, line := range lines {
		if !strings.Contains(line, cookieName) {
			kept = append(kept, line)
			continue
		}
		var others []string
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.TrimSpace(pair)
			if name, _, _ := strings.Cut(pair, "="); pair != "" && strings.TrimSpace(name) != cookieName {
				others = append(others, pair)
			}
		}
		if len(others) > 0 {
			kept = append(kept, strings.Join(others, "; "))
		}
	}
	if len(kept) == 0 {
		h.Del("Cookie")
		return
	}
	h["Cookie"] = kept
}
