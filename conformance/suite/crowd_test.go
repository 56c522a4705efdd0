package suite

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bao-kms-provider/conformance/crowd"
	"bao-kms-provider/conformance/harness"
)

// calm is for cases that count requests to OpenBao: after the start no deep probe comes.
// They also keep every processor busy, so that nobody may be in a hurry.
var calm = harness.ProviderSettings{
	ProbeInterval:      time.Second,
	DeepProbeInterval:  10 * time.Minute,
	MaxStaleness:       time.Minute,
	ActivationDelay:    time.Second,
	StableObservations: 2,
	RequestTimeout:     crowdDeadline,
}

// crowdDeadline is not the API server's 3 s: here a debug build shares two processors
// with OpenBao's stand-in, thousands of callers and perhaps somebody's compiler, and the
// cases ask whether anything fails, not how long it takes.
const crowdDeadline = 30 * time.Second

// target is a provider with its OpenBao.
type target struct {
	dev  *harness.BaoDev
	node *harness.Provider
}

func newTarget(t *testing.T) target {
	t.Helper()
	rig := newRig(t)
	dev := must1[*harness.BaoDev](t)(rig.StartBaoDev(t.Context(), "bao-dev"))
	node := must1[*harness.Provider](t)(rig.StartProvider(t.Context(), "provider", dev, calm))
	return target{dev, node}
}

func (to target) footprint(t *testing.T) harness.Footprint {
	t.Helper()
	return must1[harness.Footprint](t)(to.node.Footprint())
}

// player plays scenes, in this process or in another.
type player func(t *testing.T, order crowd.Order) crowd.Outcome

// lines are the versions of grpc-go that the crowds speak.
func lines() map[string]func(*testing.T, target) player {
	return map[string]func(*testing.T, target) player{
		"oldest":  func(t *testing.T, to target) player { return foreignCrowd(t, to, harness.OldestCrowdBinary) },
		"current": ownCrowd,
		"newest":  func(t *testing.T, to target) player { return foreignCrowd(t, to, harness.NewestCrowdBinary) },
	}
}

// ownCrowd speaks the grpc-go of the Kubernetes line that this module is about.
func ownCrowd(t *testing.T, to target) player {
	t.Helper()
	return crowdInAHurry(t, to, crowdDeadline)
}

// crowdInAHurry is the same with another deadline for each call.
func crowdInAHurry(t *testing.T, to target, deadline time.Duration) player {
	t.Helper()
	gathered := must1[*crowd.Crowd](t)(crowd.Gather(to.node.Socket, deadline))
	t.Cleanup(func() { _ = gathered.Close() })
	return func(t *testing.T, order crowd.Order) crowd.Outcome {
		t.Helper()
		return must1[crowd.Outcome](t)(gathered.Play(t.Context(), order))
	}
}

// foreignCrowd is a program that was built with another one.
func foreignCrowd(t *testing.T, to target, binary harness.Binary) player {
	t.Helper()
	path := must1[string](t)(binary.Path())
	command := exec.CommandContext(t.Context(), path, "-socket", to.node.Socket, "-deadline", crowdDeadline.String())
	errors := &strings.Builder{}
	command.Stderr = errors
	stdin := must1[io.WriteCloser](t)(command.StdinPipe())
	stdout := must1[io.ReadCloser](t)(command.StdoutPipe())
	must(t, command.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait()
	})
	orders, outcomes := json.NewEncoder(stdin), json.NewDecoder(bufio.NewReader(stdout))
	return func(t *testing.T, order crowd.Order) crowd.Outcome {
		t.Helper()
		var outcome crowd.Outcome
		if err := orders.Encode(order); err != nil {
			t.Fatalf("%s: %v: %s", filepath.Base(path), err, errors)
		}
		if err := outcomes.Decode(&outcome); err != nil {
			t.Fatalf("%s: %v: %s", filepath.Base(path), err, errors)
		}
		return outcome
	}
}

// allGood fails the test unless every one of n calls was answered.
func allGood(t *testing.T, what string, got crowd.Tally, n int) {
	t.Helper()
	t.Logf("%s: %v, p99 %d ms, slowest %d ms", what, got.Codes, got.P99, got.Slowest)
	if got.Failed() != 0 || got.Calls() < n {
		t.Fatalf("%s: want %d answers and nothing else, got %v: %s", what, n, got.Codes, got.FirstError)
	}
}

// oneConnection fails the test when the client had to connect again.
func oneConnection(t *testing.T, what string, outcome crowd.Outcome) {
	t.Helper()
	if outcome.Dials != 1 {
		t.Fatalf("%s: %d connections were tried, the first should have lived", what, outcome.Dials)
	}
}

