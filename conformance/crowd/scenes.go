package crowd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Order names a scene and its size.
type Order struct {
	Scene string `json:"scene"`
	// Calls at once, or altogether where the scene paces itself.
	Calls int `json:"calls,omitempty"`
	// Rounds of it.
	Rounds int `json:"rounds,omitempty"`
	// Callers beside it, or in a loop.
	Callers int `json:"callers,omitempty"`
	// Milliseconds that it lasts, or that one step of it takes.
	Milliseconds int `json:"milliseconds,omitempty"`
	// File to write what Encrypt gave to, or to read it from.
	File string `json:"file,omitempty"`
	// DeadlineMilliseconds of each call from now on; unchanged when zero.
	DeadlineMilliseconds int `json:"deadline_milliseconds,omitempty"`
}

// Outcome is what a scene showed.
type Outcome struct {
	// Main are the calls the scene is about, Beside those of others meanwhile.
	Main   Tally `json:"main"`
	Beside Tally `json:"beside"`
	// Dials is the client's count at the end of the scene.
	Dials int `json:"dials"`
}

// Crowd plays scenes on one connection. It remembers what Encrypt gave it.
type Crowd struct {
	client *Client
	socket string
	sealed []*Sealed
}

// Gather makes one; deadline is that of each call.
func Gather(socket string, deadline time.Duration) (*Crowd, error) {
	client, err := Dial(socket, deadline)
	if err != nil {
		return nil, err
	}
	return &Crowd{client: client, socket: socket}, nil
}

// Close ends its connection.
func (c *Crowd) Close() error { return c.client.Close() }

// Play runs a scene to its end. An error says that it could not be played; calls
// that failed are in the outcome.
func (c *Crowd) Play(ctx context.Context, order Order) (Outcome, error) {
	if order.DeadlineMilliseconds > 0 {
		c.client.Deadline = milliseconds(order.DeadlineMilliseconds)
	}
	scenes := map[string]func(context.Context, Order) (Outcome, error){
		"encrypt": c.encrypt,
		"decrypt": c.decrypt,
		"equal":   c.equal,
		"leader":  c.leader,
		"bursts":  c.bursts,
		"paced":   c.paced,
		"spoiled": c.spoiled,
		"loop":    c.loop,
		"churn":   c.churn,
		"keep":    c.keep,
		"recall":  c.recall,
	}
	scene, known := scenes[order.Scene]
	if !known {
		return Outcome{}, fmt.Errorf("no scene is called %q", order.Scene)
	}
	outcome, err := scene(ctx, order)
	outcome.Dials = c.client.Dials()
	return outcome, err
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// together starts n calls at once and waits for all.
func together(n int, call func(i int)) {
	var group sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		group.Go(func() {
			<-start
			call(i)
		})
	}
	close(start)
	group.Wait()
}

// encrypt is Rounds of Calls at once. What comes back is kept for the other scenes.
func (c *Crowd) encrypt(ctx context.Context, order Order) (Outcome, error) {
	var calls counter
	seen := map[string]bool{}
	for range max(order.Rounds, 1) {
		made := make([]*Sealed, order.Calls)
		together(order.Calls, func(i int) {
			_ = calls.time(func() (err error) {
				made[i], err = c.client.Encrypt(ctx)
				return err
			})
		})
		for _, one := range made {
			if one == nil {
				continue
			}
			if seen[string(one.Ciphertext)] {
				return Outcome{}, errors.New("two seeds have one ciphertext")
			}
			seen[string(one.Ciphertext)] = true
			c.sealed = append(c.sealed, one)
		}
	}
	return Outcome{Main: calls.tally()}, nil
}

// keep writes what encrypt collected for the crowds of other lines.
func (c *Crowd) keep(_ context.Context, order Order) (Outcome, error) {
	text, err := json.Marshal(c.sealed)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{}, os.WriteFile(order.File, text, 0o600)
}

// recall reads what another crowd kept.
func (c *Crowd) recall(_ context.Context, order Order) (Outcome, error) {
	text, err := os.ReadFile(order.File)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{}, json.Unmarshal(text, &c.sealed)
}

func (c *Crowd) need(n int) error {
	if len(c.sealed) < n {
		return fmt.Errorf("%d sealed seeds are needed, %d are there: play encrypt first", n, len(c.sealed))
	}
	return nil
}

// decrypt is Calls at once, each of another seed.
func (c *Crowd) decrypt(ctx context.Context, order Order) (Outcome, error) {
	if err := c.need(order.Calls); err != nil {
		return Outcome{}, err
	}
	var calls counter
	together(order.Calls, func(i int) {
		_ = calls.time(func() error { return c.client.Decrypt(ctx, c.sealed[i]) })
	})
	return Outcome{Main: calls.tally()}, nil
}

// equal is Calls at once of one seed.
func (c *Crowd) equal(ctx context.Context, order Order) (Outcome, error) {
	if err := c.need(1); err != nil {
		return Outcome{}, err
	}
	var calls counter
	together(order.Calls, func(int) {
		_ = calls.time(func() error { return c.client.Decrypt(ctx, c.sealed[0]) })
	})
	return Outcome{Main: calls.tally()}, nil
}

