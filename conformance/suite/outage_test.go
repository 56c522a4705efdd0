package suite

import (
	"strings"
	"testing"
	"time"

	"bao-kms-provider/conformance/faultplugin"
	"bao-kms-provider/conformance/realclient"
)

// seedLife is how long the API server writes with a seed after the last good Status.
const seedLife = 3 * time.Minute

func TestX05_AnAPIServerThatStartsBeforeThePluginRecoversByItself(t *testing.T) {
	eachSubject(t, func(t *testing.T, s *subject) {
		entry := s.entry(t, "")
		entry.Timeout = time.Second
		all := objects(t, 5)
		sealAll(t, s.load(t, secrets(entry)), all)
		s.kill()

		began := time.Now()
		client := s.load(t, secrets(entry))
		if took := time.Since(began); took > 3*entry.Timeout {
			t.Errorf("loading took %s with a timeout of %s", took, entry.Timeout)
		}
		if client.Check() == nil {
			t.Error("the health check is content without a plugin")
		}
		if _, err := client.Seal("secrets", "/registry/a", []byte("x")); err == nil {
			t.Error("a write worked without a plugin")
		}
		if _, _, err := client.Open("secrets", all[0].key, all[0].stored); err == nil {
			t.Error("a read worked without a plugin")
		}

		must(t, s.start())
		awaitVerdict(t, "writes to work again", func() bool {
			_, err := client.Seal("secrets", "/registry/a", []byte("x"))
			return err == nil
		})
		openAll(t, client, all, false)
		must(t, client.Check())
	}, canBeKilled)
}

func TestX06_WithoutThePluginWritesEndAfterThreeMinutesAndCachedReadsDoNot(t *testing.T) {
	eachSubject(t, func(t *testing.T, s *subject) {
		entry := s.entry(t, "")
		clock, restore := realclient.NewClock(entry.Name)
		defer restore()
		client := s.load(t, secrets(entry))
		all := objects(t, 5)
		sealAll(t, client, all)
		s.kill()

		clock.Set(2 * time.Minute)
		sealAll(t, client, objects(t, 5))
		clock.Set(seedLife + time.Second)
		expectExpired(t, client)
		openAll(t, client, all, false)
	}, canBeKilled)
}

// expectExpired holds when writes are refused because the seed is too old.
func expectExpired(t *testing.T, client *realclient.Client) {
	t.Helper()
	_, err := client.Seal("secrets", "/registry/late", []byte("x"))
	if err == nil || !strings.Contains(err.Error(), "expired") {
		t.Fatalf("a write after the seed's end gives %v", err)
	}
}

// This is kubernetes#138950. When it fails because writes end, the API server has
// been mended, and the rule "unhealthy means an empty key_id" may be relaxed.
func TestX07_BadHealthWithTheSameKeyKeepsWritesGoingForEver(t *testing.T) {
	t.Parallel()
	s, mode := faulty(t)
	entry := s.entry(t, "")
	clock, restore := realclient.NewClock(entry.Name)
	defer restore()
	client := s.load(t, secrets(entry))
	all := objects(t, 5)
	sealAll(t, client, all)

	mode(faultplugin.BadHealthSameKey)
	for minutes := range 5 {
		// Each look at the sick plugin extends the seed, however late it is.
		clock.Set(time.Duration(2*minutes+2) * time.Minute)
		before := client.Calls().Status
		awaitVerdict(t, "another Status", func() bool { return client.Check() != nil && client.Calls().Status > before })
		sealAll(t, client, all)
	}
	if clock.Set(10*time.Minute + seedLife - 5*time.Second); client.Calls().Encrypt != 1 {
		t.Fatalf("the seed was changed: %+v", client.Calls())
	}
	sealAll(t, client, all)
	openAll(t, client, all, false)
}

func TestX08_AnEmptyKeyIDEndsWritesAfterThreeMinutesAndReadsGoOn(t *testing.T) {
	eachSubject(t, func(t *testing.T, s *subject) {
		entry := s.entry(t, "")
		clock, restore := realclient.NewClock(entry.Name)
		defer restore()
		earlier := objects(t, 5)
		sealAll(t, s.load(t, secrets(entry)), earlier)
		client := s.load(t, secrets(entry))
		all := objects(t, 5)
		sealAll(t, client, all)

		must(t, s.failClosed())
		clock.Set(2 * time.Minute)
		awaitVerdict(t, "the health check to see it", func() bool { return client.Check() != nil })
		// The bad answer did not extend anything, which is where X07 goes wrong.
		sealAll(t, client, objects(t, 1))
		clock.Set(seedLife + time.Second)
		expectExpired(t, client)
		openAll(t, client, all, false)
		// Not in any cache of this client: the plugin still decrypts.
		openAll(t, client, earlier, false)

		must(t, s.heal())
		awaitVerdict(t, "the health check to recover", func() bool { return client.Check() == nil })
		sealAll(t, client, objects(t, 1))
	}, canFailClosed)
}

func TestX09_AnEncryptUnderAnotherKeyIDIsThrownAwayAndTheOldSeedStays(t *testing.T) {
	t.Parallel()
	s, mode := faulty(t)
	client := s.load(t, secrets(s.entry(t, "")))
	all := objects(t, 5)
	sealAll(t, client, all)

	mode(faultplugin.MismatchedEncrypt)
	must(t, s.rotate())
	awaitVerdict(t, "the health check to turn red", func() bool { return client.Check() != nil })
	fresh := objects(t, 5)
	sealAll(t, client, fresh)
	if keyOf(t, fresh[0].stored) != keyOf(t, all[0].stored) {
		t.Fatal("the answer with a foreign key_id was used")
	}
	openAll(t, client, all, false)

	mode(faultplugin.Well)
	awaitVerdict(t, "the health check to recover", func() bool { return client.Check() == nil })
	openAll(t, client, all, true)
}

func TestX10_AChangedVersionIsAFaultUntilTheNextStart(t *testing.T) {
	t.Parallel()
	s, mode := faulty(t)
	entry := s.entry(t, "")
	mode(faultplugin.OldVersion)
	client := s.load(t, secrets(entry))
	must(t, client.Check())

	mode(faultplugin.Well)
	awaitVerdict(t, "the health check to turn red", func() bool { return client.Check() != nil })
	if err := client.Check(); !strings.Contains(err.Error(), "version should not change") {
		t.Fatalf("the check says: %v", err)
	}
	must(t, s.load(t, secrets(entry)).Check())
}
