//go:build race

package mailbox

// underRace says that the race detector slows things down, and takes memory.
const underRace = true
