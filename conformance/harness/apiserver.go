package harness

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// APIServer is one process of cmd/apiserver.
type APIServer struct {
	rig     *Rig
	name    string
	args    []string
	process *Process

	address string
	token   string
	caFile  string
	client  *http.Client
}

// StartAPIServer starts one on etcd with an EncryptionConfiguration file and waits
// for its port, not for its readiness: see [APIServer.Ready].
func (r *Rig) StartAPIServer(ctx context.Context, name string, etcd *Etcd, encryption string, extra ...string) (*APIServer, error) {
	dir := filepath.Join(r.Dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	server := &APIServer{rig: r, name: name, token: rand.Text(), caFile: filepath.Join(dir, "apiserver.crt")}
	tokens := filepath.Join(dir, "tokens.csv")
	if err := os.WriteFile(tokens, []byte(server.token+",admin,1,system:masters\n"), 0o600); err != nil {
		return nil, err
	}
	server.args = append([]string{
		"--etcd-servers=" + etcd.URL, "--etcd-prefix=/registry",
		"--encryption-provider-config=" + encryption,
		"--token-auth-file=" + tokens, "--cert-dir=" + dir,
		"--address-file=" + filepath.Join(dir, "address"),
	}, extra...)
	if err := server.start(ctx, "127.0.0.1:0"); err != nil {
		return nil, err
	}
	return server, nil
}

// start serves on address and learns the real one.
func (a *APIServer) start(ctx context.Context, address string) error {
	file := filepath.Join(filepath.Dir(a.caFile), "address")
	if err := os.RemoveAll(file); err != nil {
		return err
	}
	process, err := a.rig.Start(a.name, APIServerBinary, append([]string{"--listen=" + address}, a.args...)...)
	if err != nil {
		return err
	}
	a.process = process
	return Wait(ctx, a.name+" to serve", startLimit, func(ctx context.Context) error {
		if err := process.died(); err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		a.address = string(text)
		if a.client == nil {
			if a.client, err = rest.HTTPClientFor(a.config()); err != nil {
				a.client = nil
				return err
			}
		}
		// Any answer will do: an unready server says 500 and serves.
		_, _, err = fetch(ctx, a.client, a.URL()+"/readyz", a.token)
		return err
	})
}

// Restart kills the process and starts it again on the same address.
func (a *APIServer) Restart(ctx context.Context) error {
	a.Kill()
	return a.start(ctx, a.address)
}

// Kill is kill -9.
func (a *APIServer) Kill() { a.process.Kill() }

// URL is https on loopback.
func (a *APIServer) URL() string { return "https://" + a.address }

// Ready waits until /readyz says 200.
func (a *APIServer) Ready(ctx context.Context, limit time.Duration) error {
	return Wait(ctx, a.name+" to be ready", limit, func(ctx context.Context) error {
		if err := a.process.died(); err != nil {
			return err
		}
		return expectOK(ctx, a.client, a.URL()+"/readyz?verbose", a.token)
	})
}

// Healthy is nil when the API server is content with its KMS plugins.
func (a *APIServer) Healthy(ctx context.Context) error {
	return expectOK(ctx, a.client, a.URL()+"/healthz/kms-providers", a.token)
}

// Metrics scrapes /metrics.
func (a *APIServer) Metrics(ctx context.Context) (Samples, error) {
	return scrape(ctx, a.client, a.URL()+"/metrics", a.token)
}

// Secrets is the typed client; it does not limit its own rate.
func (a *APIServer) Secrets(namespace string) (corev1client.SecretInterface, error) {
	config := a.config()
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return client.Secrets(namespace), nil
}

// JSON sends body and decodes the answer into out (nil: drop it). An answer
// outside 2xx is an error with the server's words.
func (a *APIServer) JSON(ctx context.Context, method, path string, body, out any) error {
	var payload bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&payload).Encode(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, a.URL()+path, &payload)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	status, answer, err := send(a.client, request, a.token)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		return fmt.Errorf("%s %s: %d: %s", method, path, status, firstLine(answer))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

func (a *APIServer) config() *rest.Config {
	return &rest.Config{
		Host:            a.URL(),
		BearerToken:     a.token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: a.caFile},
		QPS:             -1,
		Timeout:         30 * time.Second,
	}
}
