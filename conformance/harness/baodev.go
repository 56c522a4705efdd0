package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// BaoDev is the development OpenBao.
type BaoDev struct {
	// Dir holds its files, the provider's config.yaml among them.
	Dir     string
	control string
	process *Process
}

// StartBaoDev returns when it has written its files and its control endpoint answers.
func (r *Rig) StartBaoDev(ctx context.Context, name string) (*BaoDev, error) {
	return r.StartBaoDevOf(ctx, name, BaoDevBinary)
}

// StartBaoDevOf starts another build of it.
func (r *Rig) StartBaoDevOf(ctx context.Context, name string, binary Binary) (*BaoDev, error) {
	dev := &BaoDev{Dir: filepath.Join(r.Dir, name)}
	if err := os.Mkdir(dev.Dir, 0o700); err != nil {
		return nil, err
	}
	// Each provider gets a socket and a state of its own; these only keep bao-dev from
	// making the folders of its defaults.
	process, err := r.Start(name, binary, "up", "--dir", dev.Dir,
		"--socket", filepath.Join(r.RunDir, "unused.sock"), "--state", filepath.Join(dev.Dir, "unused.json"))
	if err != nil {
		return nil, err
	}
	dev.process = process
	err = Wait(ctx, name+" to be up", startLimit, func(ctx context.Context) error {
		if err := process.died(); err != nil {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dev.Dir, "bao-dev.json"))
		if err != nil {
			return err
		}
		var about struct {
			Control string `json:"control"`
		}
		if err := json.Unmarshal(text, &about); err != nil {
			return err
		}
		dev.control = about.Control
		return dev.Control(ctx, http.MethodGet, "/control/status", nil, nil)
	})
	if err != nil {
		return nil, err
	}
	return dev, nil
}

// Control sends one request to the control endpoint; out may be nil.
func (d *BaoDev) Control(ctx context.Context, method, path string, body, out any) error {
	var payload bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&payload).Encode(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, d.control+path, &payload)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	status, answer, err := send(http.DefaultClient, request, "")
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("bao-dev %s %s: %d: %s", method, path, status, firstLine(answer))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// Rotate makes a new version of the Transit key and gives its number.
func (d *BaoDev) Rotate(ctx context.Context) (int, error) {
	var answer struct {
		LatestVersion int `json:"latest_version"`
	}
	err := d.Control(ctx, http.MethodPost, "/control/rotate", map[string]any{}, &answer)
	return answer.LatestVersion, err
}

// AllowUpsert changes a mount setting that the provider must never accept.
func (d *BaoDev) AllowUpsert(ctx context.Context, allowed bool) error {
	return d.Control(ctx, http.MethodPost, "/control/upsert", map[string]any{"allowed": allowed}, nil)
}

// Asked is how often OpenBao was asked for an operation since the last
// [BaoDev.ResetCounts]: in so many requests, for so many items of their batches.
func (d *BaoDev) Asked(ctx context.Context, operation string) (requests, items int, err error) {
	var journal struct {
		Requests []struct {
			Operation string `json:"operation"`
			Items     int    `json:"items"`
		} `json:"requests"`
	}
	if err := d.Control(ctx, http.MethodGet, "/control/requests", nil, &journal); err != nil {
		return 0, 0, err
	}
	for _, request := range journal.Requests {
		if request.Operation == operation {
			requests, items = requests+1, items+request.Items
		}
	}
	return requests, items, nil
}

// ResetCounts starts the counts of requests anew.
func (d *BaoDev) ResetCounts(ctx context.Context) error {
	return d.Control(ctx, http.MethodPost, "/control/counts/reset", map[string]any{}, nil)
}

// Delay makes every request whose path matches wait so long, until [BaoDev.Heal].
func (d *BaoDev) Delay(ctx context.Context, path string, wait time.Duration) error {
	return d.Control(ctx, http.MethodPost, "/control/faults", map[string]any{
		"match":  map[string]any{"path": path},
		"action": map[string]any{"kind": "delay", "ms": wait.Milliseconds()},
	}, nil)
}

// Heal removes every fault.
func (d *BaoDev) Heal(ctx context.Context) error {
	return d.Control(ctx, http.MethodDelete, "/control/faults", nil, nil)
}
