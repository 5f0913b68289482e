package guard

import (
	"testing"

	"github.com/lightningnetwork/lnd/lnrpc"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/leydenln/leyden/internal/account"
)

// TestSameInvoice: lnd's move to SQL gives its invoices other numbers, and an
// invoice that lnd forgot may be followed by another of its hash.
func TestSameInvoice(t *testing.T) {
	last, err := proto.Marshal(&lnrpc.Invoice{AddIndex: 7, PaymentAddr: []byte{1}})
	require.NoError(t, err)
	known := account.Invoice{AddIndex: 7, Last: last, Memo: "tea", Amount: 5}
	for name, c := range map[string]struct {
		row  account.Invoice
		inv  *lnrpc.Invoice
		same bool
	}{
		"ok/the same":         {known, &lnrpc.Invoice{AddIndex: 7, PaymentAddr: []byte{1}}, true},
		"ok/numbered anew":    {known, &lnrpc.Invoice{AddIndex: 3, PaymentAddr: []byte{1}}, true},
		"ok/no address known": {account.Invoice{AddIndex: 7}, &lnrpc.Invoice{AddIndex: 7, PaymentAddr: []byte{1}}, true},
		"ok/pending":          {account.Invoice{Memo: "tea", Amount: 5}, &lnrpc.Invoice{AddIndex: 7, Memo: "tea", ValueMsat: 5}, true},

		"fail/another, its number": {known, &lnrpc.Invoice{AddIndex: 7, PaymentAddr: []byte{2}}, false},
		"fail/another number":      {account.Invoice{AddIndex: 7}, &lnrpc.Invoice{AddIndex: 8}, false},
		"fail/another's memo":      {account.Invoice{Memo: "tea"}, &lnrpc.Invoice{AddIndex: 7}, false},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.same, sameInvoice(c.row, c.inv)) })
	}
}
