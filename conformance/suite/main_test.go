package suite

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"bao-kms-provider/conformance/harness"
)

// ended ends when the test binary is interrupted.
var ended context.Context

func TestMain(m *testing.M) {
	flag.Parse()
	// The client library reports lost connections, which these cases cause on purpose.
	klog.SetLogger(logr.Discard())
	if !parallelGiven() {
		// The cases on transformers mostly wait for the 20 s that the API server trusts a
		// good answer: more of them than processors may wait at once.
		if err := flag.Set("test.parallel", "12"); err != nil {
			panic(err)
		}
	}
	var stop context.CancelFunc
	ended, stop = context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		caught := <-signals
		stop()
		fmt.Fprintf(os.Stderr, "%s: stopping everything\n", caught)
		if err := harness.CloseAll(true); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(130)
	}()
	code := m.Run()
	stop()
	if err := harness.CloseAll(code != 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func parallelGiven() bool {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	return given
}

// newRig is closed with the test; its logs stay when the test failed.
func newRig(t *testing.T) *harness.Rig {
	t.Helper()
	rig, err := harness.Open()
	if err != nil {
		unavailable(t, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the logs are in %s", rig.Logs)
		}
		if err := rig.Close(t.Failed()); err != nil {
			t.Error(err)
		}
	})
	return rig
}

// unavailable ends a test whose prerequisite is not there: skipped at home, failed
// where CONFORMANCE_REQUIRED says that everything must be there.
func unavailable(t *testing.T, reason error) {
	t.Helper()
	if os.Getenv("CONFORMANCE_REQUIRED") == "1" {
		t.Fatalf("CONFORMANCE_REQUIRED=1, and this case cannot run: %v", reason)
	}
	t.Skipf("cannot run: %v", reason)
}

// must ends the test on an error, or skips it when a program is missing.
func must(t *testing.T, err error) {
	t.Helper()
	if missing := (&harness.MissingError{}); errors.As(err, &missing) {
		unavailable(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func must1[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		must(t, err)
		return value
	}
}

// sharedEtcd serves all cases that only need a place for raw values; each test
// writes below its own name.
var sharedEtcd = sync.OnceValues(func() (*harness.Etcd, error) {
	rig, err := harness.Open()
	if err != nil {
		return nil, err
	}
	return rig.StartEtcd(ended, "etcd")
})
