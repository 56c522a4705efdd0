package suite

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"bao-kms-provider/conformance/harness"
	"bao-kms-provider/conformance/realclient"
)

// entry is a KMS entry for the subject. The name is unique in this process, where
// the API server's test clock is kept by name.
func (s *subject) entry(t *testing.T, suffix string) harness.Entry {
	t.Helper()
	name := strings.NewReplacer("/", "-", ":", "-").Replace(t.Name())
	return harness.Entry{Name: name + suffix, Socket: s.socket}
}

// secrets is the plain configuration: Secrets through one entry.
func secrets(entries ...harness.Entry) harness.Rule {
	return harness.Rule{Resources: []string{"secrets"}, Entries: entries}
}

// load is one start of an API server.
func (s *subject) load(t *testing.T, rules ...harness.Rule) *realclient.Client {
	t.Helper()
	client := must1[*realclient.Client](t)(realclient.Load(s.rig.Dir, rules...))
	t.Cleanup(client.Close)
	return client
}

// object is one Secret to be, with its place in etcd.
type object struct {
	key       string
	plaintext []byte
	stored    []byte
}

// objects makes n of them; the plaintext holds a word to look for.
func objects(t *testing.T, n int) []object {
	t.Helper()
	made := make([]object, n)
	for i := range made {
		made[i].key = fmt.Sprintf("/registry/secrets/%s/secret-%04d", strings.ReplaceAll(t.Name(), "/", "-"), i)
		made[i].plaintext = fmt.Appendf(nil, "%s number %d", plaintextMark, i)
	}
	return made
}

// plaintextMark is in every plaintext and must be in no stored value.
const plaintextMark = "correct horse battery staple"

// sealAll writes the objects.
func sealAll(t *testing.T, client *realclient.Client, all []object) {
	t.Helper()
	for i := range all {
		all[i].stored = must1[[]byte](t)(client.Seal("secrets", all[i].key, all[i].plaintext))
	}
}

// openAll reads them back and checks plaintext and staleness.
func openAll(t *testing.T, client *realclient.Client, all []object, wantStale bool) {
	t.Helper()
	for _, one := range all {
		plaintext, stale, err := client.Open("secrets", one.key, one.stored)
		if err != nil {
			t.Fatalf("%s: %v", one.key, err)
		}
		if !bytes.Equal(plaintext, one.plaintext) {
			t.Fatalf("%s: got %q, want %q", one.key, plaintext, one.plaintext)
		}
		if stale != wantStale {
			t.Fatalf("%s: stale is %v, want %v", one.key, stale, wantStale)
		}
	}
}

// checkStored holds a raw value against what must be true of each.
func checkStored(t *testing.T, value []byte, provider string) harness.Stored {
	t.Helper()
	if !bytes.HasPrefix(value, []byte("k8s:enc:kms:v2:"+provider+":")) {
		t.Fatalf("the raw value starts with %q", value[:min(len(value), 40)])
	}
	if bytes.Contains(value, []byte(plaintextMark)) {
		t.Fatal("the raw value contains the plaintext")
	}
	return must1[harness.Stored](t)(harness.ParseStored(value))
}

// keyOf is the key_id of a stored value.
func keyOf(t *testing.T, value []byte) string {
	t.Helper()
	return must1[harness.Stored](t)(harness.ParseStored(value)).Object.KeyID
}

func expectCalls(t *testing.T, client *realclient.Client, want realclient.Calls) {
	t.Helper()
	if got := client.Calls(); got != want {
		t.Fatalf("the client sent %+v, want %+v", got, want)
	}
}
