package suite

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"bao-kms-provider/conformance/crowd"
	"bao-kms-provider/conformance/harness"
)

// places is how many connections the provider serves at once.
const places = 128

// innocents are callers on one connection that know nothing of what goes on.
type innocents struct {
	crowd *crowd.Crowd
}

// newInnocents connects them before anything happens.
func newInnocents(t *testing.T, to target) innocents {
	t.Helper()
	gathered := must1[*crowd.Crowd](t)(crowd.Gather(to.node.Socket, crowdDeadline))
	t.Cleanup(func() { _ = gathered.Close() })
	// Enough of them that all connections to OpenBao are open, too.
	for _, scene := range []string{"encrypt", "decrypt"} {
		made := must1[crowd.Outcome](t)(gathered.Play(t.Context(), crowd.Order{Scene: scene, Calls: 64}))
		allGood(t, scene, made.Main, 64)
	}
	return innocents{gathered}
}

// during plays a loop of calls while something else happens, and wants every one
// answered on the first connection.
func (i innocents) during(t *testing.T, what string, happens func()) {
	t.Helper()
	over := make(chan struct{})
	var outcomes []crowd.Outcome
	var group sync.WaitGroup
	group.Go(func() {
		for {
			outcome, err := i.crowd.Play(t.Context(), crowd.Order{Scene: "loop", Callers: 4, Milliseconds: 100})
			if err != nil {
				t.Error(err)
				return
			}
			outcomes = append(outcomes, outcome)
			select {
			case <-over:
				return
			default:
			}
		}
	})
	happens()
	close(over)
	group.Wait()
	calls := 0
	for _, outcome := range outcomes {
		calls += outcome.Main.Calls()
		if outcome.Main.Failed() > 0 {
			t.Fatalf("%s: innocent callers got %v: %s", what, outcome.Main.Codes, outcome.Main.FirstError)
		}
		oneConnection(t, what, outcome)
	}
	t.Logf("%s: %d innocent calls answered", what, calls)
}

// newcomer is a client that connects just now and is served.
func newcomer(t *testing.T, to target, what string) {
	t.Helper()
	client := must1[*crowd.Client](t)(crowd.Dial(to.node.Socket, crowdDeadline))
	defer client.Close()
	if err := client.Status(t.Context()); err != nil {
		t.Fatalf("%s: a client that comes now: %v", what, err)
	}
}

func TestUnfriendlyConnections(t *testing.T) {
	to := newTarget(t)
	quiet := newInnocents(t, to)
	newcomer(t, to, "before")
	before := to.footprint(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, target, innocents, harness.Footprint)
	}{
		{"T06_H07_half_open_connections_and_slow_readers_up_to_the_limit", halfOpen},
		{"more_connections_than_places_cost_no_more_than_the_places", beyondTheLimit},
		{"H07_H08_floods_hurt_their_own_connection_only", floods},
		{"F06_at_the_limit_of_open_files_connections_that_are_there_are_served", descriptorLimit},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, to, quiet, before) })
		to.givesBack(t, before)
		newcomer(t, to, "after "+part.name)
	}
}

// bounded fails the test when the process holds more than so many descriptors more.
func (to target) bounded(t *testing.T, before harness.Footprint, more int) {
	t.Helper()
	if now := to.footprint(t); now.Descriptors > before.Descriptors+more {
		t.Fatalf("%d descriptors, %d before, at most %d more were expected", now.Descriptors, before.Descriptors, more)
	}
}

// halfOpen is 30 connections of each kind: one that says nothing, one that says the
// preface and no more, one that gives no window for any answer, and one that
// asks and asks and never reads.
func halfOpen(t *testing.T, to target, quiet innocents, before harness.Footprint) {
	const each = 30
	quiet.during(t, "half-open connections", func() {
		var asking bytes.Buffer
		for call := range uint32(50) {
			asking.Write(statusCall(2*call + 1))
		}
		pings := bytes.Repeat(frame(pingFrame, 0, 0, make([]byte, 8)), 2000)
		var all []*net.UnixConn
		for range each {
			windowless, unread := greeted(t, to.node, setting(4, 0)), greeted(t, to.node)
			for _, one := range []*net.UnixConn{windowless, unread} {
				pour(one, asking.Bytes(), 100*time.Millisecond)
			}
			pour(unread, pings, 20*time.Millisecond)
			all = append(all, windowless, unread, connect(t, to.node), connect(t, to.node, []byte(preface)))
		}
		to.bounded(t, before, len(all))
		newcomer(t, to, "beside half-open connections")
		time.Sleep(500 * time.Millisecond)
		for _, one := range all {
			_ = one.Close()
		}
	})
}

