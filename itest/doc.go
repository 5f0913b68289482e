// Package itest holds the end-to-end tests: the real programs, on real nodes
// of a private network. They promise that what the documents say a user sees
// is what happens. It has no code of its own; `make itest` runs it.
package itest
