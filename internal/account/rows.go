package account

import (
	"encoding/json"
	"fmt"

	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/leydenln/leyden/internal/policy"
	"github.com/leydenln/leyden/internal/store/guarddb"
)

// msat returns an amount of the database. One below zero, which Check reports,
// is nothing.
func msat(amount int64) lnwire.MilliSatoshi { return lnwire.MilliSatoshi(max(0, amount)) }

func accountOf(row guarddb.Account) (Account, error) {
	limits, err := limitsOf(row)
	if err != nil {
		return Account{}, err
	}
	return Account{
		ID: ID(row.Name), Label: row.Label, Generation: uint64(row.Generation), Limits: limits,
		Initial: msat(row.InitialMsat), Balance: msat(row.BalanceMsat), Reserved: msat(row.ReservedMsat),
		Created: clock(row.CreatedMs), Updated: clock(row.UpdatedMs), Expires: clock(row.ExpiresMs),
		Frozen: row.Frozen != 0, Removed: row.RemovedMs != 0,
	}, nil
}

func accountsOf(rows []guarddb.Account, err error) ([]Account, error) {
	list := make([]Account, 0, len(rows))
	for _, row := range rows {
		a, err := accountOf(row)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, err
}

func limitsOf(row guarddb.Account) (policy.Limits, error) {
	var limits policy.Limits
	if err := json.Unmarshal([]byte(row.Limits), &limits); err != nil {
		return limits, fmt.Errorf("limits of account %x: %w", row.Name, err)
	}
	return limits, nil
}

func paymentOf(row guarddb.Payment, account []byte) Payment {
	p := Payment{
		ID: row.ID, Index: uint64(row.N), Account: ID(account),
		Hash: lntypes.Hash(row.Hash), State: State(row.State), Transfer: row.Invoice.Valid,
		Amount: msat(row.AmountMsat), MaxFee: msat(row.FeeLimitMsat), Reserved: msat(row.ReservedMsat),
		Paid: msat(row.PaidMsat), Fee: msat(row.FeeMsat),
		Payee: policy.PubKey(row.Payee), PaymentRequest: row.Request, Memo: row.Memo,
		Run: row.Run, AfterIndex: uint64(row.AfterIndex), LndIndex: uint64(row.LndIndex),
		Created: clock(row.CreatedMs), Resolved: clock(row.ResolvedMs), Reason: row.Reason,
		Final: whole(row.Final),
	}
	copy(p.Preimage[:], row.Preimage)
	return p
}

func paymentsOf(rows []guarddb.Payment, account []byte) []Payment {
	list := make([]Payment, len(rows))
	for i, row := range rows {
		list[i] = paymentOf(row, account)
	}
	return list
}

func invoiceOf(row guarddb.Invoice, account []byte) Invoice {
	i := Invoice{
		ID: row.ID, Index: uint64(row.N), SettleIndex: uint64(row.SettleN), Account: ID(account),
		Hash: lntypes.Hash(row.Hash), State: State(row.State),
		Amount: msat(row.AmountMsat), Received: msat(row.ReceivedMsat),
		Memo: row.Memo, Private: row.Private != 0, Run: row.Run, AddIndex: uint64(row.AddIndex),
		Created: clock(row.CreatedMs), Expires: clock(row.ExpiresMs), Resolved: clock(row.ResolvedMs),
		Reason: row.Reason, Last: whole(row.Last),
	}
	if len(row.Preimage) == lntypes.PreimageSize {
		preimage := lntypes.Preimage(row.Preimage)
		i.Preimage = &preimage
	}
	return i
}

func invoicesOf(rows []guarddb.Invoice, account []byte) []Invoice {
	list := make([]Invoice, len(rows))
	for i, row := range rows {
		list[i] = invoiceOf(row, account)
	}
	return list
}

// whole is nil for what is empty.
func whole(raw []byte) []byte {
	if len(raw) == 0 {
		return nil
	}
	return raw
}

// blob is the reverse of whole: the database knows no nil.
func blob(raw []byte) []byte {
	if raw == nil {
		return []byte{}
	}
	return raw
}
