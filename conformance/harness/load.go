package harness

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// Each calls do for 0 to n-1 from so many workers at once, until one fails.
func Each(ctx context.Context, workers, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(fmt.Errorf("number %d: %w", i, err))
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// Load is a stream of calls that goes on until it is stopped.
type Load struct {
	stop  chan struct{}
	ended sync.WaitGroup
	once  sync.Once

	mu       sync.Mutex
	done     int
	failures int
	last     error
}

// StartLoad calls do again and again, each time with the next number, from so many
// workers. A failed call is counted, and the number is used up.
func StartLoad(ctx context.Context, workers int, do func(ctx context.Context, i int) error) *Load {
	load := &Load{stop: make(chan struct{})}
	var next atomic.Int64
	for range workers {
		load.ended.Go(func() {
			for {
				select {
				case <-load.stop:
					return
				case <-ctx.Done():
					return
				default:
					load.count(do(ctx, int(next.Add(1))-1))
				}
			}
		})
	}
	return load
}

func (l *Load) count(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.done++
	} else {
		l.failures, l.last = l.failures+1, err
	}
}

// Progress is the number of calls that worked, of those that failed, and the last error.
func (l *Load) Progress() (done, failures int, last error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done, l.failures, l.last
}

// More waits until so many further calls have worked.
func (l *Load) More(ctx context.Context, calls int) error {
	start, _, _ := l.Progress()
	return Wait(ctx, fmt.Sprintf("%d more calls of the load", calls), startLimit, func(context.Context) error {
		done, failures, last := l.Progress()
		if done < start+calls {
			return fmt.Errorf("%d done, %d failed since the beginning; last failure: %v", done-start, failures, last)
		}
		return nil
	})
}

// Stop lets the calls under way finish and starts no other.
func (l *Load) Stop() (done, failures int, last error) {
	l.once.Do(func() { close(l.stop) })
	l.ended.Wait()
	return l.Progress()
}
