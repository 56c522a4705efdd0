package harness

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// pollEvery is short against everything that is waited for here.
const pollEvery = 50 * time.Millisecond

// Wait asks probe until it gives nil. It gives up after limit, or when ctx ends,
// or when probe wraps its error with [Final]; the error then names what was waited
// for and the last answer. The cause of ctx is said instead, if it is a [Final] one.
func Wait(ctx context.Context, what string, limit time.Duration, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	last := errors.New("not asked yet")
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			// An answer that the deadline cut off says less than the one before it.
			last = err
		}
		if final := (finalError{}); errors.As(err, &final) {
			return fmt.Errorf("%s: %w", what, final.cause)
		}
		select {
		case <-ctx.Done():
			// Somebody who knows why it is over says more than the last answer.
			if final := (finalError{}); errors.As(context.Cause(ctx), &final) {
				return fmt.Errorf("%s: %w", what, final.cause)
			}
			return fmt.Errorf("%s: not within %s; last answer: %w", what, limit, last)
		case <-ticker.C:
		}
	}
}

// Final marks an error that no further waiting can heal.
func Final(err error) error { return finalError{err} }

type finalError struct{ cause error }

func (e finalError) Error() string { return e.cause.Error() }
func (e finalError) Unwrap() error { return e.cause }
