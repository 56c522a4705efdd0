package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bao-kms-provider/conformance/harness"
)

func (s *story) rotate() error {
	s.out.say("  key_id before: %s", s.oldKey)
	version, err := s.bao.Rotate(s.ctx)
	if err != nil {
		return err
	}
	stop := s.out.meanwhile("the provider waits until the new version is stable, and tries it")
	registry, err := s.provider.Promoted(s.ctx, version, readyLimit)
	stop()
	if err != nil {
		return err
	}
	s.newKey = registry.ActiveKeyID
	s.out.say("  key_id after:  %s", s.newKey)
	if s.newKey == s.oldKey {
		return fmt.Errorf("version %d has the key_id of the version before", version)
	}
	if state := registry.State(version - 1); state != "retired" {
		return fmt.Errorf("the registry calls version %d %q", version-1, state)
	}
	s.checked("the provider moved to version %d by itself and keeps version %d for reading", version, version-1)

	stop = s.out.meanwhile("the API server looks again every 20 s")
	err = s.serverUses(s.newKey)
	stop()
	if err != nil {
		return err
	}
	s.checked("the API server writes under the new key_id, without a restart")
	counts, total, err := s.perKeyID()
	if err != nil {
		return err
	}
	if counts[s.oldKey] != total {
		return fmt.Errorf("the rotation alone changed objects in etcd: %v", counts)
	}
	s.checked("in etcd: %s", s.perKey(counts))
	return nil
}

// serverUses waits until a Secret written now, in a namespace of its own, comes
// out under the key.
func (s *story) serverUses(key string) error {
	probes, err := s.server.Secrets("demo-probe")
	if err != nil {
		return err
	}
	return harness.Wait(s.ctx, "the API server to use the new key", 45*time.Second, func(ctx context.Context) error {
		if err := s.server.Healthy(ctx); err != nil {
			return err
		}
		if _, err := probes.Create(ctx, harness.NewSecret("probe", "x"), metav1.CreateOptions{}); err != nil {
			return err
		}
		raw, err := s.etcd.Get(ctx, harness.SecretKey("demo-probe", "probe"))
		if err != nil {
			return err
		}
		if err := probes.Delete(ctx, "probe", metav1.DeleteOptions{}); err != nil {
			return err
		}
		stored, err := harness.ParseStored(raw.Bytes)
		if err != nil {
			return err
		}
		if stored.Object.KeyID != key {
			return fmt.Errorf("it still uses %s", short(stored.Object.KeyID))
		}
		return nil
	})
}

func (s *story) rewrite() error {
	stop := s.out.meanwhile("sending every Secret back unchanged")
	rewritten, err := harness.RewriteSecrets(s.ctx, s.client, writers)
	stop()
	if err != nil {
		return err
	}
	counts, total, err := s.perKeyID()
	if err != nil {
		return err
	}
	if counts[s.newKey] != total || rewritten != total {
		return fmt.Errorf("of %d Secrets %d were rewritten, and etcd holds %v", total, rewritten, counts)
	}
	s.checked("in etcd: %s", s.perKey(counts))
	return s.readAll()
}

func (s *story) readCold() error {
	if err := s.provider.Restart(s.ctx); err != nil {
		return err
	}
	if err := s.server.Restart(s.ctx); err != nil {
		return err
	}
	if err := s.server.Ready(s.ctx, readyLimit); err != nil {
		return err
	}
	return s.readAll()
}
