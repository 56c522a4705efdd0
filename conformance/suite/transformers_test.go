package suite

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"bao-kms-provider/conformance/faultplugin"
	"bao-kms-provider/conformance/harness"
	"bao-kms-provider/conformance/realclient"
)

func TestX01_AConfigurationLoadsFasterThanItsTimeoutAndIsHealthyAtOnce(t *testing.T) {
	eachSubject(t, func(t *testing.T, s *subject) {
		began := time.Now()
		client := s.load(t, secrets(s.entry(t, "")))
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("loading took %s", took)
		}
		must(t, client.Check())
		expectCalls(t, client, realclient.Calls{Status: 1, Encrypt: 1})
	})
}

func TestX02_AThousandObjectsCostOneEncryptAndAreLegalInEtcd(t *testing.T) {
	eachSubject(t, func(t *testing.T, s *subject) {
		etcd := must1[*harness.Etcd](t)(sharedEtcd())
		before := s.ownCounts(t)
		entry := s.entry(t, "")
		client := s.load(t, secrets(entry))
		all := objects(t, 1000)
		sealAll(t, client, all)
		for _, one := range all {
			must(t, etcd.Put(t.Context(), one.key, one.stored))
		}

		folder := all[0].key[:strings.LastIndex(all[0].key, "/")+1]
		raw := must1[[]harness.Value](t)(etcd.List(t.Context(), folder))
		if len(raw) != len(all) {
			t.Fatalf("etcd holds %d values", len(raw))
		}
		for i, value := range raw {
			stored := checkStored(t, value.Bytes, entry.Name)
			if overhead := len(stored.Object.KeyID) + len(stored.Object.EncryptedDEKSource); overhead > 512 {
				t.Fatalf("key_id and ciphertext cost %d bytes in every object", overhead)
			}
			all[i].stored = value.Bytes
		}
		openAll(t, client, all, false)
		expectCalls(t, client, realclient.Calls{Status: 1, Encrypt: 1})
		if after := s.ownCounts(t); after.Encrypt-before.Encrypt > 1 || after.Decrypt != before.Decrypt {
			t.Errorf("the subject counted %+v before and %+v after", before, after)
		}
	})
}

// ownCounts are zero for a subject that shows none.
func (s *subject) ownCounts(t *testing.T) faultplugin.Counts {
	t.Helper()
	if s.counts == nil {
		return faultplugin.Counts{}
	}
	return must1[faultplugin.Counts](t)(s.counts())
}

func TestX02_AValueMovedToAnotherEtcdKeyIsRefused(t *testing.T) {
	eachSubject(t, func(t *testing.T, s *subject) {
		client := s.load(t, secrets(s.entry(t, "")))
		all := objects(t, 2)
		sealAll(t, client, all)
		if plaintext, _, err := client.Open("secrets", all[0].key, all[1].stored); err == nil {
			t.Fatalf("the value of another key opened to %q", plaintext)
		}
		openAll(t, client, all, false)
	})
}

func TestX02_AFlippedBitAnywhereInAStoredValueIsRefused(t *testing.T) {
	eachSubject(t, func(t *testing.T, s *subject) {
		entry := s.entry(t, "")
		client := s.load(t, secrets(entry))
		all := objects(t, 1)
		sealAll(t, client, all)
		for at := len("k8s:enc:kms:v2:") + len(entry.Name); at < len(all[0].stored); at++ {
			bent := bytes.Clone(all[0].stored)
			bent[at] ^= 1
			if plaintext, _, err := client.Open("secrets", all[0].key, bent); err == nil && !bytes.Equal(plaintext, all[0].plaintext) {
				t.Fatalf("with byte %d changed it opens to %q", at, plaintext)
			}
		}
	})
}

func TestX03_ARestartReadsEverythingWithOneDecryptForEachSeed(t *testing.T) {
	eachSubject(t, func(t *testing.T, s *subject) {
		entry := s.entry(t, "")
		const seeds = 3
		all := objects(t, 20*seeds)
		for i := range seeds {
			sealAll(t, s.load(t, secrets(entry)), all[20*i:20*(i+1)])
		}
		before := s.ownCounts(t)
		restarted := s.load(t, secrets(entry))
		// Same key_id: nothing is stale.
		openAll(t, restarted, all, false)
		openAll(t, restarted, all, false)
		expectCalls(t, restarted, realclient.Calls{Status: 1, Encrypt: 1, Decrypt: seeds})
		if after := s.ownCounts(t); s.counts != nil && after.Decrypt-before.Decrypt != seeds {
			t.Errorf("the subject counted %d Decrypts for %d seeds", after.Decrypt-before.Decrypt, seeds)
		}
	})
}

