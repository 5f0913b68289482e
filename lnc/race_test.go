//go:build race

package lnc

// underRace says that the race detector slows things down, and takes memory.
const underRace = true
