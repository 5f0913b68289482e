package guard

import (
	"context"
	"sync/atomic"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/lightningnetwork/lnd/lnrpc/invoicesrpc"
	"github.com/lightningnetwork/lnd/lnrpc/routerrpc"
)

// attachment is the guard's hold on one run of lnd.
type attachment struct {
	Access

	// ctx ends with the attachment; calls to lnd for accounts descend from it.
	ctx context.Context

	lightning lnrpc.LightningClient
	router    routerrpc.RouterClient
	invoices  invoicesrpc.InvoicesClient

	// identity is the node's public key, hex.
	identity string

	// newest is the highest payment index that lnd has shown.
	newest atomic.Uint64

	// reconciled is closed once what was left open has been looked at.
	reconciled chan struct{}
}
