package crowd

import (
	"errors"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Tally is what became of some calls.
type Tally struct {
	// Codes counts the calls by gRPC code, "Wrong" for an answer that was no good.
	Codes map[string]int `json:"codes"`
	// FirstError is one of the errors, as the API server would log it.
	FirstError string `json:"first_error,omitempty"`
	// Slowest and P99 are over all calls, whatever the result; milliseconds.
	Slowest int `json:"slowest_ms"`
	P99     int `json:"p99_ms"`
}

// Calls is how many there were.
func (t Tally) Calls() int {
	sum := 0
	for _, count := range t.Codes {
		sum += count
	}
	return sum
}

// Failed is how many had another code than OK.
func (t Tally) Failed() int { return t.Calls() - t.Codes[codes.OK.String()] }

// counter makes a tally; safe for concurrent use.
type counter struct {
	mu    sync.Mutex
	codes map[string]int
	first string
	times []time.Duration
}

// time runs one call and counts it.
func (c *counter) time(call func() error) error {
	began := time.Now()
	err := call()
	c.count(time.Since(began), err)
	return err
}

func (c *counter) count(took time.Duration, err error) {
	code := status.Code(err).String()
	if _, spoken := status.FromError(err); !spoken || errors.Is(err, errWrong) {
		code = "Wrong"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.codes == nil {
		c.codes = map[string]int{}
	}
	c.codes[code]++
	c.times = append(c.times, took)
	if err != nil && c.first == "" {
		c.first = err.Error()
	}
}

func (c *counter) tally() Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	tally := Tally{Codes: c.codes, FirstError: c.first}
	if n := len(c.times); n > 0 {
		slices.Sort(c.times)
		tally.Slowest = int(c.times[n-1].Milliseconds())
		tally.P99 = int(c.times[(n-1)*99/100].Milliseconds())
	}
	return tally
}
