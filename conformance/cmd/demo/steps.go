package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bao-kms-provider/conformance/harness"
)

const (
	kmsName    = "openbao"
	readyLimit = 30 * time.Second
	writers    = 4
)

func (s *story) start() (err error) {
	if s.etcd, err = s.rig.StartEtcd(s.ctx, "etcd"); err != nil {
		return err
	}
	s.checked("etcd is up and empty")
	if s.bao, err = s.rig.StartBaoDev(s.ctx, "bao-dev"); err != nil {
		return err
	}
	s.checked("OpenBao (bao-dev, a stand-in for development) holds the key")
	if s.provider, err = s.rig.StartProvider(s.ctx, "provider", s.bao, harness.QuickProvider); err != nil {
		return err
	}
	s.checked("bao-kms-provider is logged in and ready")
	config := filepath.Join(s.rig.Dir, "encryption.yaml")
	err = harness.WriteEncryptionConfig(config, harness.Rule{
		Resources: []string{"secrets"},
		Entries:   []harness.Entry{{Name: kmsName, Socket: s.provider.Socket}},
	})
	if err != nil {
		return err
	}
	if s.server, err = s.rig.StartAPIServer(s.ctx, "apiserver", s.etcd, config); err != nil {
		return err
	}
	if err := s.server.Ready(s.ctx, readyLimit); err != nil {
		return err
	}
	if s.client, err = s.server.Secrets(namespace); err != nil {
		return err
	}
	s.checked("the API server is ready and content with its KMS plugin")
	return nil
}

func (s *story) create(format string) func(context.Context, int) error {
	return func(ctx context.Context, i int) error {
		name := fmt.Sprintf(format, i)
		_, err := s.client.Create(ctx, harness.NewSecret(name, valueOf(name)), metav1.CreateOptions{})
		return err
	}
}

func (s *story) write() error {
	stop := s.out.meanwhile("writing through the API server")
	err := harness.Each(s.ctx, writers, s.secrets, s.create("secret-%04d"))
	stop()
	if err != nil {
		return err
	}
	encrypts, err := s.provider.Calls(s.ctx, "Encrypt")
	if err != nil {
		return err
	}
	if encrypts != 1 {
		return fmt.Errorf("the provider counts %d Encrypt calls, one was expected", encrypts)
	}
	s.written = append(s.written, s.secrets)
	s.checked("%s Secrets written, for one Encrypt call to the provider", grouped(s.secrets))
	return s.readAll()
}

// readAll lists every Secret and compares its value.
func (s *story) readAll() error {
	items, err := harness.ListSecrets(s.ctx, s.client)
	if err != nil {
		return err
	}
	raw, err := s.raw()
	if err != nil {
		return err
	}
	if len(items) != len(raw) {
		return fmt.Errorf("the API server lists %d Secrets, etcd holds %d", len(items), len(raw))
	}
	total := 0
	for _, part := range s.written {
		total += part
	}
	if len(items) != total {
		return fmt.Errorf("the API server lists %d Secrets, %d were written%s", len(items), total, sum(s.written))
	}
	for _, item := range items {
		if string(item.Data["value"]) != valueOf(item.Name) {
			return fmt.Errorf("Secret %s came back with another value", item.Name)
		}
	}
	s.checked("all %s Secrets%s read back with the right value", grouped(len(items)), sum(s.written))
	return nil
}

// raw is every Secret as etcd holds it; each is checked.
func (s *story) raw() ([]harness.Value, error) {
	values, err := s.etcd.List(s.ctx, harness.SecretKey(namespace, ""))
	if err != nil {
		return nil, err
	}
	for _, value := range values {
		if bytes.Contains(value.Bytes, []byte(plaintextMark)) {
			return nil, fmt.Errorf("%s holds the plaintext", value.Key)
		}
		stored, err := harness.ParseStored(value.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", value.Key, err)
		}
		if stored.Provider != kmsName {
			return nil, fmt.Errorf("%s was encrypted by %q, not by %q", value.Key, stored.Provider, kmsName)
		}
	}
	return values, nil
}