// leader is one call, a step later Calls equal ones, a step later the end of the
// first by its caller's will. Beside holds the first.
func (c *Crowd) leader(ctx context.Context, order Order) (Outcome, error) {
	if err := c.need(1); err != nil {
		return Outcome{}, err
	}
	var first, followers counter
	leading, leave := context.WithCancel(ctx)
	defer leave()
	var group sync.WaitGroup
	group.Go(func() {
		_ = first.time(func() error { return c.client.Decrypt(leading, c.sealed[0]) })
	})
	step := milliseconds(order.Milliseconds)
	time.Sleep(step)
	time.AfterFunc(step, leave)
	together(order.Calls, func(int) {
		_ = followers.time(func() error { return c.client.Decrypt(ctx, c.sealed[0]) })
	})
	group.Wait()
	return Outcome{Main: followers.tally(), Beside: first.tally()}, nil
}

// bursts is Rounds of Calls whose callers leave after 1 to 5 ms, while Callers beside
// them decrypt in a loop.
func (c *Crowd) bursts(ctx context.Context, order Order) (Outcome, error) {
	if err := c.need(max(order.Calls, order.Callers)); err != nil {
		return Outcome{}, err
	}
	var canceled, innocent counter
	var over atomic.Bool
	var group sync.WaitGroup
	for i := range order.Callers {
		group.Go(func() {
			for !over.Load() {
				_ = innocent.time(func() error { return c.client.Decrypt(ctx, c.sealed[i]) })
			}
		})
	}
	for range order.Rounds {
		together(order.Calls, func(i int) {
			leaving, leave := context.WithTimeout(ctx, milliseconds(1+i%5))
			defer leave()
			_ = canceled.time(func() error { return c.client.Decrypt(leaving, c.sealed[i]) })
		})
	}
	over.Store(true)
	group.Wait()
	return Outcome{Main: canceled.tally(), Beside: innocent.tally()}, nil
}

// paced sends Calls Decrypts evenly over Milliseconds, whether or not earlier ones
// were answered, and Callers Status in the same time. Main holds Status.
func (c *Crowd) paced(ctx context.Context, order Order) (Outcome, error) {
	if err := c.need(1); err != nil {
		return Outcome{}, err
	}
	var statuses, decrypts counter
	total := milliseconds(order.Milliseconds)
	evenly := func(n int, calls *counter, call func(i int) error) {
		var group sync.WaitGroup
		began := time.Now()
		for i := range n {
			time.Sleep(time.Until(began.Add(total * time.Duration(i) / time.Duration(n))))
			group.Go(func() { _ = calls.time(func() error { return call(i) }) })
		}
		group.Wait()
	}
	var both sync.WaitGroup
	both.Go(func() {
		evenly(order.Calls, &decrypts, func(i int) error { return c.client.Decrypt(ctx, c.sealed[i%len(c.sealed)]) })
	})
	both.Go(func() {
		evenly(order.Callers, &statuses, func(int) error { return c.client.Status(ctx) })
	})
	both.Wait()
	return Outcome{Main: statuses.tally(), Beside: decrypts.tally()}, nil
}

// spoiled is Calls of one ciphertext that nothing opens, from Callers in a loop, and
// then one good call beside them.
func (c *Crowd) spoiled(ctx context.Context, order Order) (Outcome, error) {
	if err := c.need(1); err != nil {
		return Outcome{}, err
	}
	var bad, good counter
	spoiled := c.sealed[0].spoiled()
	var next atomic.Int64
	together(order.Callers, func(int) {
		for int(next.Add(1)) <= order.Calls {
			_ = bad.time(func() error { return c.client.Decrypt(ctx, spoiled) })
		}
	})
	_ = good.time(func() error { return c.client.Decrypt(ctx, c.sealed[0]) })
	return Outcome{Main: bad.tally(), Beside: good.tally()}, nil
}

// loop is Callers that decrypt one call after the other for Milliseconds.
func (c *Crowd) loop(ctx context.Context, order Order) (Outcome, error) {
	if err := c.need(order.Callers); err != nil {
		return Outcome{}, err
	}
	var calls counter
	end := time.Now().Add(milliseconds(order.Milliseconds))
	together(order.Callers, func(i int) {
		for time.Now().Before(end) {
			_ = calls.time(func() error { return c.client.Decrypt(ctx, c.sealed[i]) })
		}
	})
	return Outcome{Main: calls.tally()}, nil
}

// churn is Calls clients, Callers at a time, each with a connection of its own that it
// gives up after one Status.
func (c *Crowd) churn(ctx context.Context, order Order) (Outcome, error) {
	var calls counter
	var next atomic.Int64
	together(order.Callers, func(int) {
		for int(next.Add(1)) <= order.Calls {
			_ = calls.time(func() error {
				client, err := Dial(c.socket, c.client.Deadline)
				if err != nil {
					return err
				}
				return errors.Join(client.Status(ctx), client.Close())
			})
		}
	})
	return Outcome{Main: calls.tally()}, nil
}
