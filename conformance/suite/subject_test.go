package suite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bao-kms-provider/conformance/faultplugin"
	"bao-kms-provider/conformance/harness"
)

// subject is a KMS v2 plugin under test. A nil power is one that it does not have.
type subject struct {
	rig    *harness.Rig
	socket string
	// kill is a power cut: no goodbye, the state stays.
	kill func()
	// start brings a killed one back with the same state; it does not wait for health.
	start func() error
	// ready waits until Status says ok.
	ready func() error
	// rotate returns when Status names another key_id.
	rotate func() error
	// failClosed makes the key unusable for certain; it returns when Status says so
	// with an empty key_id.
	failClosed func() error
	// heal ends what failClosed began.
	heal func() error
	// counts are the subject's own counters of the calls that it has answered.
	counts func() (faultplugin.Counts, error)
	// node is the process, where the subject is bao-kms-provider.
	node *harness.Provider
}

// eachSubject runs a case for every subject that has the powers asked for.
func eachSubject(t *testing.T, run func(*testing.T, *subject), powers ...func(*subject) bool) {
	makers := map[string]func(*testing.T) *subject{
		"the_provider":       provider,
		"the_control_plugin": control,
	}
	if os.Getenv("KMS_SOCKET") != "" {
		makers = map[string]func(*testing.T) *subject{"the_socket_of_somebody_else": foreignSocket}
	}
	t.Parallel()
	for name, maker := range makers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := maker(t)
			for _, has := range powers {
				if !has(made) {
					t.Skip("this case does more than talk to the socket, which is all that can be done here")
				}
			}
			run(t, made)
		})
	}
}

func canBeKilled(s *subject) bool   { return s.kill != nil }
func canBeRotated(s *subject) bool  { return s.rotate != nil }
func canFailClosed(s *subject) bool { return s.failClosed != nil }

// foreignSocket is only talked to.
func foreignSocket(t *testing.T) *subject {
	t.Helper()
	return &subject{rig: newRig(t), socket: os.Getenv("KMS_SOCKET")}
}

// control is the faultplugin in its right mind, in this process.
func control(t *testing.T) *subject {
	t.Helper()
	s, _ := faulty(t)
	return s
}

// faulty is the faultplugin, with its switch for faults.
func faulty(t *testing.T) (*subject, func(faultplugin.Mode)) {
	t.Helper()
	rig := newRig(t)
	socket, keys := filepath.Join(rig.RunDir, "faults.sock"), filepath.Join(rig.Dir, "faults.json")
	plugin := must1[*faultplugin.Plugin](t)(faultplugin.Start(socket, keys))
	t.Cleanup(func() { plugin.Stop() })
	mode := func(mode faultplugin.Mode) { must(t, plugin.SetMode(mode)) }
	return &subject{
		rig: rig, socket: socket,
		kill: func() { plugin.Stop() },
		start: func() (err error) {
			plugin, err = faultplugin.Start(socket, keys)
			return err
		},
		ready:      func() error { return nil },
		rotate:     func() error { return plugin.Rotate() },
		failClosed: func() error { return plugin.SetMode(faultplugin.NoKey) },
		heal:       func() error { return plugin.SetMode(faultplugin.Well) },
		counts:     func() (faultplugin.Counts, error) { return plugin.Counts(), nil },
	}, mode
}

// provider is bao-kms-provider on a bao-dev of its own.
func provider(t *testing.T) *subject {
	t.Helper()
	return providers(t, 1)[0]
}

// providers share one Transit key and nothing else, as the nodes of a cluster do.
func providers(t *testing.T, n int) []*subject {
	t.Helper()
	rig := newRig(t)
	dev := must1[*harness.BaoDev](t)(rig.StartBaoDev(t.Context(), "bao-dev"))
	nodes := make([]*harness.Provider, n)
	all := make([]*subject, n)
	for i := range all {
		nodes[i] = must1[*harness.Provider](t)(
			rig.StartProvider(t.Context(), fmt.Sprintf("provider-%d", i+1), dev, harness.QuickProvider))
		all[i] = asSubject(t, rig, dev, nodes[i])
		all[i].rotate = func() error { return rotateNodes(t.Context(), dev, nodes) }
	}
	return all
}

func asSubject(t *testing.T, rig *harness.Rig, dev *harness.BaoDev, node *harness.Provider) *subject {
	t.Helper()
	return &subject{
		rig: rig, socket: node.Socket, node: node,
		kill:  node.Kill,
		start: node.Start,
		ready: func() error { return node.Ready(t.Context(), 30*time.Second) },
		failClosed: func() error {
			if err := dev.AllowUpsert(t.Context(), true); err != nil {
				return err
			}
			_, err := node.Unready(t.Context(), 15*time.Second)
			return err
		},
		heal: func() error {
			if err := dev.AllowUpsert(t.Context(), false); err != nil {
				return err
			}
			return node.Ready(t.Context(), 30*time.Second)
		},
		counts: func() (faultplugin.Counts, error) { return nodeCounts(t.Context(), node) },
	}
}

func rotateNodes(ctx context.Context, dev *harness.BaoDev, nodes []*harness.Provider) error {
	version, err := dev.Rotate(ctx)
	for _, node := range nodes {
		if err == nil {
			_, err = node.Promoted(ctx, version, 30*time.Second)
		}
	}
	return err
}

func nodeCounts(ctx context.Context, node *harness.Provider) (faultplugin.Counts, error) {
	status, err1 := node.Calls(ctx, "Status")
	encrypt, err2 := node.Calls(ctx, "Encrypt")
	decrypt, err3 := node.Calls(ctx, "Decrypt")
	return faultplugin.Counts{Status: status, Encrypt: encrypt, Decrypt: decrypt}, errors.Join(err1, err2, err3)
}