// TestCrowds plays every scene for each line of grpc-go, one after the other on one
// provider, and holds their outcomes against each other.
func TestCrowds(t *testing.T) {
	to := newTarget(t)
	seeds := filepath.Join(t.TempDir(), "seeds.json")
	prepare := ownCrowd(t, to)
	allGood(t, "Encrypts", prepare(t, crowd.Order{Scene: "encrypt", Calls: 256, Rounds: 12}).Main, 12*256)
	prepare(t, crowd.Order{Scene: "keep", File: seeds})

	shown := map[string]map[string]string{}
	for _, line := range []string{"oldest", "current", "newest"} {
		t.Run(line, func(t *testing.T) {
			play := lines()[line](t, to)
			play(t, crowd.Order{Scene: "recall", File: seeds})
			shown[line] = to.everyScene(t, play)
		})
	}
	if t.Failed() {
		return
	}
	for line, saw := range shown {
		if current := shown["current"]; !maps.Equal(saw, current) {
			t.Errorf("the %s line saw %v, the current one %v", line, saw, current)
		}
	}
}

// everyScene gives for each scene what must be the same for every client.
func (to target) everyScene(t *testing.T, play player) map[string]string {
	shown := map[string]string{}
	for _, scene := range []struct {
		name string
		run  func(*testing.T, player) crowd.Outcome
	}{
		{"T21_D12_3000_distinct_Decrypts_at_once", to.distinct},
		{"E16_256_Encrypts_at_once", to.encrypts},
		{"D11_1000_equal_Decrypts_are_one_for_OpenBao", to.equal},
		{"D14_a_leader_that_leaves_takes_nobody_along", to.leader},
		{"S15_Status_does_not_starve_beside_Decrypts", to.paced},
		{"T20_bursts_of_canceled_calls_hurt_no_innocent_one", to.bursts},
		{"D21_equal_bad_tuples_are_no_flood_for_OpenBao", to.spoiled},
		{"F12_clients_that_come_and_go_leave_nothing", to.churn},
	} {
		t.Run(scene.name, func(t *testing.T) {
			outcome := scene.run(t, play)
			oneConnection(t, scene.name, outcome)
			shown[scene.name] = verdict(outcome)
		})
	}
	return shown
}

// verdict is the part of an outcome that does not depend on how fast anything is:
// which codes there were.
func verdict(outcome crowd.Outcome) string {
	names := func(tally crowd.Tally) []string {
		found := []string{}
		for code := range tally.Codes {
			found = append(found, code)
		}
		slices.Sort(found)
		return found
	}
	main, beside := names(outcome.Main), names(outcome.Beside)
	if outcome.Main.Codes["DeadlineExceeded"] > 0 {
		// Whether a caller that leaves after 1 to 5 ms gets its answer is chance.
		main = []string{"left"}
	}
	return fmt.Sprint(main, beside, outcome.Dials)
}

func (to target) encrypts(t *testing.T, play player) crowd.Outcome {
	outcome := play(t, crowd.Order{Scene: "encrypt", Calls: 256})
	allGood(t, "Encrypts", outcome.Main, 256)
	return outcome
}

// distinct is a cold start over many seeds, with an OpenBao that is not next door.
func (to target) distinct(t *testing.T, play player) crowd.Outcome {
	must(t, to.dev.Delay(t.Context(), decryptPath, 20*time.Millisecond))
	must(t, to.dev.ResetCounts(t.Context()))
	outcome := play(t, crowd.Order{Scene: "decrypt", Calls: 3000})
	requests, items := to.asked(t)
	must(t, to.dev.Heal(t.Context()))
	allGood(t, "distinct Decrypts", outcome.Main, 3000)
	t.Logf("%d requests to OpenBao for %d items", requests, items)
	// Full batches would be 47. Four lanes that send one by one would take 15 s.
	if requests > 300 || items != 3000 {
		t.Fatalf("3000 distinct Decrypts made %d requests to OpenBao for %d items", requests, items)
	}
	return outcome
}

// decryptPath is the Transit decrypt of any key.
const decryptPath = "/v1/transit/decrypt/*"

// asked is how many Decrypt requests, and how many items in them, OpenBao got for callers who
// decrypt only. A call that failed before them may have the provider probe meanwhile: it has
// OpenBao encrypt something, and decrypt it.
func (to target) asked(t *testing.T) (requests, items int) {
	t.Helper()
	requests, items, err := to.dev.Asked(t.Context(), "decrypt")
	must(t, err)
	probes, _, err := to.dev.Asked(t.Context(), "encrypt")
	must(t, err)
	return requests - probes, items - probes
}

// slowly runs a scene while OpenBao takes its time for each Decrypt, and gives how many
// items it was asked to decrypt.
func (to target) slowly(t *testing.T, wait time.Duration, run func() crowd.Outcome) (crowd.Outcome, int) {
	t.Helper()
	must(t, to.dev.Delay(t.Context(), decryptPath, wait))
	must(t, to.dev.ResetCounts(t.Context()))
	outcome := run()
	_, items := to.asked(t)
	must(t, to.dev.Heal(t.Context()))
	return outcome, items
}

