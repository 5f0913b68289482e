package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// comparison measures a subject against a baseline, one run of each in turn.
type comparison struct {
	baseline, subject string
	target            string

	// n is how many runs of each make a round.
	n int

	// before prepares a run of either, untimed. May be nil.
	before func(context.Context) error

	// runBaseline and runSubject return what one run took.
	runBaseline, runSubject func(context.Context) (time.Duration, error)
}

// measure prints a line a round and the medians over the rounds.
func (c comparison) measure(ctx context.Context, rounds int) error {
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
	fmt.Printf("  %s: %s\n  %s: %s\n", c.baseline, ms(median(bases)), c.subject, ms(median(subjects)))
	fmt.Printf("  ratio %.2f (rounds %.2f to %.2f), paired difference %s (rounds %s to %s); target: %s\n",
		median(ratios), slices.Min(ratios), slices.Max(ratios),
		ms(median(differences)), ms(slices.Min(differences)), ms(slices.Max(differences)), c.target)
	return nil
}

// round returns the medians of one round and the median of the differences
// between the two runs of a pair.
func (c comparison) round(ctx context.Context) (base, subject, difference time.Duration, err error) {
	var bases, subjects, differences []time.Duration
	for range c.n {
		b, err := c.once(ctx, c.runBaseline)
		if err != nil {
			return 0, 0, 0, fmt.Errorf("%s: %w", c.baseline, err)
		}
		s, err := c.once(ctx, c.runSubject)
		if err != nil {
			return 0, 0, 0, fmt.Errorf("%s: %w", c.subject, err)
		}
		bases, subjects, differences = append(bases, b), append(subjects, s), append(differences, s-b)
	}
	return median(bases), median(subjects), median(differences), nil
}

func (c comparison) once(ctx context.Context, run func(context.Context) (time.Duration, error)) (time.Duration, error) {
	if c.before != nil {
		if err := c.before(ctx); err != nil {
			return 0, err
		}
	}
	return run(ctx)
}

// median of a list that is not empty; the upper one of an even number.
func median[T time.Duration | float64](list []T) T {
	sorted := slices.Clone(list)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/1e6) }

// timed returns what f took.
func timed(f func() error) (time.Duration, error) {
	start := time.Now()
	err := f()
	return time.Since(start), err
}