// perKeyID counts the Secrets in etcd by the key that encrypted them.
func (s *story) perKeyID() (map[string]int, int, error) {
	values, err := s.raw()
	if err != nil {
		return nil, 0, err
	}
	counts, err := harness.KeyCounts(values)
	return counts, len(values), err
}

func (s *story) look() error {
	values, err := s.raw()
	if err != nil {
		return err
	}
	if len(values) != s.secrets {
		return fmt.Errorf("etcd holds %d Secrets", len(values))
	}
	s.out.say("  %s in etcd:", values[0].Key)
	s.out.raw(values[0].Bytes, 8)
	stored, err := harness.ParseStored(values[0].Bytes)
	if err != nil {
		return err
	}
	s.oldKey = stored.Object.KeyID
	s.checked("all %s values start with k8s:enc:kms:v2:%s: and none holds the plaintext", grouped(len(values)), kmsName)

	moved := harness.SecretKey(namespace, "moved")
	if err := s.etcd.Put(s.ctx, moved, values[0].Bytes); err != nil {
		return err
	}
	_, readErr := s.client.Get(s.ctx, "moved", metav1.GetOptions{})
	if err := s.etcd.Delete(s.ctx, moved); err != nil {
		return err
	}
	if readErr == nil {
		return errors.New("a value that was copied to another key in etcd was accepted")
	}
	s.checked("a value copied to another key in etcd is refused")
	return nil
}

func (s *story) killProvider() error {
	load := harness.StartLoad(s.ctx, writers, s.create("during-provider-%05d"))
	err := s.withLoad(load, func() error {
		s.provider.Kill()
		s.out.say("  kill -9: the provider is gone, writers go on")
		if err := load.More(s.ctx, 100); err != nil {
			return err
		}
		if err := s.provider.Start(); err != nil {
			return err
		}
		return s.provider.Ready(s.ctx, readyLimit)
	})
	done, failures, last := load.Stop()
	if err != nil {
		return err
	}
	if failures != 0 {
		return fmt.Errorf("%d of %d writes failed, the last with: %w", failures, done+failures, last)
	}
	values, err := s.etcd.List(s.ctx, harness.SecretKey(namespace, "during-provider-"))
	if err != nil {
		return err
	}
	if len(values) != done {
		return fmt.Errorf("%d writes were acknowledged, etcd holds %d", done, len(values))
	}
	s.written = append(s.written, done)
	s.checked("%s Secrets written meanwhile, not one refused", grouped(done))
	return s.readAll()
}

func (s *story) killServer() error {
	create := s.create("during-apiserver-%05d")
	load := harness.StartLoad(s.ctx, writers, func(ctx context.Context, i int) error {
		err := create(ctx, i)
		if err != nil {
			// The server is away: a client that hammers would only count higher.
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
		return err
	})
	err := s.withLoad(load, func() error {
		s.out.say("  kill -9: the API server is gone")
		if err := s.server.Restart(s.ctx); err != nil {
			return err
		}
		return s.server.Ready(s.ctx, readyLimit)
	})
	done, refused, _ := load.Stop()
	if err != nil {
		return err
	}
	values, err := s.etcd.List(s.ctx, harness.SecretKey(namespace, "during-apiserver-"))
	if err != nil {
		return err
	}
	if len(values) < done {
		return fmt.Errorf("%d writes were acknowledged, etcd holds %d", done, len(values))
	}
	s.written = append(s.written, len(values))
	s.checked("%s writes acknowledged before and after, none of them lost (%d refused in between)", grouped(done), refused)
	if unheard := len(values) - done; unheard > 0 {
		s.checked("%d more came into etcd, of which only the answers were lost with the API server", unheard)
	}
	return s.readAll()
}

// withLoad runs do while the load is under way before, in and after it. The load
// is stopped in any case.
func (s *story) withLoad(load *harness.Load, do func() error) error {
	if err := load.More(s.ctx, 50); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return load.More(s.ctx, 50)
}

// stop is the clean way: what a supervisor does.
func (s *story) stop() error {
	s.server.Kill()
	if err := s.provider.Stop(); err != nil {
		return err
	}
	if _, err := os.Lstat(s.provider.Socket); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is still there after a clean stop", s.provider.Socket)
	}
	s.checked("the provider let go of its socket and left with exit code 0")
	return nil
}
