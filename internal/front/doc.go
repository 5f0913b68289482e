// Package front owns a node's port: it takes every gRPC (and, when asked, REST)
// call, asks a Hook what is to become of it, and only then forwards it to the
// lnd behind it: on a private unix socket, or one that somebody else runs.
//
// It promises: messages pass as raw frames, unchanged unless the hook changes
// them; metadata, headers, trailers, status with details, deadlines,
// cancellation and half-close arrive as they would without it; an lnd
// on a socket sees the client's address; while the front is not ready nothing is forwarded; a hook
// that errs or panics refuses the call; CutOff ends the calls it names, and once
// it has returned no further message of theirs is handed to lnd. Methods that
// could undo the front (RegisterRPCMiddleware, WalletUnlocker) never pass.
//
// It leaves out what a caller may do (the Hook's business), the child's life
// (package lnd) and wallets. It knows no lnrpc messages: package rest brings the
// REST handlers, package cert the certificate, package macaroon the caveats.
package front
