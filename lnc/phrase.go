package lnc

import (
	"context"
	"crypto/rand"
	"crypto/sha512"
	"fmt"
	"log/slog"
	"strings"

	"github.com/lightningnetwork/lnd/aezeed"
	"golang.org/x/crypto/scrypt"
)

const (
	// Words is how many words a phrase has.
	Words = 10

	wordBits = 11
	// padding is the bits of the last byte that no word reaches.
	padding = 0x03

	hidden = "<phrase>"
)

// Phrase is the pairing phrase: ten words of 11 bits, of the BIP-39 English
// list, from the highest bit of the first byte on. The two lowest bits of the
// last byte are always zero. It is a secret, and does not print. There is no
// checksum: a phrase with other known words is another phrase.
type Phrase [14]byte

// NewPhrase draws a phrase. People must not choose the words: anybody at the
// relay can test guesses.
func NewPhrase() Phrase {
	var p Phrase
	rand.Read(p[:])
	p[len(p)-1] &^= padding
	return p
}

// ParsePhrase reads ten words, whatever their case and the blanks around them.
// The error names the place of a word that is not in the list, never a word.
func ParsePhrase(words string) (Phrase, error) {
	fields := strings.Fields(strings.ToLower(words))
	if len(fields) != Words {
		return Phrase{}, fmt.Errorf("a phrase of %d words, want %d", len(fields), Words)
	}
	var p Phrase
	for i, word := range fields {
		index, ok := aezeed.ReverseWordMap[word]
		if !ok {
			return Phrase{}, fmt.Errorf("word %d of the phrase is not in the list", i+1)
		}
		for bit := range wordBits {
			if index>>(wordBits-1-bit)&1 == 1 {
				at := i*wordBits + bit
				p[at/8] |= 0x80 >> (at % 8)
			}
		}
	}
	return p, nil
}

// Words returns the ten words, separated by blanks.
func (p Phrase) Words() string {
	words := make([]string, Words)
	for i := range words {
		index := 0
		for bit := range wordBits {
			at := i*wordBits + bit
			index = index<<1 | int(p[at/8]>>(7-at%8)&1)
		}
		words[i] = aezeed.DefaultWordList[index]
	}
	return strings.Join(words, " ")
}

// IsZero reports whether there is no phrase.
func (p Phrase) IsZero() bool { return p == Phrase{} }

// Format hides the phrase from every verb.
func (p Phrase) Format(f fmt.State, _ rune) { fmt.Fprint(f, hidden) }

// String hides the phrase.
func (p Phrase) String() string { return hidden }

// LogValue hides the phrase.
func (p Phrase) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the phrase, from JSON too: whoever must keep it keeps its
// bytes.
func (p Phrase) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// StreamIDs returns where the two sides meet who know nothing but the phrase.
func (p Phrase) StreamIDs() (toClient, toServer StreamID) {
	return streamIDs(sha512.Sum512(p.entropy()))
}

func (p Phrase) entropy() []byte {
	p[len(p)-1] &^= padding
	return p[:]
}

// stretching lets one through: each needs 64 MiB.
var stretching = make(chan struct{}, 1)

// Stretch returns the password that masks the first key of the pairing. It
// takes 64 MiB and a good part of a second; several take turns, and ctx ends
// the waiting for a turn.
func (p Phrase) Stretch(ctx context.Context) ([32]byte, error) {
	select {
	case stretching <- struct{}{}:
		defer func() { <-stretching }()
	case <-ctx.Done():
		return [32]byte{}, ctx.Err()
	}
	entropy := p.entropy()
	defer clear(entropy)
	key, err := scrypt.Key(entropy, entropy, 1<<16, 8, 1, 32)
	if err != nil {
		return [32]byte{}, fmt.Errorf("stretch the phrase: %w", err)
	}
	return [32]byte(key), nil
}

// password is the stretched phrase, which is being made or is there.
type password struct {
	done chan struct{}
	key  [32]byte
	err  error
}

// stretch begins to stretch a phrase.
func stretch(ctx context.Context, phrase Phrase) *password {
	p := &password{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.key, p.err = phrase.Stretch(ctx)
	}()
	return p
}

func (p *password) await(ctx context.Context) ([32]byte, error) {
	select {
	case <-p.done:
		return p.key, p.err
	case <-ctx.Done():
		return [32]byte{}, ctx.Err()
	}
}
