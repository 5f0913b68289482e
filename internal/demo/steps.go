package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lightningnetwork/lnd/lnrpc"

	"github.com/leydenln/leyden/internal/devnet"
	"github.com/leydenln/leyden/internal/devnet/shop"
	"github.com/leydenln/leyden/internal/fault"
)

// overCap is lnget's exit status when a price is over --max-cost.
const overCap = 2

type step struct {
	name string
	run  func(context.Context) (outcome, error)
}

// outcome is what a step found: for programs, and in words.
type outcome struct {
	detail map[string]any
	words  string
}

func (d *Demo) steps() []step {
	return []step{
		{"network up", d.networkUp},
		{"shop open", d.shopOpen},
		{"account for the agent", d.giveAccount},
		{"balances before", d.balancesBefore},
		{"price preview", d.pricePreview},
		{"paid fetch", d.paidFetch},
		{"second fetch", d.secondFetch},
		{"a world of its own", d.ownWorld},
		{"refusal over the cap", d.refusal},
		{"refusal by the limit", d.limitRefusal},
		{"freeze", d.freeze},
		{"audit verified", d.audit},
		{"balances after", d.balancesAfter},
	}
}

// broken is what a step says that did not hold.
func broken(format string, args ...any) error {
	return fault.New("demo_failed", "", format, args...)
}

func (d *Demo) networkUp(ctx context.Context) (_ outcome, err error) {
	d.network, err = devnet.Start(ctx, devnet.Options{
		Home: d.home(), Nodes: 3, Signer: devnet.NodeName(buyerIndex), Leyden: d.opts.Leyden, Btcd: d.opts.Btcd, Progress: d.opts.OnProgress,
	})
	if err != nil {
		return outcome{}, err
	}
	return outcome{
		detail: map[string]any{
			"buyer": d.buyerNode().Name, "buyer_pubkey": d.buyerNode().Pubkey, "buyer_signer": d.buyerNode().Signer.RPC,
			"seller": d.sellerNode().Name, "seller_pubkey": d.sellerNode().Pubkey,
		},
		words: fmt.Sprintf("%s buys, its keys on a signer of its own, %s sells, %s forwards between them", d.buyerNode().Name, d.sellerNode().Name, d.middleNode().Name),
	}, nil
}

func (d *Demo) shopOpen(ctx context.Context) (_ outcome, err error) {
	addr, err := d.serveBackend()
	if err != nil {
		return outcome{}, err
	}
	d.gate, err = shop.OpenGate(ctx, shop.GateOptions{
		Node: d.sellerNode(), Leyden: d.opts.Leyden, Services: []shop.Service{
			{Name: "archive", PathRegexp: "^" + dearPath, Address: addr, Price: dear},
			{Name: "forecast", PathRegexp: "^" + middlePath, Address: addr, Price: middle},
			{Name: "weather", PathRegexp: "^/", Address: addr, Price: cheap, Free: []string{"^" + shop.HealthPath + "$"}},
		},
	})
	if err != nil {
		return outcome{}, err
	}
	return outcome{
		detail: map[string]any{"url": d.gate.URL + cheapPath, "price_sat": cheap,
			"middle_url": d.gate.URL + middlePath, "middle_price_sat": middle,
			"dear_url": d.gate.URL + dearPath, "dear_price_sat": dear},
		words: fmt.Sprintf("%s costs %d sat, %s %d, %s %d", d.gate.URL+cheapPath, cheap, middlePath, middle, dearPath, dear),
	}, nil
}

// balances are what buyer's and seller's node say, amounts in msat.
type balances struct {
	buyer, seller        int64 // in channels
	payments, invoices   int
	paidMsat, earnedMsat int64
}

func (b balances) outcome() outcome {
	return outcome{
		detail: map[string]any{
			"buyer_channel_msat": b.buyer, "buyer_payments": b.payments, "buyer_paid_msat": b.paidMsat,
			"seller_channel_msat": b.seller, "seller_paid_invoices": b.invoices, "seller_earned_msat": b.earnedMsat,
		},
		words: fmt.Sprintf("buyer %d sat, %d payments made; seller %d sat, %d invoices paid",
			b.buyer/1000, b.payments, b.seller/1000, b.invoices),
	}
}

func (d *Demo) balances(ctx context.Context) (b balances, err error) {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { b.buyer, err = channelBalance(ctx, d.buyerNode()); return err })
	g.Go(func() (err error) { b.seller, err = channelBalance(ctx, d.sellerNode()); return err })
	g.Go(func() (err error) { b.payments, b.paidMsat, err = shop.Payments(ctx, d.buyerNode()); return err })
	g.Go(func() (err error) { b.invoices, b.earnedMsat, err = shop.Sales(ctx, d.sellerNode()); return err })
	return b, g.Wait()
}

func channelBalance(ctx context.Context, n *devnet.Node) (int64, error) {
	r, err := n.Lightning().ChannelBalance(ctx, &lnrpc.ChannelBalanceRequest{})
	if err != nil {
		return 0, broken("node %s does not tell its balance: %w", n.Name, err)
	}
	return int64(r.GetLocalBalance().GetMsat()), nil
}

func (d *Demo) balancesBefore(ctx context.Context) (outcome, error) {
	var err error
	d.before, err = d.balances(ctx)
	if err == nil && (d.before.payments != 0 || d.before.invoices != 0) {
		err = broken("a new network has %d payments and %d paid invoices", d.before.payments, d.before.invoices)
	}
	return d.before.outcome(), err
}

