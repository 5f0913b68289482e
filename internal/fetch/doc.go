// Package fetch is what lnget does, without its flags: it gets a URL, pays for
// it within limits through an lnd, and keeps what it bought in files. It
// promises that a purchase is on disk before the node hears of it, that no
// file of the user is replaced by half an answer, and that nothing connects to
// the node unless there is something to pay. It leaves out flags, what is
// printed, and exit statuses.
package fetch
