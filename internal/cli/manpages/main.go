// Command manpages writes the man pages of lnget into a folder: one for each of
// its commands, made from what --help says. It is run by `make man`, so
// that lnget itself links nothing for it.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra/doc"

	"github.com/leydenln/leyden/internal/cli/lnget"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: manpages FOLDER")
		os.Exit(1)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "manpages:", err)
		os.Exit(1)
	}
}

// date is the one the pages bear, so that they change only with the commands.
var date = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)

// write makes the pages in dir, which exists.
func write(dir string) error {
	root := lnget.Command(&lnget.App{Environ: func(string) (string, bool) { return "", false }})
	root.DisableAutoGenTag = true
	root.InitDefaultCompletionCmd()
	return doc.GenManTree(root, &doc.GenManHeader{Title: "LNGET", Section: "1", Date: &date, Source: "Leyden", Manual: "Leyden"}, dir)
}