// beyondTheLimit leaves the rest in the kernel's queue.
func beyondTheLimit(t *testing.T, to target, quiet innocents, before harness.Footprint) {
	quiet.during(t, "300 connections", func() {
		var all []*net.UnixConn
		for range 300 {
			all = append(all, connect(t, to.node, []byte("PRI")))
		}
		must(t, harness.Wait(t.Context(), "all places to be taken", 5*time.Second, func(ctx context.Context) error {
			samples, err := to.node.Metrics(ctx)
			if err != nil {
				return err
			}
			if samples.Sum("openbao_kms_grpc_connections_turned_away_total", map[string]string{"reason": "no_place"}) < 1 {
				return errors.New("there is a place")
			}
			return nil
		}))
		// The scrape has a connection, too.
		to.bounded(t, before, places+4)
		for _, one := range all {
			_ = one.Close()
		}
	})
}

// flood is what one connection sends: first once, then again and again.
type flood struct {
	first, again []byte
	// times is how often; until the pipe is full or closed when that comes earlier.
	times int
	// rude leaves out the preface and SETTINGS.
	rude bool
	// fatal floods must be ended by the provider.
	fatal bool
	// reads takes what the provider says, so that it never has to wait.
	reads bool
}

func theFloods() map[string]flood {
	opening := callHeaders("Decrypt")
	open := frame(headersFrame, endHeaders, 1, opening)
	// An entry of 4000 bytes in the dynamic table, then one byte for each mention of it.
	long := append([]byte{0x40, 1, 'x', 0x7f}, binary.AppendUvarint(nil, 3900-127)...)
	long = append(long, bytes.Repeat([]byte{'v'}, 3900)...)
	bomb := append(bytes.Clone(opening), append(long, bytes.Repeat([]byte{0x80 | 62}, 10_000)...)...)
	var resets bytes.Buffer
	for call := range uint32(5000) {
		stream := 2*call + 1
		resets.Write(frame(headersFrame, endHeaders, stream, opening))
		resets.Write(frame(resetFrame, 0, stream, []byte{0, 0, 0, 8}))
	}
	return map[string]flood{
		"SETTINGS":         {again: bytes.Repeat(frame(settingsFrame, 0, 0, nil), 1000), times: 100, reads: true},
		"SETTINGS, unread": {again: bytes.Repeat(frame(settingsFrame, 0, 0, nil), 1000), times: 100},
		"PING, unread":     {again: bytes.Repeat(frame(pingFrame, 0, 0, make([]byte, 8)), 1000), times: 100},
		"CONTINUATION": {
			first: frame(headersFrame, 0, 1, opening),
			again: bytes.Repeat(frame(continuationFrame, 0, 1, headerBlock("x", "y")), 1000), times: 100, fatal: true,
		},
		"CONTINUATION of nothing": {
			first: frame(headersFrame, 0, 1, opening),
			again: bytes.Repeat(frame(continuationFrame, 0, 1, nil), 1000), times: 100, fatal: true,
		},
		"DATA of nothing": {first: open, again: bytes.Repeat(frame(dataFrame, 0, 1, nil), 1000), times: 100, fatal: true},
		"HPACK bomb":      {first: frame(headersFrame, endHeaders, 1, bomb), reads: true},
		"a frame of 16 MiB": {
			first: append([]byte{0xff, 0xff, 0xff, dataFrame, 0, 0, 0, 0, 1}, make([]byte, 1<<20)...), fatal: true,
		},
		"a message of 4 GiB": {
			first: append(open, frame(dataFrame, 0, 1, []byte{0, 0xff, 0xff, 0xff, 0xff, 1})...), reads: true,
		},
		"calls taken back":  {first: resets.Bytes(), reads: true},
		"window overflow":   {first: append(open, frame(windowFrame, 0, 0, []byte{0x7f, 0xff, 0xff, 0xff})...), fatal: true},
		"a TLS ClientHello": {first: []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, rude: true, fatal: true},
		"HTTP/1.1":          {first: []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), rude: true, fatal: true},
		"zeros":             {again: make([]byte, 1<<16), times: 100, rude: true, fatal: true},
	}
}

