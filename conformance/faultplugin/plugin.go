// Package faultplugin is a small KMS v2 plugin that keeps its keys in a file and
// misbehaves on request. It shows what the API server does with answers that a
// good plugin never gives, and it is the control subject of the conformance cases:
// a case that fails against the well-behaved faultplugin is a fault of the case.
package faultplugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	kmsapi "k8s.io/kms/apis/v2"
)

// Mode is the way in which the plugin misbehaves.
type Mode string

const (
	// Well is no fault at all.
	Well Mode = "well"
	// BadHealthSameKey says unhealthy and goes on naming its key_id (kubernetes#138950).
	BadHealthSameKey Mode = "bad-health-same-key"
	// NoKey says unhealthy with an empty key_id: the fail-closed answer.
	NoKey Mode = "no-key"
	// MismatchedEncrypt answers Encrypt with another key_id than Status.
	MismatchedEncrypt Mode = "mismatched-encrypt"
	// OldVersion answers Status with version v2beta1.
	OldVersion Mode = "v2beta1"
)

// Modes are all of them, for command lines.
var Modes = []Mode{Well, BadHealthSameKey, NoKey, MismatchedEncrypt, OldVersion}

// Counts are the calls since Start, whatever their result.
type Counts struct{ Status, Encrypt, Decrypt int }

// Plugin is one listening plugin.
type Plugin struct {
	kmsapi.UnimplementedKeyManagementServiceServer

	socket, file string
	server       *grpc.Server
	served       chan struct{}

	mu     sync.Mutex
	state  *state
	mode   Mode
	counts Counts
}

// Start listens on socket (an existing socket file is replaced) and serves until
// Stop. The keys are those in file, which is made when it does not exist.
func Start(socket, file string) (*Plugin, error) {
	loaded, err := loadState(file)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	plugin := &Plugin{
		socket: socket, file: file, state: loaded, mode: Well,
		server: grpc.NewServer(), served: make(chan struct{}),
	}
	kmsapi.RegisterKeyManagementServiceServer(plugin.server, plugin)
	go func() {
		defer close(plugin.served)
		// Serve returns when Stop closes the listener; there is nobody to tell.
		_ = plugin.server.Serve(listener)
	}()
	return plugin, nil
}

// Stop cuts all connections, as a killed process would, and waits for the end.
func (p *Plugin) Stop() {
	p.server.Stop()
	<-p.served
}

// SetMode changes the behaviour from the next call on.
func (p *Plugin) SetMode(mode Mode) error {
	for _, known := range Modes {
		if mode == known {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.mode = mode
			return nil
		}
	}
	return fmt.Errorf("unknown mode %q, known are %q", mode, Modes)
}

// Rotate makes a new key; the older ones go on decrypting.
func (p *Plugin) Rotate() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.rotate(p.file)
}

// KeyID is the one that Status names.
func (p *Plugin) KeyID() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.active().ID
}

// Counts are the calls so far.
func (p *Plugin) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

// Status answers from memory.
func (p *Plugin) Status(context.Context, *kmsapi.StatusRequest) (*kmsapi.StatusResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Status++
	answer := &kmsapi.StatusResponse{Version: "v2", Healthz: "ok", KeyId: p.state.active().ID}
	switch p.mode {
	case BadHealthSameKey:
		answer.Healthz = "the key is gone, and yet here is its name"
	case NoKey:
		answer.Healthz, answer.KeyId = "unhealthy", ""
	case OldVersion:
		answer.Version = "v2beta1"
	}
	return answer, nil
}

// Encrypt seals with the newest key.
func (p *Plugin) Encrypt(_ context.Context, request *kmsapi.EncryptRequest) (*kmsapi.EncryptResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Encrypt++
	if p.mode == NoKey {
		return nil, status.Error(codes.FailedPrecondition, "no active key")
	}
	active := p.state.active()
	ciphertext, err := active.seal(request.Plaintext)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	answer := &kmsapi.EncryptResponse{
		Ciphertext:  ciphertext,
		KeyId:       active.ID,
		Annotations: map[string][]byte{"plugin.faults.example.com": []byte("1")},
	}
	if p.mode == MismatchedEncrypt {
		answer.KeyId += "-of-somebody-else"
	}
	return answer, nil
}

// Decrypt opens with the key that the caller names.
func (p *Plugin) Decrypt(_ context.Context, request *kmsapi.DecryptRequest) (*kmsapi.DecryptResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Decrypt++
	named, ok := p.state.byID(request.KeyId)
	if !ok {
		return nil, status.Error(codes.NotFound, "unknown key_id")
	}
	plaintext, err := named.open(request.Ciphertext)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, "the ciphertext does not belong to the key_id")
	}
	return &kmsapi.DecryptResponse{Plaintext: plaintext}, nil
}
