package l402

import (
	"bytes"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"
	"pgregory.net/rapid"
)

// draw makes the things the properties are about.
type draw struct{ *rapid.T }

func (d draw) bytes(label string, n int) []byte {
	return rapid.SliceOfN(rapid.Byte(), n, n).Draw(d.T, label)
}

func (d draw) preimage() lntypes.Preimage { return lntypes.Preimage(d.bytes("preimage", 32)) }

func (d draw) name(label string) string {
	return rapid.SampledFrom([]string{"a", "ab", "weather", "a_capabilities", "a_valid_until"}).Draw(d.T, label)
}

func (d draw) keyring() *Keyring {
	key, err := NewMasterKey(bytes.NewReader(d.bytes("key", MasterKeySize)))
	if err != nil {
		d.Fatal(err)
	}
	ring, err := NewKeyring(key)
	if err != nil {
		d.Fatal(err)
	}
	return ring
}

// caveat draws one that is understood, or is not, or is malformed.
func (d draw) caveat() Caveat {
	service := d.name("service")
	switch rapid.IntRange(0, 5).Draw(d.T, "kind") {
	case 0, 1:
		items := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return Service{Name: draw{t}.name("name"), Tier: uint8(rapid.IntRange(0, 1).Draw(t, "tier"))}.String()
		}), 1, 4).Draw(d.T, "services")
		return Caveat{Key: keyServices, Value: strings.Join(items, ",")}
	case 2:
		items := rapid.SliceOfN(rapid.SampledFrom([]string{"read", "write", "own"}), 1, 3).Draw(d.T, "capabilities")
		return Caveat{Key: service + suffixCapabilities, Value: strings.Join(items, ",")}
	case 3:
		return Caveat{Key: service + suffixValidUntil, Value: strconv.Itoa(rapid.IntRange(0, 9).Draw(d.T, "until"))}
	case 4:
		return Caveat{Key: "calls", Value: strconv.Itoa(rapid.IntRange(0, 9).Draw(d.T, "calls"))}
	default:
		return Caveat{Key: rapid.StringMatching(`[a-z]{1,4}`).Draw(d.T, "key"), Value: rapid.String().Draw(d.T, "value")}
	}
}

func (d draw) caveats(most int) []Caveat {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Caveat { return draw{t}.caveat() }), 0, most).Draw(d.T, "caveats")
}

func (d draw) request() Request {
	return Request{
		Service:    d.name("wanted"),
		Capability: rapid.SampledFrom([]string{"", "read", "write"}).Draw(d.T, "capability"),
		Now:        time.Unix(rapid.Int64Range(0, 9).Draw(d.T, "now"), 0),
		Conditions: []Condition{AtMost("calls", rapid.Uint64Range(0, 9).Draw(d.T, "calls"))},
	}
}

// mint draws a token for everything, and what pays for it.
func (d draw) mint(ring *Keyring) Credential {
	services, err := ServicesCaveat(Service{Name: "a"}, Service{Name: "ab"}, Service{Name: "weather", Tier: 1},
		Service{Name: "a_capabilities"}, Service{Name: "a_valid_until"})
	if err != nil {
		d.Fatal(err)
	}
	p := d.preimage()
	token, err := ring.Mint(bytes.NewReader(d.bytes("random", 24)), p.Hash(), services)
	if err != nil {
		d.Fatal(err)
	}
	return Credential{Tokens: []Token{token}, Preimage: p}
}

// TestAttenuationOnlyNarrows: whatever a holder adds, it gains nothing, and
// what it adds is kept by the chain.
func TestAttenuationOnlyNarrows(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := draw{rt}
		ring := d.keyring()
		credential := d.mint(ring)
		request := d.request()
		allowed := true
		for _, caveat := range append([]Caveat{{Key: "first", Value: "none"}}, d.caveats(6)...) {
			if caveat.Key == keyPreimage {
				continue
			}
			token, err := credential.Tokens[0].Attenuate(caveat)
			if err != nil {
				rt.Fatal(err)
			}
			credential.Tokens = []Token{token}
			verified, err := ring.VerifyChain(credential)
			if err != nil {
				rt.Fatal(err)
			}
			now := verified.Allows(request, nil) == nil
			if now && !allowed {
				rt.Fatalf("caveat %s brought back what an earlier one took", caveat)
			}
			allowed = now
		}
	})
}

