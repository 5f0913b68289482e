// Package house holds the rules of this repository that a machine can check,
// as tests: package docs, who may import whom, how files are written, sizes.
// It exports nothing.
package house
