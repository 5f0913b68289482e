// Package gate is the shop's door: a reverse proxy before a seller's HTTP
// services that charges by L402 and the Payment scheme. It promises that a
// backend never sees a request that was to be paid for and was not, nor the
// buyer's credentials; that what it matches a request by is what the backend
// gets; that a valid token passes whether the node or the database are there or
// not; that each invoice it asks for is on record first; that what fails on the
// seller's side uses nothing up; that a flood makes no more than so many
// invoices; and that a reload loses no request, and a mistake in it changes
// nothing. It leaves out sessions and prices that a program makes.
//
// A request's way: sniff.go and conn.go are the connection; patience.go, body.go
// and clock.go bound how long its client may be silent; edge*.go finds out who
// the client is, and writes down what became of the request; route.go and
// path.go choose the service; door*.go decides, with limit*.go and freebie.go;
// proxy.go, outgoing.go and transport.go pass on. Around it: config*.go is
// gate.yaml; generation.go and reload.go replace it; control.go is the control
// socket; tls.go is the certificates; hashmail.go serves the relay of Lightning
// Node Connect on the same port; node.go, session.go and watch.go deal with the
// Lightning node; keys.go keeps the master keys; calm.go keeps the log short;
// gate.go starts and stops it all. What a challenge is and who gets which lives
// in l402/l402http.
package gate
