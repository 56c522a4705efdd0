package suite

import (
	"bytes"
	"testing"

	"bao-kms-provider/conformance/harness"
)

func TestX14_WithIdentityLastPlaintextIsReadAsStaleAndWritesAreEncrypted(t *testing.T) {
	eachSubject(t, func(t *testing.T, s *subject) {
		entry := s.entry(t, "")
		client := s.load(t, secrets(entry, harness.Identity))
		left := objects(t, 1)
		left[0].stored = left[0].plaintext
		openAll(t, client, left, true)

		sealAll(t, client, left)
		checkStored(t, left[0].stored, entry.Name)
		openAll(t, client, left, false)
	})
}

func TestX14_WithIdentityFirstCiphertextIsReadAsStaleAndWritesAreClear(t *testing.T) {
	eachSubject(t, func(t *testing.T, s *subject) {
		entry := s.entry(t, "")
		encrypted := objects(t, 1)
		sealAll(t, s.load(t, secrets(entry)), encrypted)

		client := s.load(t, secrets(harness.Identity, entry))
		openAll(t, client, encrypted, true)
		clear := objects(t, 1)
		sealAll(t, client, clear)
		if !bytes.Equal(clear[0].stored, clear[0].plaintext) {
			t.Fatal("the first entry is identity, and yet the value is not stored as it is")
		}
		openAll(t, client, clear, false)
	})
}

func TestX14_WithoutIdentityPlaintextIsRefused(t *testing.T) {
	eachSubject(t, func(t *testing.T, s *subject) {
		client := s.load(t, secrets(s.entry(t, "")))
		left := objects(t, 1)
		if got, _, err := client.Open("secrets", left[0].key, left[0].plaintext); err == nil {
			t.Fatalf("plaintext was accepted: %q", got)
		}
	})
}

func TestX14_AfterAMoveToANewPluginTheOldOnesObjectsAreReadAsStale(t *testing.T) {
	eachSubject(t, func(t *testing.T, s *subject) {
		predecessor, _ := faulty(t)
		old, new := predecessor.entry(t, "-old"), s.entry(t, "-new")
		all := objects(t, 5)
		sealAll(t, predecessor.load(t, secrets(old)), all)

		client := s.load(t, secrets(new, old))
		openAll(t, client, all, true)
		sealAll(t, client, all)
		for _, one := range all {
			checkStored(t, one.stored, new.Name)
		}
		openAll(t, client, all, false)

		// The last step of the move: the old plugin is gone, and nothing needs it.
		predecessor.kill()
		openAll(t, s.load(t, secrets(new)), all, false)
	})
}
