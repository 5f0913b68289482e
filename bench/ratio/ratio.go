// Package ratio measures a subject against a baseline in the same run: the two
// take turns, and the median of several rounds is what counts. It prints and
// never judges: the target stands beside the figure.
package ratio

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Comparison measures a subject against a baseline, one run of each in turn.
type Comparison struct {
	Baseline, Subject string
	Target            string

	// N is how many runs of each make a round.
	N int

	// Before prepares a run of either, untimed. May be nil.
	Before func(context.Context) error

	// RunBaseline and RunSubject return what one run took.
	RunBaseline, RunSubject func(context.Context) (time.Duration, error)
}

// Measure prints a line a round and the medians over the rounds.
func (c Comparison) Measure(ctx context.Context, rounds int) error {
	var ratios []float64
	var bases, subjects, differences []time.Duration
	for range rounds {
		base, subject, diff, err := c.round(ctx)
		if err != nil {
			return err
		}
		bases, subjects = append(bases, base), append(subjects, subject)
		differences = append(differences, diff)
		ratios = append(ratios, float64(subject)/float64(base))
	}
	fmt.Printf("  %s: %s\n  %s: %s\n", c.Baseline, ms(Median(bases)), c.Subject, ms(Median(subjects)))
	fmt.Printf("  ratio %.2f (rounds %.2f to %.2f), paired difference %s (rounds %s to %s); target: %s\n",
		Median(ratios), slices.Min(ratios), slices.Max(ratios),
		ms(Median(differences)), ms(slices.Min(differences)), ms(slices.Max(differences)), c.Target)
	return nil
}

// round returns the medians of one round and the median of the differences
// between the two runs of a pair.
func (c Comparison) round(ctx context.Context) (base, subject, difference time.Duration, err error) {
	var bases, subjects, differences []time.Duration
	for range c.N {
		b, err := c.once(ctx, c.RunBaseline)
		if err != nil {
			return 0, 0, 0, fmt.Errorf("%s: %w", c.Baseline, err)
		}
		s, err := c.once(ctx, c.RunSubject)
		if err != nil {
			return 0, 0, 0, fmt.Errorf("%s: %w", c.Subject, err)
		}
		bases, subjects, differences = append(bases, b), append(subjects, s), append(differences, s-b)
	}
	return Median(bases), Median(subjects), Median(differences), nil
}

func (c Comparison) once(ctx context.Context, run func(context.Context) (time.Duration, error)) (time.Duration, error) {
	if c.Before != nil {
		if err := c.Before(ctx); err != nil {
			return 0, err
		}
	}
	return run(ctx)
}

// Median of a list that is not empty; the upper one of an even number.
func Median[T time.Duration | float64](list []T) T {
	sorted := slices.Clone(list)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/1e6) }

// Timed returns what f took.
func Timed(f func() error) (time.Duration, error) {
	start := time.Now()
	err := f()
	return time.Since(start), err
}
