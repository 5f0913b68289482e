// Package l402 speaks L402, the protocol in which an HTTP server answers 402
// with a Lightning invoice and a token (a macaroon), and the client presents
// the token together with the preimage that paying the invoice revealed.
//
// A seller makes a [Keyring], mints a [Token] for each invoice with
// [Keyring.Mint] and writes the challenge with [WriteChallenge]. It reads what
// comes back with [ParseCredentials] and judges it in two steps:
// [Verifier.Verify] says that chain and preimage are right, which never
// changes and is therefore remembered; [Verified.Allows] judges service,
// expiry, the other caveats and revocation, for every request anew. No step
// needs a database: the root key of every token is derived from a master key.
//
// A buyer reads challenges with [ParseChallenges], compares the payment hash
// of [Token.Identifier] with the invoice, pays, and presents
// [Credential.Authorization].
//
// The package promises to read every form of challenge and credential that the
// field writes (aperture, lnget, the specification, LSAT), to write the one
// that all of them read, to bound what it accepts from strangers, and never to
// panic on it. It does no I/O, reads no clock, starts nothing and logs
// nothing; randomness and time are passed in. It leaves out paying, issuing
// invoices, decoding BOLT11, keeping the list of revoked tokens, and the
// "Payment" scheme, which is package mpp.
//
// Sources: the public L402 specification (protocol-specification.md,
// macaroons.md and macaroon-spec.md in lightninglabs/L402), RFC 9110 section
// 11 for the header syntax.
package l402
