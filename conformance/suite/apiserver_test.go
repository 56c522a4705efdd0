package suite

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bao-kms-provider/conformance/harness"
)

// decryptsPerSeed bounds what a cold API server asks for one seed and one resource:
// it decodes ten watch events at once and does not share equal Decrypts.
const decryptsPerSeed = 12

func TestX15_FiveThousandObjectsAreReadCompleteAfterTheAPIServerIsKilled(t *testing.T) {
	const secretCount, widgetCount = 4500, 500
	began := time.Now()
	s := newStage(t, 1)
	server, plugin := s.servers[0], s.subjects[0]
	must(t, server.DefineWidgets(t.Context()))
	created := plugin.ownCounts(t)

	must(t, harness.Each(t.Context(), workers, secretCount, createSecret(secretsOf(t, server), "secret-%04d")))
	must(t, harness.Each(t.Context(), workers, widgetCount, func(ctx context.Context, i int) error {
		name := fmt.Sprintf("widget-%04d", i)
		return server.CreateWidget(ctx, namespace, name, valueOf(name))
	}))
	// A good Status is trusted for 20 s; nothing else may ask.
	statusBound := int(time.Since(began)/(20*time.Second)) + 2
	if calls := countSince(t, plugin, created); calls.Encrypt != 0 || calls.Decrypt != 0 || calls.Status > statusBound {
		t.Errorf("5000 creates cost %+v, at most %d Status were expected", calls, statusBound)
	}
	if encrypts := serverCalls(t, server, "Encrypt"); encrypts != 1 {
		t.Errorf("the API server counts %d Encrypts", encrypts)
	}

	raw := s.rawSecrets(t)
	if len(raw) != secretCount {
		t.Fatalf("etcd holds %d Secrets", len(raw))
	}
	widgets := must1[[]harness.Value](t)(s.etcd.List(t.Context(), harness.WidgetKey(namespace, "")))
	for _, widget := range widgets {
		checkStored(t, widget.Bytes, kmsName)
	}

	before := plugin.ownCounts(t)
	must(t, server.Restart(t.Context()))
	must(t, server.Ready(t.Context(), 30*time.Second))
	expectSecrets(t, server, secretCount)
	expectWidgets(t, server, widgetCount)
	calls := countSince(t, plugin, before)
	if calls.Encrypt != 1 || calls.Decrypt < 1 || calls.Decrypt > 2*decryptsPerSeed {
		t.Errorf("a restart over one seed and two resources cost %+v", calls)
	}
	if counted := serverCalls(t, server, "Decrypt"); counted != calls.Decrypt {
		t.Errorf("the API server counts %d Decrypts, the plugin %d", counted, calls.Decrypt)
	}

	moved := harness.SecretKey(namespace, "moved")
	must(t, s.etcd.Put(t.Context(), moved, raw[0].Bytes))
	expectRefused(t, server, "moved")
	must(t, s.etcd.Delete(t.Context(), moved))
}

func TestX15_ThePluginKilledUnderLoadCostsNoWriteAndNoObject(t *testing.T) {
	s := newStage(t, 1)
	server, plugin := s.servers[0], s.subjects[0]
	secrets := secretsOf(t, server)
	create := createSecret(secrets, "load-%05d")
	load := harness.StartLoad(t.Context(), 4, func(ctx context.Context, i int) error {
		if err := create(ctx, i); err != nil {
			return err
		}
		name := fmt.Sprintf("load-%05d", i)
		got, err := secrets.Get(ctx, name, metav1.GetOptions{})
		if err == nil && string(got.Data["value"]) != valueOf(name) {
			err = fmt.Errorf("%s holds %q", name, got.Data["value"])
		}
		return err
	})
	defer load.Stop()
	for range 2 {
		must(t, load.More(t.Context(), 100))
		plugin.kill()
		must(t, load.More(t.Context(), 100))
		must(t, plugin.start())
		must(t, plugin.ready())
	}
	must(t, load.More(t.Context(), 100))
	done, failures, last := load.Stop()
	if failures != 0 {
		t.Errorf("%d of %d calls failed while the plugin was away, the last with: %v", failures, done+failures, last)
	}

	must(t, server.Restart(t.Context()))
	must(t, server.Ready(t.Context(), 30*time.Second))
	if raw := s.rawSecrets(t); len(raw) != done {
		t.Fatalf("%d writes were acknowledged, etcd holds %d", done, len(raw))
	}
	expectSecrets(t, server, done)
	if node := plugin.node; node != nil {
		must(t, node.Stop())
		if _, err := os.Lstat(node.Socket); !os.IsNotExist(err) {
			t.Errorf("the socket is still there after a clean stop: %v", err)
		}
	}
}

func TestX15_TheAPIServerKilledUnderLoadLosesNoAcknowledgedWrite(t *testing.T) {
	s := newStage(t, 1)
	server := s.servers[0]
	create := createSecret(secretsOf(t, server), "load-%05d")
	load := harness.StartLoad(t.Context(), 4, func(ctx context.Context, i int) error {
		err := create(ctx, i)
		if err != nil {
			// The server is away; trying again at once would only fill the count.
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
		return err
	})
	defer load.Stop()
	must(t, load.More(t.Context(), 200))
	must(t, server.Restart(t.Context()))
	must(t, load.More(t.Context(), 200))
	done, failures, _ := load.Stop()
	if failures == 0 {
		t.Error("no call failed: the server was not killed under load")
	}
	raw := s.rawSecrets(t)
	if len(raw) < done {
		t.Fatalf("%d writes were acknowledged, etcd holds %d", done, len(raw))
	}
	expectSecrets(t, server, len(raw))
}
