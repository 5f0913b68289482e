package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/l402/l402http"
)

// Memory is what an origin did with the money it was paid, and what it asked
// for. It is kept per origin in <domain>/.<scheme>-<port>.memory.json.
type Memory struct {
	Version int             `json:"version"`
	Origin  l402http.Origin `json:"origin"`

	// Paid counts purchases, Delivered and Failed what became of those whose
	// goods were waited for to the end.
	Paid      int `json:"paid"`
	Delivered int `json:"delivered"`
	Failed    int `json:"failed"`

	// Owes is why the last purchase was not delivered, "" when it was.
	Owes   string    `json:"owes,omitempty"`
	OwesAt time.Time `json:"owes_at,omitzero"`

	// Payee signed the last invoice that was paid.
	Payee string `json:"payee,omitempty"`

	// Prices are what was asked for last, the newest at the end.
	Prices []Price `json:"prices,omitempty"`
}

// Price is what a thing cost.
type Price struct {
	What string              `json:"what"` // services, or the path where none are named
	Msat lnwire.MilliSatoshi `json:"msat"`
	Paid bool                `json:"paid"` // bought, not only looked at
	At   time.Time           `json:"at"`
}

const (
	memoryVersion = 1
	// maxPrices, maxWhat (in bytes) and maxOrigins bound what strangers can
	// make us remember. Beyond maxOrigins only who was paid is remembered.
	maxPrices  = 16
	maxWhat    = 200
	maxOrigins = 500
	maxMemory  = 32 << 10
)

func (s *FileStore) memoryPath(o l402http.Origin) (string, error) {
	u, err := url.Parse(string(o))
	if err != nil {
		return "", fmt.Errorf("origin %q: %w", o, err)
	}
	return filepath.Join(s.folder(o.Host()), "."+u.Scheme+"-"+u.Port()+".memory.json"), nil
}

// Memory returns what is remembered of the origin; nothing of one that was
// never met.
func (s *FileStore) Memory(o l402http.Origin) (Memory, error) {
	m := Memory{Version: memoryVersion, Origin: o}
	path, err := s.memoryPath(o)
	if err != nil {
		return m, err
	}
	data, err := files.ReadSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	} else if err != nil {
		return m, unreadable(err)
	}
	var read Memory
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&read); err != nil || len(data) > maxMemory || read.Version != memoryVersion || read.Origin != o {
		return m, fault.New(CodeCorruptStore, "mv "+path+" /tmp", "%q does not say what %s delivered", path, o)
	}
	return read, nil
}

// Remember changes what is remembered of the origin, alone among processes.
func (s *FileStore) Remember(o l402http.Origin, change func(*Memory)) error {
	path, err := s.memoryPath(o)
	if err != nil {
		return err
	}
	if _, err := s.makeFolder(o); err != nil {
		return err
	}
	unlock, err := files.Lock(context.Background(), strings.TrimSuffix(path, ".json")+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	m, err := s.Memory(o)
	if err != nil {
		return err
	}
	change(&m)
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return files.Write(path, append(data, '\n'), 0o600)
}

// crowded reports whether no more origins are remembered for their prices only.
func (s *FileStore) crowded(o l402http.Origin) bool {
	if _, err := os.Stat(s.folder(o.Host())); err == nil {
		return false
	}
	entries, err := os.ReadDir(s.dir)
	return err == nil && len(entries) > maxOrigins
}

// price notes what a thing costs.
func (m *Memory) price(p Price) {
	m.Prices = slices.DeleteFunc(m.Prices, func(q Price) bool { return q.What == p.What })
	m.Prices = append(m.Prices, p)
	m.Prices = m.Prices[max(0, len(m.Prices)-maxPrices):]
}

// warning is something to know before paying. A grave one stops the payment
// where the configuration says so.
type warning struct {
	text  string
	grave bool
}

// judge compares an offer with what is remembered.
func (m Memory) judge(o l402http.Offer) []warning {
	var all []warning
	if m.Owes != "" {
		all = append(all, warning{fmt.Sprintf("%s took money on %s and did not deliver: %s (paid %d times, failed %d times)",
			m.Origin, m.OwesAt.Format(time.DateOnly), m.Owes, m.Paid, m.Failed), true})
	}
	if m.Payee != "" && m.Payee != o.Payee {
		all = append(all, warning{fmt.Sprintf("%s wants to be paid at another node: %s, until now %s", m.Origin, o.Payee, m.Payee), true})
	}
	what := whatOf(o)
	for _, p := range m.Prices {
		if p.What != what || p.Msat == o.Amount {
			continue
		}
		how, verb := "fallen", "previewed"
		if o.Amount > p.Msat {
			how = "risen"
		}
		if p.Paid {
			verb = "bought"
		}
		all = append(all, warning{fmt.Sprintf("the price of %q at %s has %s from %s to %s sat since it was %s on %s", p.What, m.Origin,
			how, sats(p.Msat), sats(o.Amount), verb, p.At.Format(time.DateOnly)), o.Amount > p.Msat})
	}
	return all
}

// sats writes an amount in sat, to the msat.
func sats(m lnwire.MilliSatoshi) string {
	text := fmt.Sprintf("%d.%03d", m/1000, m%1000)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// whatOf names what an offer is for.
func whatOf(o l402http.Offer) string {
	what := strings.Join(o.Services(), ",")
	if what == "" {
		if u, err := url.Parse(o.URL); err == nil {
			what = u.EscapedPath()
		}
	}
	return what[:min(len(what), maxWhat)]
}

// originOf is the origin that made an offer.
func originOf(o l402http.Offer) (l402http.Origin, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return "", err
	}
	return l402http.OriginOf(u), nil
}
