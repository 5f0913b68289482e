package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/leydenln/leyden/internal/devnet/shop"
)

// notPaid is lnget's exit status when the payment was refused or failed.
const notPaid = 3

// giveAccount has the operator make an account and hand its macaroon to the
// agent, whose lnget has nothing else.
func (d *Demo) giveAccount(ctx context.Context) (_ outcome, err error) {
	file := filepath.Join(d.Dir, "agent.macaroon")
	d.agent, err = shop.NewAccount(ctx, d.opts.Leyden, d.buyerNode(), allowance, file,
		"--label", "agent", "--limit_day", strconv.Itoa(dailyLimit))
	if err != nil {
		return outcome{}, err
	}
	d.buyer, err = shop.NewBuyerWith(filepath.Join(d.Dir, "buyer"), d.opts.Lnget, d.buyerNode(), file)
	if err != nil {
		return outcome{}, err
	}
	return outcome{
		detail: map[string]any{"account": d.agent.ID, "balance_sat": allowance, "limit_day_sat": dailyLimit, "macaroon": file},
		words:  fmt.Sprintf("%d sat, at most %d a day, in %s", allowance, dailyLimit, filepath.Base(file)),
	}, d.hasLeft(ctx, allowance*1000)
}

// paidFetch buys the cheap page; the account is charged with price and fee.
func (d *Demo) paidFetch(ctx context.Context) (outcome, error) {
	body, err := d.fetch(ctx)
	if err != nil {
		return outcome{}, err
	}
	_, paid, err := shop.Payments(ctx, d.buyerNode())
	if err != nil {
		return outcome{}, err
	}
	fee := paid - cheap*1000
	if fee <= 0 {
		return outcome{}, broken("the payment cost %d msat: no fee", paid)
	}
	return outcome{
		detail: map[string]any{"paid_sat": cheap, "fee_msat": fee, "body": body},
		words:  fmt.Sprintf("lnget paid %d sat and a fee of %d and got %s", cheap, fee/1000, strings.TrimSpace(body)),
	}, d.hasLeft(ctx, allowance*1000-paid)
}

// secondFetch gets the same page again: the token is kept.
func (d *Demo) secondFetch(ctx context.Context) (outcome, error) {
	body, err := d.fetch(ctx)
	return outcome{
		detail: map[string]any{"paid_sat": 0, "body": body},
		words:  "lnget has the token, pays nothing and got the same",
	}, err
}

// ownWorld looks at the node with lncli and the agent's macaroon.
func (d *Demo) ownWorld(ctx context.Context) (outcome, error) {
	var info struct {
		Channels int `json:"num_active_channels"`
		Peers    int `json:"num_peers"`
	}
	if err := d.lncli(ctx, &info, "getinfo"); err != nil {
		return outcome{}, err
	}
	var list struct {
		Payments []json.RawMessage `json:"payments"`
	}
	if err := d.lncli(ctx, &list, "listpayments"); err != nil {
		return outcome{}, err
	}
	if info.Channels != 0 || info.Peers != 0 || len(list.Payments) != 1 {
		return outcome{}, broken("the agent sees %d channels, %d peers and %d payments", info.Channels, info.Peers, len(list.Payments))
	}
	if err := d.lncli(ctx, nil, "newaddress", "p2wkh"); err == nil {
		return outcome{}, broken("the agent got an address of the node's wallet")
	}
	return outcome{
		detail: map[string]any{"channels": 0, "peers": 0, "payments": 1, "newaddress": "refused"},
		words:  "lncli with the agent's macaroon: its own balance and payment, no channels, no wallet",
	}, nil
}

// limitRefusal asks for a page that the daily limit does not allow.
func (d *Demo) limitRefusal(ctx context.Context) (outcome, error) {
	return d.refused(ctx, "limit_day",
		fmt.Sprintf("%d sat more are over %d a day: the node refused, exit status %d", middle, dailyLimit, notPaid))
}

// freeze stops the account; the same page is refused for another reason now.
func (d *Demo) freeze(ctx context.Context) (found outcome, err error) {
	if err := d.operate(ctx, nil, "freeze", d.agent.ID); err != nil {
		return outcome{}, err
	}
	if found, err = d.refused(ctx, "frozen", "the operator froze the account: the node refused; then thawed it"); err != nil {
		return found, err
	}
	return found, d.operate(ctx, nil, "thaw", d.agent.ID)
}

// refused insists that the node refuses to pay for the middle page.
func (d *Demo) refused(ctx context.Context, reason, words string) (outcome, error) {
	r, err := d.lnget(ctx, notPaid, "-q", "--json", d.gate.URL+middlePath)
	if err != nil {
		return outcome{}, err
	}
	if !strings.Contains(r.Stderr+r.Stdout, `"`+reason+`"`) {
		return outcome{}, broken("the refusal is not %s: %s", reason, r)
	}
	return outcome{
		detail: map[string]any{"price_sat": middle, "reason": reason, "exit_status": r.Status},
		words:  words,
	}, d.paidTimes(ctx, 1)
}

// audit has the books and the journal checked.
func (d *Demo) audit(ctx context.Context) (outcome, error) {
	var verified map[string]any
	if err := d.operate(ctx, nil, "accounts", "check"); err != nil {
		return outcome{}, err
	}
	if err := d.operate(ctx, &verified, "audit", "verify"); err != nil {
		return outcome{}, err
	}
	return outcome{detail: verified, words: "the ledger adds up and the journal's chain is whole"}, nil
}

// hasLeft insists on what lncli shows as the account's balance, in msat.
func (d *Demo) hasLeft(ctx context.Context, want int64) error {
	var b struct {
		Local struct {
			Msat string `json:"msat"`
		} `json:"local_balance"`
	}
	if err := d.lncli(ctx, &b, "channelbalance"); err != nil {
		return err
	}
	if b.Local.Msat != strconv.FormatInt(want, 10) {
		return broken("the account has %s msat, not %d", b.Local.Msat, want)
	}
	return nil
}

// lncli runs the embedded lncli with the agent's macaroon.
func (d *Demo) lncli(ctx context.Context, into any, args ...string) error {
	return d.operate(ctx, into, append([]string{"lncli", "--macaroonpath", d.agent.Macaroon}, args...)...)
}

// operate runs leyden on the buyer's node.
func (d *Demo) operate(ctx context.Context, into any, args ...string) error {
	return shop.Operate(ctx, d.opts.Leyden, d.buyerNode(), into, args...)
}
