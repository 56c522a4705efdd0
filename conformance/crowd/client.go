package crowd

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	kmsapi "k8s.io/kms/apis/v2"
)

// GRPC is the version of the client library in this build.
const GRPC = grpc.Version

// Client is one API server's connection to its plugin.
type Client struct {
	// Deadline of each call, as `timeout` in an EncryptionConfiguration.
	Deadline time.Duration

	kms        kmsapi.KeyManagementServiceClient
	connection *grpc.ClientConn
	dials      atomic.Int64
}

// Sealed is a seed and what Encrypt made of it.
type Sealed struct {
	Seed        []byte            `json:"seed"`
	Ciphertext  []byte            `json:"ciphertext"`
	KeyID       string            `json:"key_id"`
	Annotations map[string][]byte `json:"annotations"`
}

// Dial makes a client with the options of the API server. It does not connect: the
// first call does.
func Dial(socket string, deadline time.Duration) (*Client, error) {
	client := &Client{Deadline: deadline}
	connection, err := grpc.Dial(socket, // as the API server does, whatever is newer
		grpc.WithAuthority("localhost"),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			client.dials.Add(1)
			return net.DialUnix("unix", nil, &net.UnixAddr{Name: socket})
		}),
	)
	if err != nil {
		return nil, err
	}
	client.connection, client.kms = connection, kmsapi.NewKeyManagementServiceClient(connection)
	return client, nil
}

// Close ends the connection and whatever is under way on it.
func (c *Client) Close() error { return c.connection.Close() }

// Dials is how often a connection was tried so far: 1 while the first one lives.
func (c *Client) Dials() int { return int(c.dials.Load()) }

// Status asks once and is nil for a healthy answer.
func (c *Client) Status(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Deadline)
	defer cancel()
	answer, err := c.kms.Status(ctx, &kmsapi.StatusRequest{})
	if err != nil {
		return err
	}
	if answer.Version != "v2" || answer.Healthz != "ok" || answer.KeyId == "" {
		return fmt.Errorf("Status says version %q, healthz %q, key_id %q", answer.Version, answer.Healthz, answer.KeyId)
	}
	return nil
}

// Encrypt wraps 32 random bytes.
func (c *Client) Encrypt(ctx context.Context) (*Sealed, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Deadline)
	defer cancel()
	seed := make([]byte, 32)
	_, _ = rand.Read(seed) // never fails
	answer, err := c.kms.Encrypt(ctx, &kmsapi.EncryptRequest{Plaintext: seed, Uid: rand.Text()})
	if err != nil {
		return nil, err
	}
	return &Sealed{seed, answer.Ciphertext, answer.KeyId, answer.Annotations}, nil
}

// errWrong is worse than any refusal.
var errWrong = errors.New("Decrypt gave other bytes than Encrypt was given")

// Decrypt unwraps and compares.
func (c *Client) Decrypt(ctx context.Context, sealed *Sealed) error {
	ctx, cancel := context.WithTimeout(ctx, c.Deadline)
	defer cancel()
	answer, err := c.kms.Decrypt(ctx, &kmsapi.DecryptRequest{
		Ciphertext: sealed.Ciphertext, Uid: rand.Text(), KeyId: sealed.KeyID, Annotations: sealed.Annotations,
	})
	if err != nil {
		return err
	}
	if !bytes.Equal(answer.Plaintext, sealed.Seed) {
		return errWrong
	}
	return nil
}

// spoiled is the same with another letter in the middle of its ciphertext: well
// formed, and nothing that the key opens.
func (s *Sealed) spoiled() *Sealed {
	copied := *s
	copied.Ciphertext = bytes.Clone(s.Ciphertext)
	middle := len(copied.Ciphertext) / 2
	if copied.Ciphertext[middle] == 'A' {
		copied.Ciphertext[middle] = 'B'
	} else {
		copied.Ciphertext[middle] = 'A'
	}
	return &copied
}
