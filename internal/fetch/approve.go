package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lntypes"

	"github.com/leydenln/leyden/internal/fault"
	"github.com/leydenln/leyden/internal/files"
	"github.com/leydenln/leyden/l402/l402http"
)

// Codes of purchases that are stopped before anything is paid.
const (
	CodeWarned        = "warned"
	CodeAlreadyBought = "already_bought"
)

// approve has the last word before a payment: it pays nothing for a request
// that the user authorizes, keeps the limit over all redirects of one Client,
// buys once under an idempotency key, and warns of what the origin did before.
func (c *Client) approve(ctx context.Context, o l402http.Offer) error {
	if ctx.Value(ownAuthorization{}) != nil {
		return fault.New(CodePaymentRequired, hintAuthorization, "%s asks for %d sat, and the request has an Authorization header",
			o.URL, l402http.Sat(o.Amount))
	}
	at, err := originOf(o)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := c.transport.MaxCost
	if total := l402http.Sat(c.spent + o.Amount); total > l402http.Sat(limit) {
		return fault.New(l402http.CodeOverMaxCost, fmt.Sprintf("pass --max-cost %d if it is worth that", total),
			"the redirects cost %d sat together, over the limit of %d sat", total, l402http.Sat(limit))
	}
	if err := c.heed(at, o); err != nil {
		return err
	}
	if key, ok := ctx.Value(idempotencyKey{}).(string); ok {
		if err := c.store.reserve(at, key, o); err != nil {
			return err
		}
	}
	c.offers[o.Hash] = o
	return nil
}

// heed warns of what is remembered of the origin. The caller holds c.mu.
func (c *Client) heed(at l402http.Origin, o l402http.Offer) error {
	memory, err := c.store.Memory(at)
	warnings := memory.judge(o)
	if err != nil {
		warnings = []warning{{err.Error(), true}}
	}
	for _, w := range warnings {
		c.warn("%s", w.text)
		if w.grave && c.cfg.L402.OnWarning == OnWarningRefuse {
			return fault.New(CodeWarned, "LNGET_L402_ON_WARNING=warn pays all the same", "%s is not paid %s sat: %s",
				at, sats(o.Amount), w.text)
		}
	}
	return nil
}

// trace keeps what the result says of the payment and the time it took.
func (c *Client) trace(e l402http.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Step == "payment" && !errors.Is(e.Err, l402http.ErrNothingSent) {
		c.spent += e.Purchase.Amount
	}
	if c.run == nil {
		return
	}
	c.run.Steps = append(c.run.Steps, Step{Name: e.Step, Took: e.Took, Failed: e.Err != nil})
	switch {
	case e.Purchase == nil:
	case e.Step == "store" && e.Err != nil:
		c.warn("the token's file could not be written: %v", e.Err)
	case e.Step == "request" && e.Err == nil:
		c.run.Token, c.run.SingleUse = true, e.Purchase.SingleUse()
	case e.Step == "payment" && e.Err == nil:
		c.run.Paid = true
		c.run.Amount += e.Purchase.Amount
		c.run.Fee += e.Fee
		c.bought = append(c.bought, c.offers[e.Purchase.Hash])
	}
}

// remember notes what became of what this fetch bought, and whether a token
// that was not delivered before is delivered now.
func (c *Client) remember(res *Result, last l402http.Origin, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now().UTC().Truncate(time.Second)
	for _, o := range c.bought {
		at, originErr := originOf(o)
		if originErr != nil {
			continue
		}
		c.note(at, func(m *Memory) {
			m.Paid++
			m.Payee = o.Payee
			m.price(Price{What: whatOf(o), Msat: o.Amount, Paid: true, At: now})
			if at != last { // it led on to there
				m.settle("", now)
			} else if reason, known := failure(res, err); known {
				m.settle(reason, now)
			}
		})
	}
	if len(c.bought) > 0 || !res.Token || err != nil {
		return
	}
	if m, readErr := c.store.Memory(last); readErr == nil && m.Owes != "" {
		c.note(last, func(m *Memory) { m.settle("", now) })
	}
}

// settle notes that the last purchase was delivered, or why it was not.
func (m *Memory) settle(reason string, now time.Time) {
	if reason == "" {
		m.Delivered, m.Owes, m.OwesAt = m.Delivered+1, "", time.Time{}
		return
	}
	m.Failed, m.Owes, m.OwesAt = m.Failed+1, reason, now
}

// failure says what the seller did wrong after it was paid, "" for nothing.
// known is false when something else ended the fetch.
func failure(res *Result, err error) (reason string, known bool) {
	switch fault.Code(err) {
	case CodeHTTPError, CodePaymentRequired:
		return fmt.Sprintf("status %d", res.Status), true
	case CodeNetwork:
		return "the answer broke off", true
	case l402http.CodeTokenRefused:
		return "it refused the token", true
	case l402http.CodeBadChallenge, CodeBadRange:
		return "it answered nonsense", true
	}
	return "", err == nil
}

// look remembers a price that is only looked at.
func (c *Client) look(o l402http.Offer) {
	at, err := originOf(o)
	if err != nil || c.store.crowded(at) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	memory, err := c.store.Memory(at)
	if err == nil {
		for _, w := range memory.judge(o) {
			c.warn("%s", w.text)
		}
	}
	c.note(at, func(m *Memory) {
		m.price(Price{What: whatOf(o), Msat: o.Amount, At: time.Now().UTC().Truncate(time.Second)})
	})
}

// note changes what is remembered. That it cannot is worth a warning, no more.
func (c *Client) note(at l402http.Origin, change func(*Memory)) {
	if err := c.store.Remember(at, change); err != nil {
		c.warn("what %s delivers is not remembered: %v", at, err)
	}
}

// reserve binds an idempotency key to the payment that is about to be made. It
// fails when the journal has another that was made under it and did not fail.
// The caller alone buys from the origin.
func (s *FileStore) reserve(at l402http.Origin, key string, o l402http.Offer) error {
	sum := sha256.Sum256([]byte(string(at) + "\x00" + key))
	path := filepath.Join(s.folder(at.Host()), ".key-"+hex.EncodeToString(sum[:16]))
	data, err := files.ReadSecret(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unreadable(err)
	}
	mine := hex.EncodeToString(o.Hash[:])
	earlier := strings.TrimSpace(string(data))
	if earlier == mine {
		return nil
	}
	if _, err := lntypes.MakeHashFromStr(earlier); err == nil {
		switch err := s.unknown(earlier + recordSuffix); {
		case errors.Is(err, l402http.ErrInvoiceReused):
			return fault.New(CodeAlreadyBought, "take another key to buy again",
				"%s was paid under this idempotency key before, and that does not open %s", at, o.URL)
		case err != nil:
			return err
		}
	}
	return files.Write(path, []byte(mine+"\n"), 0o600)
}
