package harness

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestEachDoesEveryNumberOnce(t *testing.T) {
	var mu sync.Mutex
	seen := map[int]int{}
	err := Each(t.Context(), 3, 50, func(_ context.Context, i int) error {
		mu.Lock()
		defer mu.Unlock()
		seen[i]++
		return nil
	})
	if err != nil || len(seen) != 50 {
		t.Fatalf("%d numbers, %v", len(seen), err)
	}
	for i, times := range seen {
		if times != 1 {
			t.Errorf("%d came %d times", i, times)
		}
	}
}

func TestEachStopsAtAnErrorAndNamesTheNumber(t *testing.T) {
	broken := errors.New("broken")
	err := Each(t.Context(), 2, 1000, func(_ context.Context, i int) error {
		if i == 7 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "number 7") {
		t.Fatalf("got %v", err)
	}
}

func TestALoadCountsWhatWorkedAndWhatDidNotAndLosesNoCall(t *testing.T) {
	var mu sync.Mutex
	begun := 0
	load := StartLoad(t.Context(), 4, func(_ context.Context, i int) error {
		mu.Lock()
		defer mu.Unlock()
		begun++
		if i%10 == 3 {
			return errors.New("three")
		}
		return nil
	})
	if err := load.More(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	done, failures, last := load.Stop()
	if done < 100 || failures == 0 || last == nil || done+failures != begun {
		t.Fatalf("%d done, %d failed, %d begun, last %v", done, failures, begun, last)
	}
}

func TestWaitNamesWhatItWaitedForAndTheLastAnswer(t *testing.T) {
	err := Wait(t.Context(), "the sun to rise", 120*time.Millisecond, func(context.Context) error { return errors.New("dark") })
	if err == nil || !strings.Contains(err.Error(), "the sun to rise") || !strings.Contains(err.Error(), "dark") {
		t.Fatalf("got %v", err)
	}
}

func TestWaitGivesUpAtAFinalError(t *testing.T) {
	gone := errors.New("gone")
	began := time.Now()
	err := Wait(t.Context(), "x", time.Minute, func(context.Context) error { return Final(gone) })
	if !errors.Is(err, gone) || time.Since(began) > 10*time.Second {
		t.Fatalf("got %v after %s", err, time.Since(began))
	}
}
