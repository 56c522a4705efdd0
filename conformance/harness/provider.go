package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"
)

// ProviderSettings are the paces of one bao-kms-provider.
type ProviderSettings struct {
	ProbeInterval, DeepProbeInterval, MaxStaleness, ActivationDelay time.Duration
	StableObservations                                              int
	// RequestTimeout of one request to OpenBao; the default when zero.
	RequestTimeout time.Duration
	// Binary is the program; the usual one when zero.
	Binary Binary
}

// QuickProvider is for tests: a rotation takes about three seconds.
var QuickProvider = ProviderSettings{
	ProbeInterval:      time.Second,
	DeepProbeInterval:  5 * time.Second,
	MaxStaleness:       20 * time.Second,
	ActivationDelay:    time.Second,
	StableObservations: 2,
}

// Provider is one process of bao-kms-provider.
type Provider struct {
	// Socket is the KMS socket.
	Socket string
	// StatePath is the registry file.
	StatePath string

	rig             *Rig
	binary          Binary
	name            string
	config          string
	health, metrics string
	process         *Process
}

// StartProvider starts one on dev and waits until it is ready. It keeps its own
// state, so several may share one Transit key as the nodes of a cluster do.
func (r *Rig) StartProvider(ctx context.Context, name string, dev *BaoDev, settings ProviderSettings) (*Provider, error) {
	dir := filepath.Join(r.Dir, name)
	provider := &Provider{
		Socket:    filepath.Join(r.RunDir, name+".sock"),
		StatePath: filepath.Join(dir, "state", "key-registry.json"),
		rig:       r, binary: settings.Binary, name: name, config: filepath.Join(dir, "config.yaml"),
	}
	if provider.binary == (Binary{}) {
		provider.binary = ProviderBinary
	}
	if err := os.MkdirAll(filepath.Dir(provider.StatePath), 0o700); err != nil {
		return nil, err
	}
	var err error
	if provider.health, err = freeAddress(); err != nil {
		return nil, err
	}
	if provider.metrics, err = freeAddress(); err != nil {
		return nil, err
	}
	if err := provider.writeConfig(filepath.Join(dev.Dir, "config.yaml"), settings); err != nil {
		return nil, err
	}
	if err := provider.Start(); err != nil {
		return nil, err
	}
	return provider, provider.Ready(ctx, startLimit)
}

// writeConfig is the configuration that bao-dev made, with what is this provider's own.
func (p *Provider) writeConfig(template string, settings ProviderSettings) error {
	text, err := os.ReadFile(template)
	if err != nil {
		return err
	}
	config := map[string]any{}
	if err := yaml.Unmarshal(text, &config); err != nil {
		return fmt.Errorf("%s: %w", template, err)
	}
	if settings.RequestTimeout != 0 {
		if err := set(config, "openbao.timeout", settings.RequestTimeout.String()); err != nil {
			return fmt.Errorf("%s: %w", template, err)
		}
	}
	for path, value := range map[string]any{
		"server.socketPath":                      p.Socket,
		"server.socketGroup":                     fmt.Sprint(os.Getgid()),
		"server.healthAddress":                   p.health,
		"server.metricsAddress":                  p.metrics,
		"state.path":                             p.StatePath,
		"status.probeInterval":                   settings.ProbeInterval.String(),
		"status.deepProbeInterval":               settings.DeepProbeInterval.String(),
		"status.statusMaxStaleness":              settings.MaxStaleness.String(),
		"rotation.activationDelay":               settings.ActivationDelay.String(),
		"rotation.requireStableObservationCount": settings.StableObservations,
	} {
		if err := set(config, path, value); err != nil {
			return fmt.Errorf("%s: %w", template, err)
		}
	}
	if text, err = yaml.Marshal(config); err != nil {
		return err
	}
	return os.WriteFile(p.config, text, 0o600)
}

// set puts value at a dotted path, making the maps on the way.
func set(config map[string]any, path string, value any) error {
	head, rest, deeper := strings.Cut(path, ".")
	if !deeper {
		config[head] = value
		return nil
	}
	inner, ok := config[head].(map[string]any)
	if !ok {
		if config[head] != nil {
			return fmt.Errorf("%s is no map", head)
		}
		inner = map[string]any{}
		config[head] = inner
	}
	return set(inner, rest, value)
}

// Start runs the process, the first or another one. It does not wait.
func (p *Provider) Start() error {
	process, err := p.rig.Start(p.name, p.binary, "serve", "--config", p.config)
	if err != nil {
		return err
	}
	p.process = process
	return nil
}

// Kill is kill -9.
func (p *Provider) Kill() { p.process.Kill() }

