// Package lnd runs lnd as a supervised child process of ours. It promises that
// the child listens only on a unix socket in a private folder, that it never
// outlives its parent, that it is started again with growing pauses whenever
// it ends by itself, that its wallet is opened again after each start when a
// password is at hand, and that every lnd option stays reachable except those
// that would undo the front before it (each refused by name).
//
// It leaves out lnd itself (package child links it, and is what the
// re-executed binary runs), the network ports that clients see (package
// front), and what a client may do there.
package lnd