func TestX04_AKeyChangedBetweenTwoStartsMakesOldObjectsStaleAndNewOnesNew(t *testing.T) {
	eachSubject(t, func(t *testing.T, s *subject) {
		entry := s.entry(t, "")
		all := objects(t, 20)
		sealAll(t, s.load(t, secrets(entry)), all)
		must(t, s.rotate())

		restarted := s.load(t, secrets(entry))
		openAll(t, restarted, all, true)
		fresh := objects(t, 20)
		sealAll(t, restarted, fresh)
		if keyOf(t, fresh[0].stored) == keyOf(t, all[0].stored) {
			t.Fatal("new writes carry the old key_id")
		}
		openAll(t, restarted, fresh, false)
		expectCalls(t, restarted, realclient.Calls{Status: 1, Encrypt: 1, Decrypt: 1})
	}, canBeRotated)
}

func TestX04_AKeyChangedUnderARunningServerIsTakenUpWithOneEncrypt(t *testing.T) {
	eachSubject(t, func(t *testing.T, s *subject) {
		client := s.load(t, secrets(s.entry(t, "")))
		all := objects(t, 20)
		sealAll(t, client, all)
		old := keyOf(t, all[0].stored)
		must(t, s.rotate())

		fresh := objects(t, 1)
		awaitVerdict(t, "the new key_id to be used", func() bool {
			must(t, client.Check())
			sealAll(t, client, fresh)
			return keyOf(t, fresh[0].stored) != old
		})
		openAll(t, client, all, true)
		openAll(t, client, fresh, false)
		calls := client.Calls()
		if calls.Encrypt != 2 || calls.Decrypt != 0 || calls.Status != 2 {
			t.Fatalf("the client sent %+v: one Status and one Encrypt for each key, and no Decrypt, were expected", calls)
		}
	}, canBeRotated)
}

// verdictLimit is longer than the 20 s for which a good Status is trusted.
const verdictLimit = 30 * time.Second

// awaitVerdict polls until the API server's code has looked again.
func awaitVerdict(t *testing.T, what string, seen func() bool) {
	t.Helper()
	deadline := time.Now().Add(verdictLimit)
	for !seen() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", verdictLimit, what)
		}
		select {
		case <-t.Context().Done():
			t.Fatal("interrupted")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func TestX13_TwoEntriesOnOneSocketHaveSeedsOfTheirOwn(t *testing.T) {
	eachSubject(t, func(t *testing.T, s *subject) {
		one, two := s.entry(t, "-one"), s.entry(t, "-two")
		client := s.load(t, secrets(one), harness.Rule{Resources: []string{"configmaps"}, Entries: []harness.Entry{two}})
		must(t, client.Check())
		expectCalls(t, client, realclient.Calls{Status: 2, Encrypt: 2})

		key, plaintext := "/registry/shared/name", []byte(plaintextMark)
		first := must1[[]byte](t)(client.Seal("secrets", key, plaintext))
		second := must1[[]byte](t)(client.Seal("configmaps", key, plaintext))
		a, b := checkStored(t, first, one.Name).Object, checkStored(t, second, two.Name).Object
		if bytes.Equal(a.EncryptedDEKSource, b.EncryptedDEKSource) {
			t.Error("both entries use one seed")
		}
		if a.KeyID != b.KeyID {
			t.Errorf("one plugin named two keys: %s and %s", a.KeyID, b.KeyID)
		}
		for resource, stored := range map[string][]byte{"secrets": first, "configmaps": second} {
			if got, stale, err := client.Open(resource, key, stored); err != nil || stale || !bytes.Equal(got, plaintext) {
				t.Errorf("%s: got %q, stale %v, %v", resource, got, stale, err)
			}
		}
		if _, _, err := client.Open("secrets", key, second); err == nil {
			t.Error("the entry of Secrets read a value of the other entry")
		}
	})
}