func (to target) equal(t *testing.T, play player) crowd.Outcome {
	outcome, items := to.slowly(t, 2500*time.Millisecond, func() crowd.Outcome {
		return play(t, crowd.Order{Scene: "equal", Calls: 1000})
	})
	allGood(t, "equal Decrypts", outcome.Main, 1000)
	if items != 1 {
		t.Fatalf("OpenBao was asked %d times for 1000 equal Decrypts", items)
	}
	return outcome
}

func (to target) leader(t *testing.T, play player) crowd.Outcome {
	outcome, items := to.slowly(t, 1500*time.Millisecond, func() crowd.Outcome {
		return play(t, crowd.Order{Scene: "leader", Calls: 100, Milliseconds: 250})
	})
	allGood(t, "followers", outcome.Main, 100)
	if outcome.Beside.Codes["Canceled"] != 1 {
		t.Fatalf("the leader was to be canceled: %v", outcome.Beside.Codes)
	}
	if items != 1 {
		t.Fatalf("OpenBao was asked %d times for one leader and 100 followers", items)
	}
	return outcome
}

func (to target) bursts(t *testing.T, play player) crowd.Outcome {
	outcome, _ := to.slowly(t, 10*time.Millisecond, func() crowd.Outcome {
		return play(t, crowd.Order{Scene: "bursts", Calls: 500, Rounds: 20, Callers: 20})
	})
	allGood(t, "innocent callers", outcome.Beside, 20)
	if left := outcome.Main.Codes["DeadlineExceeded"]; left < 1000 {
		t.Fatalf("too few callers left early to show anything: %v", outcome.Main.Codes)
	}
	if strange := outcome.Main.Calls() - outcome.Main.Codes["DeadlineExceeded"] - outcome.Main.Codes["OK"]; strange != 0 {
		t.Fatalf("callers that left early got %v: %s", outcome.Main.Codes, outcome.Main.FirstError)
	}
	return outcome
}

// paced asks for Status while each Decrypt takes OpenBao's while: a Status that waited
// for any of them would take as long. A machine that is short of processors delays both
// alike. CROWD_PACE=full is 1000 Decrypts and 200 Status a second and 50 ms, for a release
// build on a machine with nothing else to do.
func (to target) paced(t *testing.T, play player) crowd.Outcome {
	const seconds = 2
	decrypts, statuses, wait := 300, 100, 400*time.Millisecond
	full := os.Getenv("CROWD_PACE") == "full"
	if full {
		decrypts, statuses, wait = 1000, 200, 20*time.Millisecond
	}
	outcome, _ := to.slowly(t, wait, func() crowd.Outcome {
		return play(t, crowd.Order{
			Scene: "paced", Calls: seconds * decrypts, Callers: seconds * statuses, Milliseconds: seconds * 1000,
		})
	})
	allGood(t, "Decrypts", outcome.Beside, seconds*decrypts)
	allGood(t, "Status", outcome.Main, seconds*statuses)
	limit := max(int(wait.Milliseconds()), outcome.Beside.P99-int(wait.Milliseconds())/2)
	if full {
		limit = 50
	}
	if outcome.Main.P99 >= limit {
		t.Fatalf("p99 of Status is %d ms, that of Decrypt %d ms", outcome.Main.P99, outcome.Beside.P99)
	}
	return outcome
}

// spoiled is a third of the 10,000: every line sends the same bad tuple.
func (to target) spoiled(t *testing.T, play player) crowd.Outcome {
	const calls = 3400
	outcome, items := to.slowly(t, 5*time.Millisecond, func() crowd.Outcome {
		return play(t, crowd.Order{Scene: "spoiled", Calls: calls, Callers: 200})
	})
	t.Logf("%v, OpenBao was asked for %d", outcome.Main.Codes, items)
	if refused := outcome.Main.Codes["InvalidArgument"]; refused != calls {
		t.Fatalf("got %v: %s", outcome.Main.Codes, outcome.Main.FirstError)
	}
	allGood(t, "a good one after them", outcome.Beside, 1)
	if items > calls/5 {
		t.Fatalf("OpenBao was asked %d times for %d equal bad Decrypts", items, calls)
	}
	return outcome
}

func (to target) churn(t *testing.T, play player) crowd.Outcome {
	before := to.footprint(t)
	outcome := play(t, crowd.Order{Scene: "churn", Calls: 1700, Callers: 50})
	allGood(t, "clients that come and go", outcome.Main, 1700)
	to.givesBack(t, before)
	return outcome
}

// givesBack waits until the process has no more descriptors and threads than before.
func (to target) givesBack(t *testing.T, before harness.Footprint) {
	t.Helper()
	must(t, harness.Wait(t.Context(), "descriptors to be given back", 15*time.Second, to.holdsNoMoreThan(before)))
}

func (to target) holdsNoMoreThan(before harness.Footprint) func(context.Context) error {
	return func(context.Context) error {
		now, err := to.node.Footprint()
		if err != nil {
			return err
		}
		if now.Descriptors > before.Descriptors || now.Threads > before.Threads {
			return fmt.Errorf("%+v now, %+v before", now, before)
		}
		return nil
	}
}
