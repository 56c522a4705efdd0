package suite

import (
	"testing"
	"time"

	"bao-kms-provider/conformance/crowd"
	"bao-kms-provider/conformance/harness"
)

// apiServerDeadline is how long an API server waits for the answer to one call.
const apiServerDeadline = 3 * time.Second

// attempts of a scene, while others keep the processors from it.
const attempts = 3

// busyElsewhere is the share of the processors beyond which others may have made a scene late.
const busyElsewhere = 0.25

// TestACrowdGetsItsAnswersBeforeAnAPIServerGivesUp plays the largest crowds against an
// optimised build and with the deadline of an API server.
func TestACrowdGetsItsAnswersBeforeAnAPIServerGivesUp(t *testing.T) {
	rig := newRig(t)
	dev := must1[*harness.BaoDev](t)(rig.StartBaoDevOf(t.Context(), "bao-dev", harness.FastBaoDevBinary))
	settings := calm
	settings.RequestTimeout, settings.Binary = 0, harness.FastProviderBinary
	node := must1[*harness.Provider](t)(rig.StartProvider(t.Context(), "provider", dev, settings))
	to := target{dev, node}

	patient := ownCrowd(t, to)
	seeds := t.TempDir() + "/seeds.json"
	allGood(t, "seeds", patient(t, crowd.Order{Scene: "encrypt", Calls: 256, Rounds: 12}).Main, 12*256)
	patient(t, crowd.Order{Scene: "keep", File: seeds})
	hurried := crowdInAHurry(t, to, apiServerDeadline)
	hurried(t, crowd.Order{Scene: "recall", File: seeds})

	must(t, to.dev.Delay(t.Context(), decryptPath, 20*time.Millisecond))
	to.fairly(t, hurried, patient, "256 Encrypts at once", crowd.Order{Scene: "encrypt", Calls: 256})
	to.fairly(t, hurried, patient, "3,000 distinct Decrypts at once", crowd.Order{Scene: "decrypt", Calls: 3000})
}

// fairly plays a scene in which no call may fail. One that fails while others use the
// processors says nothing about the provider, and is played again.
func (to target) fairly(t *testing.T, play, patient player, what string, order crowd.Order) {
	t.Helper()
	for range attempts {
		before := must1[harness.Busy](t)(harness.BusyBeside(to.node, to.dev))
		outcome := play(t, order)
		after := must1[harness.Busy](t)(harness.BusyBeside(to.node, to.dev))
		others := after.Since(before)
		t.Logf("%s: slowest %d ms, others had %.0f %% of the processors", what, outcome.Main.Slowest, 100*others)
		oneConnection(t, what, outcome)
		if outcome.Main.Failed() == 0 || others < busyElsewhere {
			allGood(t, what, outcome.Main, order.Calls)
			return
		}
		t.Logf("%s: got %v, again: %s", what, outcome.Main.Codes, outcome.Main.FirstError)
	}
	t.Logf("%s: no verdict on their time, this machine is busy with something else", what)
	allGood(t, what, patient(t, order).Main, order.Calls)
}
