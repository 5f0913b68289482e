// Package footprint keeps the memory of a long-running process small, and the
// collector's part in its work. It promises nothing about what the process does:
// without it everything works the same.
package footprint

import (
	"os"
	"runtime"
	"runtime/debug"
)

// reserved is how much garbage may gather, in bytes, before the collector
// runs, beside as much as is in use.
const reserved = 32 << 20

// ReserveHeap makes the collector run less often in a process that keeps
// little and throws away much, as a gate does: by default it would run for
// every few megabytes. What is reserved is never touched, so it takes no
// memory itself. Call release at the end. An operator who has set GOGC has
// decided otherwise.
func ReserveHeap() (release func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	ballast := make([]byte, reserved)
	return func() { runtime.KeepAlive(ballast) }
}

// Settle gives back what work has left behind: garbage, and the pages of the
// program's file. It takes some milliseconds for every ten megabytes in use, so
// it is for a process that has come to rest. What is needed again comes back by
// itself.
func Settle() {
	debug.FreeOSMemory()
	ReleaseProgram()
}