// Stop is what systemd does; nil when the exit code is 0.
func (p *Provider) Stop() error {
	if err := p.process.Stop(stopLimit); err != nil {
		return err
	}
	if code := p.process.ExitCode(); code != 0 {
		return fmt.Errorf("%s stopped with exit code %d", p.name, code)
	}
	return nil
}

// Freeze stops the process where it is (SIGSTOP); Thaw lets it go on.
func (p *Provider) Freeze() { p.process.signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (p *Provider) Thaw() { p.process.signal(syscall.SIGCONT) }

// Footprint is what the process holds of the machine just now.
func (p *Provider) Footprint() (Footprint, error) { return footprint(p.process.Pid()) }

// LimitDescriptors lets the process open no more than so many files at once, beginning
// now; what is open stays open. It gives the limit before.
func (p *Provider) LimitDescriptors(limit uint64) (before uint64, err error) {
	var old unix.Rlimit
	pid := p.process.Pid()
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		return 0, fmt.Errorf("read the limit of open files of %s: %w", p.name, err)
	}
	wanted := unix.Rlimit{Cur: limit, Max: old.Max}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &wanted, nil); err != nil {
		return 0, fmt.Errorf("limit the open files of %s: %w", p.name, err)
	}
	return old.Cur, nil
}

// Restart kills it and waits until the next one is ready.
func (p *Provider) Restart(ctx context.Context) error {
	p.Kill()
	if err := p.Start(); err != nil {
		return err
	}
	return p.Ready(ctx, startLimit)
}

// Ready waits for /ready, which is true when Status would say ok.
func (p *Provider) Ready(ctx context.Context, limit time.Duration) error {
	return Wait(ctx, p.name+" to be ready", limit, func(ctx context.Context) error {
		if err := p.process.died(); err != nil {
			return err
		}
		return expectOK(ctx, http.DefaultClient, "http://"+p.health+"/ready", "")
	})
}

// Unready waits until the provider is up and would not say ok, and gives its reason.
func (p *Provider) Unready(ctx context.Context, limit time.Duration) (reason string, err error) {
	err = Wait(ctx, p.name+" to become unready", limit, func(ctx context.Context) error {
		if err := p.process.died(); err != nil {
			return err
		}
		status, body, err := fetch(ctx, http.DefaultClient, "http://"+p.health+"/ready", "")
		if err != nil {
			return err
		}
		if status == http.StatusOK {
			return errors.New("it is still ready")
		}
		reason = firstLine(body)
		return nil
	})
	return reason, err
}

// Metrics scrapes /metrics.
func (p *Provider) Metrics(ctx context.Context) (Samples, error) {
	return scrape(ctx, http.DefaultClient, "http://"+p.metrics+"/metrics", "")
}

// Calls is how many calls of a KMS method this process has answered, whatever the result.
func (p *Provider) Calls(ctx context.Context, method string) (int, error) {
	samples, err := p.Metrics(ctx)
	if err != nil {
		return 0, err
	}
	total := 0.0
	for _, sample := range samples {
		if sample.Name == "openbao_kms_grpc_requests_total" && strings.EqualFold(sample.Labels["method"], method) {
			total += sample.Value
		}
	}
	return int(total), nil
}

// Registry is what the state file says.
type Registry struct {
	Generation  uint64   `json:"generation"`
	ActiveKeyID string   `json:"activeKeyId"`
	Snapshots   []Record `json:"snapshots"`
}

// Record is one key version in the registry.
type Record struct {
	KeyID   string `json:"kubernetesKeyId"`
	Version int    `json:"transitVersion"`
	State   string `json:"state"`
}

// State is the record's state of a version, empty when there is no record.
func (r Registry) State(version int) string {
	for _, record := range r.Snapshots {
		if record.Version == version {
			return record.State
		}
	}
	return ""
}

// Registry reads the state file.
func (p *Provider) Registry() (Registry, error) {
	var registry Registry
	text, err := os.ReadFile(p.StatePath)
	if err != nil {
		return registry, err
	}
	if err := json.Unmarshal(text, &registry); err != nil {
		return registry, fmt.Errorf("%s: %w", p.StatePath, err)
	}
	return registry, nil
}

// Promoted waits until version is the active one.
func (p *Provider) Promoted(ctx context.Context, version int, limit time.Duration) (Registry, error) {
	var registry Registry
	err := Wait(ctx, fmt.Sprintf("%s to promote version %d", p.name, version), limit, func(context.Context) error {
		if err := p.process.died(); err != nil {
			return err
		}
		var err error
		if registry, err = p.Registry(); err != nil {
			return err
		}
		if state := registry.State(version); state != "active" {
			return fmt.Errorf("version %d is %q in the registry", version, state)
		}
		return nil
	})
	return registry, err
}