// floods come all at once.
func floods(t *testing.T, to target, quiet innocents, _ harness.Footprint) {
	before := to.footprint(t)
	quiet.during(t, "floods", func() {
		var group sync.WaitGroup
		for name, flood := range theFloods() {
			var connection *net.UnixConn
			if flood.rude {
				connection = connect(t, to.node)
			} else {
				connection = greeted(t, to.node)
			}
			group.Go(func() { flood.run(t, name, connection) })
		}
		group.Wait()
	})
	after := to.footprint(t)
	t.Logf("resident %d KiB before, at most %d KiB until after", before.ResidentKiB, after.PeakKiB)
	if grown := after.PeakKiB - max(before.PeakKiB, before.ResidentKiB); grown > 64<<10 {
		t.Fatalf("the floods took %d KiB of memory", grown)
	}
}

func (f flood) run(t *testing.T, name string, connection *net.UnixConn) {
	if f.reads {
		go hungUp(connection, 10*time.Second)
	}
	open := pour(connection, f.first, 5*time.Second) == len(f.first)
	for range f.times {
		open = open && pour(connection, f.again, 200*time.Millisecond) == len(f.again)
		if !open {
			break
		}
	}
	if f.fatal && !hungUp(connection, 5*time.Second) {
		t.Errorf("%s: the provider goes on with this connection", name)
	}
	_ = connection.Close()
}

// descriptorLimit leaves room for a handful of files more than are open; the
// innocents' connections to OpenBao are.
func descriptorLimit(t *testing.T, to target, quiet innocents, _ harness.Footprint) {
	limit := uint64(to.footprint(t).Descriptors + 6)
	usual := must1[uint64](t)(to.node.LimitDescriptors(limit))
	quiet.during(t, "no descriptors left", func() {
		var all []*net.UnixConn
		for range 40 {
			all = append(all, connect(t, to.node, []byte(preface)))
		}
		must(t, harness.Wait(t.Context(), "the limit to be reached", 5*time.Second, func(context.Context) error {
			if now := to.footprint(t); uint64(now.Descriptors) < limit {
				return fmt.Errorf("%d descriptors of %d", now.Descriptors, limit)
			}
			return nil
		}))
		time.Sleep(500 * time.Millisecond)
		for _, one := range all {
			_ = one.Close()
		}
		newcomer(t, to, "after the limit was reached")
	})
	must1[uint64](t)(to.node.LimitDescriptors(usual))
}

// TestAFrozenProviderServesItsConnectionsWhenItGoesOn is F08.
func TestAFrozenProviderServesItsConnectionsWhenItGoesOn(t *testing.T) {
	t.Parallel()
	to := newTarget(t)
	plays := map[string]player{}
	for name, line := range lines() {
		plays[name] = line(t, to)
		allGood(t, "seeds", plays[name](t, crowd.Order{Scene: "encrypt", Calls: 20}).Main, 20)
	}
	shown := sync.Map{}
	var group sync.WaitGroup
	for name, play := range plays {
		group.Go(func() {
			shown.Store(name, play(t, crowd.Order{Scene: "loop", Callers: 20, Milliseconds: 11_000, DeadlineMilliseconds: 1000}))
		})
	}
	time.Sleep(500 * time.Millisecond)
	to.node.Freeze()
	time.Sleep(10 * time.Second)
	to.node.Thaw()
	group.Wait()
	for name, play := range plays {
		value, _ := shown.Load(name)
		outcome, _ := value.(crowd.Outcome)
		t.Logf("%s: %v", name, outcome.Main.Codes)
		oneConnection(t, name, outcome)
		frozen := outcome.Main.Codes["DeadlineExceeded"]
		if strange := outcome.Main.Failed() - frozen; frozen < 20 || strange != 0 || outcome.Main.Codes["OK"] < 20 {
			t.Errorf("%s: got %v: %s", name, outcome.Main.Codes, outcome.Main.FirstError)
		}
		after := play(t, crowd.Order{Scene: "decrypt", Calls: 20, DeadlineMilliseconds: int(crowdDeadline.Milliseconds())})
		allGood(t, name+" afterwards", after.Main, 20)
		oneConnection(t, name, after)
	}
}