func (d *Demo) pricePreview(ctx context.Context) (outcome, error) {
	r, err := d.lnget(ctx, 0, "--no-pay", "--json", d.gate.URL+cheapPath)
	if err != nil {
		return outcome{}, err
	}
	var preview struct {
		Sat int64 `json:"invoice_amount_sat"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &preview); err != nil {
		return outcome{}, broken("lnget --no-pay --json printed no JSON: %w: %s", err, r)
	}
	if preview.Sat != cheap {
		return outcome{}, broken("the preview says %d sat, the price is %d", preview.Sat, cheap)
	}
	return outcome{
		detail: map[string]any{"invoice_amount_sat": preview.Sat},
		words:  fmt.Sprintf("lnget --no-pay --json says %d sat, and pays nothing", preview.Sat),
	}, d.paidTimes(ctx, 0)
}

// fetch gets the cheap page; after it, the buyer has paid exactly once.
func (d *Demo) fetch(ctx context.Context) (body string, err error) {
	r, err := d.lnget(ctx, 0, "-q", d.gate.URL+cheapPath)
	if err != nil {
		return "", err
	}
	if r.Stdout != bodies[cheapPath] {
		return "", broken("lnget printed %q, the service says %q", r.Stdout, bodies[cheapPath])
	}
	return r.Stdout, d.paidTimes(ctx, 1)
}

func (d *Demo) refusal(ctx context.Context) (outcome, error) {
	r, err := d.lnget(ctx, overCap, "-q", d.gate.URL+dearPath)
	if err != nil {
		return outcome{}, err
	}
	if r.Stdout != "" {
		return outcome{}, broken("lnget refused to pay and yet printed %q", r.Stdout)
	}
	return outcome{
		detail: map[string]any{"price_sat": dear, "exit_status": r.Status},
		words:  fmt.Sprintf("%d sat are over lnget's --max-cost: exit status %d, nothing paid", dear, r.Status),
	}, d.paidTimes(ctx, 1)
}

// settleTime bounds the wait for channel balances: they change a moment after
// the payment is done, when both sides have signed the HTLC away (BOLT 2).
const settleTime = 10 * time.Second

func (d *Demo) balancesAfter(ctx context.Context) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	var after balances
	var wrong error
	err := devnet.Poll(ctx, func(ctx context.Context) (bool, error) {
		now, err := d.balances(ctx)
		if err != nil {
			return false, err
		}
		after, wrong = now, d.compare(now)
		return wrong == nil, nil
	})
	if wrong != nil {
		err = wrong
	}
	return after.outcome(), err
}

// compare insists that one fetch was paid for, once, on both sides.
func (d *Demo) compare(after balances) error {
	switch {
	case after.payments != 1 || after.paidMsat <= cheap*1000:
		return broken("the buyer made %d payments of %d msat, not one of %d sat and a fee", after.payments, after.paidMsat, cheap)
	case after.invoices != 1 || after.earnedMsat != cheap*1000:
		return broken("the seller has %d paid invoices of %d msat, not one of %d sat", after.invoices, after.earnedMsat, cheap)
	case after.seller-d.before.seller != cheap*1000:
		return broken("the seller's channel balance grew by %d msat, not %d", after.seller-d.before.seller, cheap*1000)
	case d.before.buyer-after.buyer != after.paidMsat:
		return broken("the buyer's channel balance shrank by %d msat, not %d", d.before.buyer-after.buyer, after.paidMsat)
	}
	return nil
}

// lnget runs the buyer's lnget and insists on its exit status.
func (d *Demo) lnget(ctx context.Context, status int, args ...string) (shop.Result, error) {
	r, err := d.buyer.Run(ctx, args...)
	if err == nil && r.Status != status {
		err = broken("lnget ended with %s, not with status %d", r, status)
	}
	return r, err
}

// paidTimes insists on how often the buyer's node has paid.
func (d *Demo) paidTimes(ctx context.Context, want int) error {
	got, _, err := shop.Payments(ctx, d.buyerNode())
	if err == nil && got != want {
		err = broken("the buyer's node has paid %d times, not %d", got, want)
	}
	return err
}

// Try returns what a reader can type while the demo is up, each with what it
// shows.
func (d *Demo) Try() []Command {
	lnget := fmt.Sprintf("HOME=%s %s", d.buyer.Home, d.opts.Lnget)
	node := func(n *devnet.Node) string { return fmt.Sprintf("%s --home %s", d.opts.Leyden, n.Home()) }
	operator := node(d.buyerNode())
	return []Command{
		{"the token is kept: no payment", lnget + " " + d.gate.URL + cheapPath},
		{"what the operator sees of the account", operator + " accounts limits " + d.agent.ID},
		{"what the agent sees of the node", operator + " lncli --macaroonpath " + d.agent.Macaroon + " getinfo"},
		{"the journal", operator + " audit list"},
		{"what was bought", lnget + " tokens list"},
		{"what the seller asks of a stranger", "curl -i " + d.gate.URL + cheapPath},
		{"the buyer's payments", operator + " lncli listpayments"},
		{"the seller's invoices", node(d.sellerNode()) + " lncli listinvoices"},
		{"a block", fmt.Sprintf("%s --home %s devnet mine 1", d.opts.Leyden, d.Dir)},
	}
}

// Command is something to type and what for.
type Command struct{ What, Line string }
