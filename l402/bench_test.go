package l402

import (
	"crypto/rand"
	"net/http"
	"testing"
	"time"
)

// benchmarkRequest is a usual request: one Authorization line, a token with an
// expiry.
func benchmarkRequest(b *testing.B) (*Keyring, http.Header) {
	ring := newKeyring(b)
	c := buy(b, ring, Caveat{Key: "weather_valid_until", Value: "1900000000"})
	return ring, http.Header{"Authorization": {c.Authorization(SchemeL402)}}
}

func benchmarkVerify(b *testing.B, remember int) {
	ring, header := benchmarkRequest(b)
	verifier := NewVerifier(ring, remember)
	request := Request{Service: "weather", Now: time.Unix(1800000000, 0)}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			credentials, err := ParseCredentials(header)
			if err != nil {
				b.Error(err)
				return
			}
			verified, err := verifier.Verify(credentials[0])
			if err != nil {
				b.Error(err)
				return
			}
			if err := verified.Allows(request, nil); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkVerifyCold parses and verifies a request whose token is not
// remembered.
func BenchmarkVerifyCold(b *testing.B) { benchmarkVerify(b, 0) }

// BenchmarkVerifyRemembered parses and verifies a request whose token is.
func BenchmarkVerifyRemembered(b *testing.B) { benchmarkVerify(b, 1) }

func BenchmarkParseCredentials(b *testing.B) {
	_, header := benchmarkRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseCredentials(header); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMint(b *testing.B) {
	ring := newKeyring(b)
	caveats := []Caveat{{Key: "services", Value: "weather:0"}, {Key: "weather_valid_until", Value: "1900000000"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Mint(rand.Reader, [32]byte{}, caveats...); err != nil {
			b.Fatal(err)
		}
	}
}
