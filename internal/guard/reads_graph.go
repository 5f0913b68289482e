//lint:file-ignore SA1019 clients still read and set deprecated fields

package guard

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
	"github.com/lightningnetwork/lnd/lnwire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leydenln/leyden/internal/policy"
)

// errNodeNotFound is lnd's own answer for a node that it does not know.
var errNodeNotFound = status.Error(codes.NotFound, "unable to find node")

// getNodeInfo tells what the network announces of a node. Channels with this
// node are left out of the list and the sums, and a node that is known only for
// an unannounced channel is not known.
func getNodeInfo(ctx context.Context, c *accountCall, req *lnrpc.NodeInfoRequest) (*lnrpc.NodeInfo, error) {
	if req.GetIncludeAuthProof() && !req.GetIncludeChannels() {
		return nil, badRequest("include_auth_proof depends on include_channels")
	}
	info, err := c.lnd.lightning.GetNodeInfo(ctx, &lnrpc.NodeInfoRequest{
		PubKey: req.GetPubKey(), IncludeChannels: true, IncludeAuthProof: req.GetIncludeAuthProof(),
	})
	if err != nil {
		return nil, err
	}
	if len(info.GetChannels()) == 0 && !c.lnd.isOwn(req.GetPubKey()) {
		return nil, errNodeNotFound
	}
	answer := &lnrpc.NodeInfo{Node: info.GetNode()}
	if c.lnd.isOwn(req.GetPubKey()) && answer.Node != nil {
		answer.Node.Addresses = nil // of a node that is not announced nobody knows them
	}
	for _, channel := range info.GetChannels() {
		if c.lnd.isOwn(channel.GetNode1Pub()) || c.lnd.isOwn(channel.GetNode2Pub()) {
			continue
		}
		answer.NumChannels++
		answer.TotalCapacity += channel.GetCapacity()
		if req.GetIncludeChannels() {
			answer.Channels = append(answer.Channels, channel)
		}
	}
	return answer, nil
}

// queryRoutes finds a route from this node for an amount that the account could
// pay. What steers it along chosen channels or peers of the node is refused,
// since it would show them one by one; so are routes from elsewhere. The first
// hop's channel is left out, as is what the node has learned from payments.
func queryRoutes(ctx context.Context, c *accountCall, req *lnrpc.QueryRoutesRequest) (*lnrpc.QueryRoutesResponse, error) {
	switch {
	case c.lnd.isOwn(req.GetPubKey()):
		return nil, errSameNode
	case req.GetSourcePubKey() != "" && !c.lnd.isOwn(req.GetSourcePubKey()):
		return nil, badRequest("source_pub_key %q: an account's routes begin at its own node", req.GetSourcePubKey())
	case len(req.GetOutgoingChanIds()) > 0 || len(req.GetLastHopPubkey()) > 0:
		return nil, badRequest("the first and the last channel of a route are not for an account to choose")
	case len(req.GetIgnoredNodes()) > 0 || len(req.GetIgnoredPairs()) > 0 || len(req.GetIgnoredEdges()) > 0:
		return nil, badRequest("nodes and channels to go around are not for an account to choose")
	}
	amt, err := c.askable(req.GetAmt(), req.GetAmtMsat())
	if err != nil {
		return nil, err
	}
	found, err := c.lnd.lightning.QueryRoutes(ctx, &lnrpc.QueryRoutesRequest{
		PubKey:              req.GetPubKey(),
		AmtMsat:             int64(amt),
		FinalCltvDelta:      req.GetFinalCltvDelta(),
		FeeLimit:            req.GetFeeLimit(),
		CltvLimit:           req.GetCltvLimit(),
		DestCustomRecords:   req.GetDestCustomRecords(),
		RouteHints:          req.GetRouteHints(),
		BlindedPaymentPaths: req.GetBlindedPaymentPaths(),
		DestFeatures:        req.GetDestFeatures(),
		TimePref:            req.GetTimePref(),
	})
	if err != nil {
		return nil, err
	}
	answer := new(lnrpc.QueryRoutesResponse)
	for _, route := range found.GetRoutes() {
		route.FirstHopAmountMsat, route.CustomChannelData = 0, nil
		if hops := route.GetHops(); len(hops) > 0 {
			hops[0].ChanId, hops[0].ChanCapacity = 0, 0
		}
		answer.Routes = append(answer.Routes, route)
	}
	return answer, nil
}

// estimateRouteFee estimates from the graph, for an amount that the account
// could pay. An estimate for an invoice would send probes, with the node's own
// money, to wherever the invoice says.
func estimateRouteFee(ctx context.Context, c *accountCall, req *routerrpc.RouteFeeRequest) (*routerrpc.RouteFeeResponse, error) {
	if req.GetPaymentRequest() != "" {
		return nil, refuse(codes.PermissionDenied, "probe_denied", "lncli estimateroutefee --dest NODE --amt SAT",
			"an estimate for an invoice sends probes, which is not available to an account")
	}
	if c.lnd.isOwn(hex.EncodeToString(req.GetDest())) {
		return nil, errSameNode
	}
	amt, err := c.askable(req.GetAmtSat(), 0)
	if err != nil {
		return nil, err
	}
	return c.lnd.router.EstimateRouteFee(ctx, &routerrpc.RouteFeeRequest{
		Dest: req.GetDest(), AmtSat: int64(amt.ToSatoshis()),
	})
}

// askable returns the amount that a route is asked for. More than the account
// could pay would tell how the node's channels are filled; and questions cost
// the node time, so an account may ask now and then.
func (c *accountCall) askable(sat, msat int64) (lnwire.MilliSatoshi, error) {
	if sat > btcutil.MaxSatoshi || msat > int64(policy.MaxAmount) {
		return 0, badRequest("the amount is more than there is")
	}
	amt, err := lnrpc.UnmarshallAmt(sat, msat)
	if err != nil {
		return 0, badRequest("%v", err)
	}
	if most := c.account.Available(); amt > most {
		return 0, refuse(codes.ResourceExhausted, string(policy.Balance), "lncli channelbalance",
			"a route for %d msat is more than the account could pay: %d msat are available", amt, most)
	}
	if !c.guard.lookups.allow(c.account.ID, lookupRate, c.guard.opts.Now()) {
		return 0, refuse(codes.ResourceExhausted, "rate_limited", "",
			"an account may ask for %d routes at once and one more each %s", lookupRate.burst, lookupRate.interval)
	}
	return amt, nil
}

// isOwn says whether a public key, in hex as lnd writes or accepts it, is the
// node's own.
func (a *attachment) isOwn(key string) bool { return strings.EqualFold(key, a.identity) }
