// Package mpp is the "Payment" HTTP authentication scheme (MPP) with method
// lightning and intent charge: a seller asks for the payment of a BOLT 11
// invoice, and the buyer shows its preimage, once.
//
// It reads and writes challenges, credentials, receipts and problems as
// draft-httpauth-payment-00 and draft-lightning-charge-00 define them
// (github.com/tempoxyz/mpp-specs), and binds a seller's challenges to service
// and price without remembering them. It does no I/O and knows no time but what
// is passed in. Whether a credential has been used before is for the caller to
// keep. Other methods, the intent session and digests of request bodies are
// left out.
package mpp
