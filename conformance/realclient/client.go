// Package realclient is the API server's own KMS v2 client without the API server:
// the transformers that it builds from an EncryptionConfiguration file, loaded in
// this process. One [Client] is what one start of an API server has: its own
// connections, seeds and caches.
package realclient

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2"
	kmsservice "k8s.io/kms/pkg/service"

	"bao-kms-provider/conformance/harness"
)

// Client is one load of one EncryptionConfiguration.
type Client struct {
	calls        *calls
	transformers encryptionconfig.StaticTransformers
	check        func(*http.Request) error
	cancel       context.CancelFunc
}

// Calls are the KMS calls that a client has sent, whatever came back.
type Calls struct{ Status, Encrypt, Decrypt int }

// Load is what an API server does at its start. It gives no error when a plugin is
// down; that shows in [Client.Check].
func Load(dir string, rules ...harness.Rule) (*Client, error) {
	file, err := os.CreateTemp(dir, "encryption-*.yaml")
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	if err := harness.WriteEncryptionConfig(file.Name(), rules...); err != nil {
		return nil, err
	}
	counted := &calls{}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), callsKey{}, counted))
	config, err := encryptionconfig.LoadEncryptionConfig(ctx, file.Name(), false, filepath.Base(file.Name()))
	if err != nil {
		cancel()
		return nil, err
	}
	client := &Client{calls: counted, transformers: config.Transformers, cancel: cancel}
	client.check = func(*http.Request) error { return nil }
	if len(config.HealthChecks) > 0 {
		client.check = config.HealthChecks[0].Check
	}
	return client, nil
}

// Close ends the client's connections and loops.
func (c *Client) Close() { c.cancel() }

// Seal is a write: the bytes that go to etcd under key.
func (c *Client) Seal(resource, key string, plaintext []byte) ([]byte, error) {
	return c.transformer(resource).TransformToStorage(context.Background(), plaintext, value.DefaultContext(key))
}

// Open is a read of what etcd holds under key. Stale means that a no-op update
// would rewrite the object.
func (c *Client) Open(resource, key string, stored []byte) (plaintext []byte, stale bool, err error) {
	return c.transformer(resource).TransformFromStorage(context.Background(), stored, value.DefaultContext(key))
}

// Check is what a request to /healthz/kms-providers does. A good answer is
// remembered for 20 s of real time, a bad one for 3 s, and nothing is sent meanwhile.
func (c *Client) Check() error {
	request, err := http.NewRequest(http.MethodGet, "http://localhost/healthz/kms-providers", nil)
	if err != nil {
		return err
	}
	return c.check(request)
}

// Calls are those so far.
func (c *Client) Calls() Calls {
	return Calls{
		Status:  int(c.calls.status.Load()),
		Encrypt: int(c.calls.encrypt.Load()),
		Decrypt: int(c.calls.decrypt.Load()),
	}
}

func (c *Client) transformer(resource string) value.Transformer {
	return c.transformers.TransformerForResource(schema.ParseGroupResource(resource))
}

// Clock is the API server's idea of the time for one entry of the configuration.
// It moves the expiry of the write seed and nothing else.
type Clock struct{ ahead atomic.Int64 }

// NewClock takes over the clock of the entry called name, for all its clients.
func NewClock(name string) (clock *Clock, restore func()) {
	clock = &Clock{}
	return clock, kmsv2.SetNowFuncForTests(name, func() time.Time {
		return time.Now().Add(time.Duration(clock.ahead.Load()))
	})
}

// Set puts the clock ahead of the real one.
func (c *Clock) Set(ahead time.Duration) { c.ahead.Store(int64(ahead)) }

type callsKey struct{}

type calls struct{ status, encrypt, decrypt atomic.Int64 }

// init wraps the only place where the library makes a KMS connection. The counters
// travel in the context, so that clients of one entry do not share them.
func init() {
	connect := encryptionconfig.EnvelopeKMSv2ServiceFactory
	encryptionconfig.EnvelopeKMSv2ServiceFactory = func(
		ctx context.Context, endpoint, name string, timeout time.Duration,
	) (kmsservice.Service, error) {
		service, err := connect(ctx, endpoint, name, timeout)
		if err != nil {
			return nil, fmt.Errorf("connect to %s: %w", endpoint, err)
		}
		if counted, ok := ctx.Value(callsKey{}).(*calls); ok {
			return counting{service, counted}, nil
		}
		return service, nil
	}
}

type counting struct {
	kmsservice.Service
	calls *calls
}

func (c counting) Status(ctx context.Context) (*kmsservice.StatusResponse, error) {
	c.calls.status.Add(1)
	return c.Service.Status(ctx)
}

func (c counting) Encrypt(ctx context.Context, uid string, data []byte) (*kmsservice.EncryptResponse, error) {
	c.calls.encrypt.Add(1)
	return c.Service.Encrypt(ctx, uid, data)
}

func (c counting) Decrypt(ctx context.Context, uid string, request *kmsservice.DecryptRequest) ([]byte, error) {
	c.calls.decrypt.Add(1)
	return c.Service.Decrypt(ctx, uid, request)
}
