package harness

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"
	storedv2 "k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2/v2"
)

func TestMetricsAreReadAsTheyAreWritten(t *testing.T) {
	samples, err := parseMetrics("# HELP calls all calls\n# TYPE calls counter\n" +
		"calls_total{method=\"Status\",status=\"OK\"} 3\n" +
		"calls_total{method=\"Status\",status=\"a \\\"b\\\", {c}\"} 4 1700000000\n" +
		"calls_total{method=\"Encrypt\"} 1e2\nup 1\n# EOF\n")
	if err != nil {
		t.Fatal(err)
	}
	for want, labels := range map[float64]map[string]string{
		107: nil,
		7:   {"method": "Status"},
		3:   {"method": "Status", "status": "OK"},
		4:   {"status": "a*"},
		100: {"method": "E*"},
	} {
		if got := samples.Sum("calls_total", labels); got != want {
			t.Errorf("%v: got %v, want %v", labels, got, want)
		}
	}
	if samples.Sum("up", nil) != 1 || samples.Sum("calls", nil) != 0 {
		t.Error("names are not compared as a whole")
	}
}

func FuzzMetricsNeverPanicAndNeverLoseAName(f *testing.F) {
	for _, seed := range []string{"a 1", "a{b=\"c\"} 2", "a{", "{} 1", "a{b=\"} 1", "a{b=\"c\",} 1 2", "a", "# x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		samples, err := parseMetrics(text)
		for _, sample := range samples {
			if err == nil && sample.Name == "" {
				t.Fatalf("%q gives a sample without a name", text)
			}
		}
	})
}

// stored is a value as the API server writes it.
func stored(t testing.TB, provider string, object *storedv2.EncryptedObject) []byte {
	t.Helper()
	envelope, err := proto.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte("k8s:enc:kms:v2:"+provider+":"), envelope...)
}

func legal() *storedv2.EncryptedObject {
	return &storedv2.EncryptedObject{
		EncryptedData: []byte("data: with a colon"), KeyID: "key-1", EncryptedDEKSource: []byte("seed"),
		Annotations:            map[string][]byte{"a.example.com": []byte("1")},
		EncryptedDEKSourceType: storedv2.EncryptedDEKSourceType_HKDF_SHA256_XNONCE_AES_GCM_SEED,
	}
}

func TestAStoredValueIsTakenApart(t *testing.T) {
	got, err := ParseStored(stored(t, "openbao", legal()))
	if err != nil {
		t.Fatal(err)
	}
	if got.Provider != "openbao" || !proto.Equal(got.Object, legal()) {
		t.Fatalf("got %+v", got)
	}
}

func TestAValueThatTheAPIServerWouldNotReadIsRefused(t *testing.T) {
	noKey, badAnnotation := legal(), legal()
	noKey.KeyID = ""
	badAnnotation.Annotations = map[string][]byte{"no/fqdn": nil}
	for name, value := range map[string][]byte{
		"plaintext":        []byte("k8s\x00secret"),
		"KMS v1":           []byte("k8s:enc:kms:v1:openbao:x"),
		"no name":          []byte("k8s:enc:kms:v2::x"),
		"no colon":         []byte("k8s:enc:kms:v2:openbao"),
		"no protobuf":      []byte("k8s:enc:kms:v2:openbao:\xff\xff"),
		"empty envelope":   []byte("k8s:enc:kms:v2:openbao:"),
		"no key_id":        stored(t, "openbao", noKey),
		"annotation names": stored(t, "openbao", badAnnotation),
		"nothing":          nil,
	} {
		if got, err := ParseStored(value); err == nil {
			t.Errorf("%s: accepted as %+v", name, got)
		}
	}
}

func FuzzStoredValuesNeverPanic(f *testing.F) {
	f.Add(stored(f, "openbao", legal()))
	f.Add([]byte("k8s:enc:kms:v2:a:b"))
	f.Fuzz(func(t *testing.T, value []byte) {
		if got, err := ParseStored(value); err == nil && !bytes.HasPrefix(value, []byte("k8s:enc:kms:v2:"+got.Provider+":")) {
			t.Fatalf("the provider %q is not in the value", got.Provider)
		}
	})
}

func TestKeysAreCounted(t *testing.T) {
	other := legal()
	other.KeyID = "key-2"
	counts, err := KeyCounts([]Value{
		{Key: "a", Bytes: stored(t, "p", legal())}, {Key: "b", Bytes: stored(t, "p", other)}, {Key: "c", Bytes: stored(t, "p", legal())},
	})
	if err != nil || !maps.Equal(counts, map[string]int{"key-1": 2, "key-2": 1}) {
		t.Fatalf("got %v, %v", counts, err)
	}
	if _, err := KeyCounts([]Value{{Key: "a", Bytes: []byte("clear")}}); err == nil {
		t.Fatal("a value in clear was counted")
	}
}

func TestAnEncryptionConfigurationIsWrittenAsTheAPIServerExpects(t *testing.T) {
	path := filepath.Join(t.TempDir(), "encryption.yaml")
	err := WriteEncryptionConfig(path,
		Rule{Resources: []string{"secrets"}, Entries: []Entry{{Name: "one", Socket: "/run/a.sock"}, Identity}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources:
  - "secrets"
  providers:
  - kms:
      apiVersion: v2
      name: "one"
      endpoint: "unix:///run/a.sock"
      timeout: 3s
  - identity: {}
`
	if string(text) != want {
		t.Fatalf("got\n%s", text)
	}
}

func TestASettingIsPutAtItsPathAndNothingElseChanges(t *testing.T) {
	config := map[string]any{"server": map[string]any{"socketMode": "0660"}, "auth": "x"}
	for path, value := range map[string]any{"server.socketPath": "/run/x", "state.path": "/y"} {
		if err := set(config, path, value); err != nil {
			t.Fatal(err)
		}
	}
	server := config["server"].(map[string]any)
	if server["socketMode"] != "0660" || server["socketPath"] != "/run/x" || config["state"].(map[string]any)["path"] != "/y" {
		t.Fatalf("got %v", config)
	}
	if err := set(config, "auth.method", "jwt"); err == nil {
		t.Fatal("a scalar was replaced by a map")
	}
}
