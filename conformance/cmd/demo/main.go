// Command demo tells in plain words what bao-kms-provider does, with real
// processes on loopback: etcd, an OpenBao for development, the provider and an API
// server. Every sentence it prints about a result is checked first; at the end a
// table says what was checked and how long it took.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"bao-kms-provider/conformance/harness"
)

const (
	exitFailed      = 1
	exitInterrupted = 130
)

func main() {
	secrets := flag.Int("secrets", 1000, "how many Secrets to write")
	flag.Parse()
	// The client library reports lost connections, which this demo causes on purpose.
	klog.SetLogger(logr.Discard())

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, *secrets)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, secrets int) int {
	out := newPaper(os.Stdout)
	rig, err := harness.Open()
	if err != nil {
		out.failure("making room for the demo", err)
		return exitFailed
	}
	// A helper that dies ends all waiting, whatever was waited for.
	watched, unwatch := rig.Watch(ctx)
	defer unwatch()
	tale := &story{ctx: watched, out: out, rig: rig, secrets: secrets}
	began := time.Now()
	failedAt, err := tale.tell()
	if lost := rig.Lost(); err != nil && lost != nil {
		err = lost
	}

	interrupted := ctx.Err() != nil
	if interrupted {
		out.say("\nInterrupted: stopping everything.")
		err = errors.Join(harness.CloseAll(false))
	} else if closing := rig.Close(err != nil); err == nil && closing != nil {
		failedAt, err = "stopping everything", closing
	}
	switch {
	case interrupted && err == nil:
		return exitInterrupted
	case err != nil:
		out.failure(failedAt, err)
		out.say("The logs of all processes are in %s", rig.Logs)
		return exitFailed
	}
	out.table(tale.done)
	out.say("\nAll of it took %s. Nothing is left running.", seconds(time.Since(began)))
	return 0
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
