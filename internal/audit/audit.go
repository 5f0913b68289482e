// Package audit is the guard's journal: what was asked, decided and done, in an
// append-only chain of hashes. Where a change of the ledger has an entry, both
// are one transaction. Verify finds any entry that was altered, removed from
// the middle or added; a tail that was cut off is found by comparing the head
// with one noted earlier. It leaves out who may read it.
package audit

// Actor is who did something.
type Actor struct {
	// Kind is "operator", "account" or "guard".
	Kind string `json:"kind"`

	// Via is the way in: "lnd" (the node's port), "api" (the operator's port),
	// "guard" (by itself).
	Via string `json:"via"`

	// Peer is the client's IP address; empty for the guard.
	Peer string `json:"peer,omitempty"`

	// Macaroon is the first 8 bytes, in hex, of the SHA-256 of the credential.
	// Never the credential.
	Macaroon string `json:"macaroon,omitempty"`
}

// Journal is the journal in the guard's database.
type Journal struct{}
