package lnget

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// bar shows the progress of a download in the last line of a terminal.
type bar struct {
	w     io.Writer
	width func() int
	now   func() time.Time

	from  int64 // where the download began
	start time.Time
	shown bool
}

// newBar makes a bar for the terminal that w is.
func newBar(w io.Writer) *bar {
	return &bar{w: w, width: func() int { return widthOf(w) }, now: time.Now, start: time.Now(), from: -1}
}

// widthOf is the number of columns of a terminal, 80 where it is not known.
func widthOf(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

// show draws done of total bytes; total is -1 when it is not known.
func (b *bar) show(done, total int64) {
	if b.from < 0 {
		b.from, b.start = done, b.now()
	}
	fmt.Fprintf(b.w, "\r%s\x1b[K", b.line(done, total, b.width()))
	b.shown = true
}

// end clears the line.
func (b *bar) end() {
	if b.shown {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}

// line is at most width-1 columns: in the last one a terminal may break.
func (b *bar) line(done, total int64, width int) string {
	took := b.now().Sub(b.start)
	rate := int64(0)
	if took > 0 {
		rate = int64(float64(done-b.from) / took.Seconds())
	}
	right := fmt.Sprintf("%8s  %8s/s", size(done), size(rate))
	if total > 0 {
		right = fmt.Sprintf("%3d%%  %s  %s", done*100/total, right, eta(total-done, rate))
	}
	room := width - 1 - len(right) - 4
	if total > 0 && room >= 10 {
		full := int(int64(room) * min(done, total) / total)
		right = "[" + strings.Repeat("#", full) + strings.Repeat("-", room-full) + "]  " + right
	}
	return right[:max(0, min(len(right), width-1))]
}

// size writes bytes in three digits and a unit.
func size(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1000, 0
	for v >= 999.5 && unit < len(units)-1 {
		v, unit = v/1000, unit+1
	}
	digits := 2
	if v >= 99.5 {
		digits = 0
	} else if v >= 9.95 {
		digits = 1
	}
	return fmt.Sprintf("%.*f %cB", digits, v, units[unit])
}

// eta is the time that is left at that rate.
func eta(left, rate int64) string {
	if rate <= 0 || left/rate > 99*3600 {
		return "--:--"
	}
	s := left / rate
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}
