package suite

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bao-kms-provider/conformance/harness"
)

func TestX16_TwoAPIServersWithAProviderEachReadWhatTheOtherWrote(t *testing.T) {
	t.Parallel()
	const each = 50
	s := newStage(t, 2)
	for i, server := range s.servers {
		must(t, harness.Each(t.Context(), workers, each, createSecret(secretsOf(t, server), fmt.Sprintf("from-%d-", i+1)+"%03d")))
	}
	for i, server := range s.servers {
		before := s.subjects[i].ownCounts(t)
		expectSecrets(t, server, 2*each)
		// What its watch cache saw before is warm; what is left is one foreign seed.
		if calls := countSince(t, s.subjects[i], before); calls.Decrypt > decryptsPerSeed || calls.Encrypt != 0 {
			t.Errorf("node %d: reading the other's seed cost %+v", i+1, calls)
		}
		if total := serverCalls(t, server, "Decrypt"); total < 1 || total > decryptsPerSeed {
			t.Errorf("node %d: the API server counts %d Decrypts for one foreign seed", i+1, total)
		}
	}
	keys := s.keyCounts(t)
	if len(keys) != 1 {
		t.Fatalf("two nodes on one key version name it differently: %v", keys)
	}

	old := keyOf(t, s.rawSecrets(t)[0].Bytes)
	must(t, s.subjects[0].rotate())
	var named []string
	for i, server := range s.servers {
		named = append(named, s.awaitKey(t, server, old))
		must(t, harness.Each(t.Context(), workers, each, createSecret(secretsOf(t, server), fmt.Sprintf("later-%d-", i+1)+"%03d")))
	}
	if named[0] != named[1] {
		t.Fatalf("after the rotation the nodes name different keys: %v", named)
	}
	for _, server := range s.servers {
		expectSecrets(t, server, 4*each)
	}
}

func TestX17_ARewriteAfterARotationBringsEveryObjectToTheNewKeyOnce(t *testing.T) {
	t.Parallel()
	const count = 300
	s := newStage(t, 1)
	server, plugin := s.servers[0], s.subjects[0]
	secrets := secretsOf(t, server)
	must(t, harness.Each(t.Context(), workers, count, createSecret(secrets, "secret-%03d")))
	backup := s.rawSecrets(t)
	old := keyOf(t, backup[0].Bytes)

	must(t, plugin.rotate())
	current := s.awaitKey(t, server, old)
	expectSecrets(t, server, count)
	if keys := s.keyCounts(t); keys[old] != count {
		t.Fatalf("a rotation alone must rewrite nothing: %v", keys)
	}

	if n := must1[int](t)(harness.RewriteSecrets(t.Context(), secrets, workers)); n != count {
		t.Fatalf("%d Secrets were rewritten", n)
	}
	expectWrites(t, s.rawSecrets(t), 2)
	if keys := s.keyCounts(t); keys[current] != count || len(keys) != 1 {
		t.Fatalf("after the rewrite etcd holds %v, all under %s were expected", keys, current)
	}
	// Nothing is stale any more, so the same again stores nothing.
	must1[int](t)(harness.RewriteSecrets(t.Context(), secrets, workers))
	expectWrites(t, s.rawSecrets(t), 2)
	expectRetired(t, plugin, old, current)

	// A restored backup brings old values back; they must open, also for an API
	// server and a plugin that have just started.
	for _, value := range backup[:count/2] {
		must(t, s.etcd.Put(t.Context(), value.Key, value.Bytes))
	}
	plugin.kill()
	must(t, plugin.start())
	must(t, plugin.ready())
	must(t, server.Restart(t.Context()))
	must(t, server.Ready(t.Context(), 30*time.Second))
	expectSecrets(t, server, count)
	if keys := s.keyCounts(t); keys[old] != count/2 || keys[current] != count-count/2 {
		t.Fatalf("after the restore etcd holds %v", keys)
	}
	got := must1[*corev1.Secret](t)(secretsOf(t, server).Get(t.Context(), "secret-000", metav1.GetOptions{}))
	if string(got.Data["value"]) != valueOf("secret-000") {
		t.Fatalf("the restored Secret holds %q", got.Data["value"])
	}
}

func expectWrites(t *testing.T, values []harness.Value, want int64) {
	t.Helper()
	for _, value := range values {
		if value.Version != want {
			t.Fatalf("%s was written %d times, want %d", value.Key, value.Version, want)
		}
	}
}

// expectRetired looks into the provider's registry file.
func expectRetired(t *testing.T, s *subject, old, current string) {
	t.Helper()
	if s.node == nil {
		return
	}
	registry := must1[harness.Registry](t)(s.node.Registry())
	if registry.State(1) != "retired" || registry.State(2) != "active" {
		t.Fatalf("the registry holds %+v", registry.Snapshots)
	}
	if registry.ActiveKeyID != current {
		t.Errorf("the registry's active key_id is %s, etcd has %s", registry.ActiveKeyID, current)
	}
	for _, record := range registry.Snapshots {
		if record.Version == 1 && record.KeyID != old {
			t.Errorf("version 1 is %s in the registry, etcd had %s", record.KeyID, old)
		}
	}
}
