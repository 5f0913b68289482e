// Package bakery makes macaroons that allow what a task needs and nothing more.
// A role is a list of lnd's methods; it is resolved against what a node offers,
// and where the node lacks one of them nothing is made: a role never grants
// another node's more, and never silently less.
//
// Each macaroon hangs on a root key of its own, so that it can be revoked alone.
// What was made is recorded in a folder of one file each, without secrets:
// before lnd hears of it, so that a root key is never forgotten.
//
// It promises that a file is not overwritten unawares, and that rotating a file
// gives no power that the node did not grant to that very macaroon. It does not
// enforce anything: lnd does, and the front before it. Macaroons of accounts are
// the guard's (internal/guard).
package bakery
