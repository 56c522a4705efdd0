package suite

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"bao-kms-provider/conformance/faultplugin"
	"bao-kms-provider/conformance/harness"
)

const (
	namespace = "conformance"
	// kmsName is the entry's name in every EncryptionConfiguration of a stage.
	kmsName = "openbao"
	// workers write at once.
	workers = 6
)

// stage is one etcd and an API server for each subject.
type stage struct {
	etcd     *harness.Etcd
	subjects []*subject
	servers  []*harness.APIServer
}

// newStage starts as many nodes as asked for. They run with bao-kms-provider;
// CONFORMANCE_CONTROL=1 puts one control plugin under all of them instead, to try
// the cases themselves.
func newStage(t *testing.T, nodes int) *stage {
	t.Helper()
	if os.Getenv("KMS_SOCKET") != "" {
		t.Skip("KMS_SOCKET is set: only the cases on the transformers run")
	}
	made := &stage{}
	if os.Getenv("CONFORMANCE_CONTROL") == "1" {
		one := control(t)
		for range nodes {
			made.subjects = append(made.subjects, one)
		}
	} else {
		made.subjects = providers(t, nodes)
	}
	rig := made.subjects[0].rig
	made.etcd = must1[*harness.Etcd](t)(rig.StartEtcd(t.Context(), "etcd"))
	for i, s := range made.subjects {
		name := fmt.Sprintf("apiserver-%d", i+1)
		config := filepath.Join(rig.Dir, name+"-encryption.yaml")
		must(t, harness.WriteEncryptionConfig(config, harness.Rule{
			Resources: []string{"secrets", harness.WidgetResource},
			Entries:   []harness.Entry{{Name: kmsName, Socket: s.socket}},
		}))
		server := must1[*harness.APIServer](t)(rig.StartAPIServer(t.Context(), name, made.etcd, config))
		must(t, server.Ready(t.Context(), 30*time.Second))
		made.servers = append(made.servers, server)
	}
	return made
}

func secretsOf(t *testing.T, server *harness.APIServer) corev1client.SecretInterface {
	t.Helper()
	return must1[corev1client.SecretInterface](t)(server.Secrets(namespace))
}

// valueOf is what the Secret of that name holds.
func valueOf(name string) string { return plaintextMark + " of " + name }

func createSecret(secrets corev1client.SecretInterface, format string) func(context.Context, int) error {
	return func(ctx context.Context, i int) error {
		name := fmt.Sprintf(format, i)
		_, err := secrets.Create(ctx, harness.NewSecret(name, valueOf(name)), metav1.CreateOptions{})
		return err
	}
}

// expectSecrets lists and compares every value; it gives the list.
func expectSecrets(t *testing.T, server *harness.APIServer, want int) []corev1.Secret {
	t.Helper()
	items := must1[[]corev1.Secret](t)(harness.ListSecrets(t.Context(), secretsOf(t, server)))
	if len(items) != want {
		t.Fatalf("the list has %d Secrets, want %d", len(items), want)
	}
	for _, item := range items {
		if got := string(item.Data["value"]); got != valueOf(item.Name) {
			t.Fatalf("Secret %s holds %q", item.Name, got)
		}
	}
	return items
}

func expectWidgets(t *testing.T, server *harness.APIServer, want int) {
	t.Helper()
	items := must1[[]harness.Widget](t)(server.ListWidgets(t.Context(), namespace))
	if len(items) != want {
		t.Fatalf("the list has %d Widgets, want %d", len(items), want)
	}
	for _, item := range items {
		if item.Value != valueOf(item.Metadata.Name) {
			t.Fatalf("Widget %s holds %q", item.Metadata.Name, item.Value)
		}
	}
}

// rawSecrets are the values in etcd, each checked.
func (s *stage) rawSecrets(t *testing.T) []harness.Value {
	t.Helper()
	values := must1[[]harness.Value](t)(s.etcd.List(t.Context(), harness.SecretKey(namespace, "")))
	for _, value := range values {
		checkStored(t, value.Bytes, kmsName)
	}
	return values
}

// keyCounts is how many Secrets in etcd each key_id encrypted.
func (s *stage) keyCounts(t *testing.T) map[string]int {
	t.Helper()
	return must1[map[string]int](t)(harness.KeyCounts(s.rawSecrets(t)))
}

// awaitKey waits until the server writes under another key_id than old. It looks
// at what a Secret of its own becomes in etcd, and removes it again.
func (s *stage) awaitKey(t *testing.T, server *harness.APIServer, old string) (current string) {
	t.Helper()
	secrets := must1[corev1client.SecretInterface](t)(server.Secrets("probe"))
	awaitVerdict(t, "the API server to write under the new key", func() bool {
		// Asking for health makes the server ask the plugin, once its 20 s are over.
		_ = server.Healthy(t.Context())
		probe := harness.NewSecret("", "x")
		probe.GenerateName = "probe-"
		probe = must1[*corev1.Secret](t)(secrets.Create(t.Context(), probe, metav1.CreateOptions{}))
		raw := must1[harness.Value](t)(s.etcd.Get(t.Context(), harness.SecretKey("probe", probe.Name)))
		current = keyOf(t, raw.Bytes)
		must(t, secrets.Delete(t.Context(), probe.Name, metav1.DeleteOptions{}))
		return current != old
	})
	return current
}

// countSince is the difference of the subject's own counters.
func countSince(t *testing.T, s *subject, before faultplugin.Counts) faultplugin.Counts {
	t.Helper()
	now := s.ownCounts(t)
	return faultplugin.Counts{
		Status:  now.Status - before.Status,
		Encrypt: now.Encrypt - before.Encrypt,
		Decrypt: now.Decrypt - before.Decrypt,
	}
}

// serverCalls is the API server's own count of one KMS method.
func serverCalls(t *testing.T, server *harness.APIServer, method string) int {
	t.Helper()
	samples := must1[harness.Samples](t)(server.Metrics(t.Context()))
	return int(samples.Sum("apiserver_envelope_encryption_kms_operations_latency_seconds_count",
		map[string]string{"provider_name": kmsName, "method_name": "/v2.KeyManagementService/" + method}))
}

// expectRefused holds when the server answers a read of the Secret with an error
// of its storage.
func expectRefused(t *testing.T, server *harness.APIServer, name string) {
	t.Helper()
	err := server.JSON(t.Context(), http.MethodGet, "/api/v1/namespaces/"+namespace+"/secrets/"+name, nil, nil)
	if err == nil {
		t.Fatalf("Secret %s was read", name)
	}
	t.Logf("refused as it must be: %v", err)
}