// TestEveryBitCounts: a token or preimage with one bit changed opens nothing.
func TestEveryBitCounts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := draw{rt}
		ring := d.keyring()
		credential := d.mint(ring)
		if _, err := ring.VerifyChain(credential); err != nil {
			rt.Fatal(err)
		}
		raw := []byte(credential.Tokens[0].raw)
		bit := rapid.IntRange(0, (len(raw)+len(credential.Preimage))*8-1).Draw(rt, "bit")
		changed := credential
		if i := bit / 8; i < len(raw) {
			raw[i] ^= 1 << (bit % 8)
			changed.Tokens = []Token{{raw: string(raw)}}
		} else {
			changed.Preimage[i-len(raw)] ^= 1 << (bit % 8)
		}
		if _, err := ring.VerifyChain(changed); ReasonOf(err) == "" {
			rt.Fatalf("bit %d changed: %v", bit, err)
		}
		if changed.ID() == credential.ID() {
			rt.Fatalf("bit %d changed, but not the id of the credential", bit)
		}
	})
}

// TestWrittenIsRead: what the writers write the parsers read, and Strip leaves
// nothing of it.
func TestWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := draw{rt}
		ring := d.keyring()
		credential := d.mint(ring)
		for _, caveat := range d.caveats(6) {
			token, err := credential.Tokens[len(credential.Tokens)-1].Attenuate(caveat)
			if err != nil {
				rt.Fatal(err)
			}
			if len(credential.Tokens) < MaxTokens {
				credential.Tokens = append(credential.Tokens, token)
			}
		}
		invoice := rapid.StringMatching(`lnbc[0-9a-z]{1,99}`).Draw(rt, "invoice")
		h := http.Header{"Www-Authenticate": {`Basic realm="x"`}}
		if err := WriteChallenge(h, credential.Tokens[0], invoice); err != nil {
			rt.Fatal(err)
		}
		want := []Challenge{
			{Scheme: SchemeL402, Tokens: credential.Tokens[:1], Invoice: invoice, Version: "0"},
			{Scheme: SchemeLSAT, Tokens: credential.Tokens[:1], Invoice: invoice},
		}
		if got, err := ParseChallenges(h); err != nil || !reflect.DeepEqual(got, want) {
			rt.Fatalf("challenges %v (%v), want %v", got, err, want)
		}
		scheme := rapid.SampledFrom([]Scheme{SchemeL402, SchemeLSAT}).Draw(rt, "scheme")
		h = http.Header{"Authorization": {credential.Authorization(scheme)}}
		if got, err := ParseCredentials(h); err != nil || !reflect.DeepEqual(got, []Credential{credential}) {
			rt.Fatalf("%d credentials (%v), want the one written", len(got), err)
		}
		Strip(h)
		if len(h) != 0 {
			rt.Fatalf("stripped to %v", h)
		}
	})
}

// TestIdentifiersRoundTrip holds for every payment hash and token id.
func TestIdentifiersRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := draw{rt}
		id := Identifier{PaymentHash: lntypes.Hash(d.bytes("hash", 32)), TokenID: TokenID(d.bytes("id", 32))}
		raw, err := id.MarshalBinary()
		if err != nil || len(raw) != IdentifierSize {
			rt.Fatalf("%d bytes (%v)", len(raw), err)
		}
		if got, err := ParseIdentifier(raw); err != nil || got != id {
			rt.Fatalf("%v (%v), want %v", got, err, id)
		}
		if got, err := ParseTokenID(id.TokenID.String()); err != nil || got != id.TokenID {
			rt.Fatalf("%v (%v), want %v", got, err, id.TokenID)
		}
	})
}
