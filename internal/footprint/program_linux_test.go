package footprint

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// filePages is how much of files this process has in memory, in kB.
func filePages(t *testing.T) (kilobytes int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "RssFile: %d kB", &kilobytes); err == nil {
			return kilobytes
		}
	}
	t.Skip("the kernel does not say")
	return 0
}

func TestReleaseProgram(t *testing.T) {
	before := filePages(t)
	ReleaseProgram()
	if after := filePages(t); after > before*9/10 {
		t.Errorf("%d kB before, %d kB after", before, after)
	}
}
