// Package buildinfo says which Leyden this is. The Makefile sets the version
// and commit with -ldflags -X; a plain `go build` or `go install` falls back
// on what the toolchain recorded.
package buildinfo

import "runtime/debug"

// Set by the linker.
var (
	version string
	commit  string
)

// Version returns the version, such as "v0.1.0", or "dev".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

// Commit returns the git commit, or "unknown".
func Commit() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
