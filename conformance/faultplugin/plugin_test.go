package faultplugin

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	kmsapi "k8s.io/kms/apis/v2"
)

func started(t *testing.T) *Plugin {
	t.Helper()
	dir, err := os.MkdirTemp("", "fp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	plugin, err := Start(filepath.Join(dir, "s"), filepath.Join(dir, "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plugin.Stop)
	return plugin
}

func encrypt(t *testing.T, plugin *Plugin, text string) *kmsapi.EncryptResponse {
	t.Helper()
	sealed, err := plugin.Encrypt(context.Background(), &kmsapi.EncryptRequest{Plaintext: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func decrypt(plugin *Plugin, sealed *kmsapi.EncryptResponse) (string, error) {
	opened, err := plugin.Decrypt(context.Background(),
		&kmsapi.DecryptRequest{Ciphertext: sealed.Ciphertext, KeyId: sealed.KeyId})
	return string(opened.GetPlaintext()), err
}

func TestKeysSurviveARestartAndARotation(t *testing.T) {
	plugin := started(t)
	sealed := encrypt(t, plugin, "before")
	if err := plugin.Rotate(); err != nil {
		t.Fatal(err)
	}
	plugin.Stop()

	again, err := Start(plugin.socket, plugin.file)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Stop()
	if again.KeyID() == sealed.KeyId {
		t.Fatalf("still on %s after a rotation", sealed.KeyId)
	}
	if text, err := decrypt(again, sealed); err != nil || text != "before" {
		t.Fatalf("got %q, %v", text, err)
	}
}

func TestACiphertextUnderAnotherKeysNameIsRefused(t *testing.T) {
	plugin := started(t)
	sealed := encrypt(t, plugin, "mine")
	if err := plugin.Rotate(); err != nil {
		t.Fatal(err)
	}
	sealed.KeyId = plugin.KeyID()
	if text, err := decrypt(plugin, sealed); err == nil {
		t.Fatalf("opened to %q", text)
	}
}

func TestEachModeShowsInTheAnswersAsItsNameSays(t *testing.T) {
	plugin := started(t)
	for mode, want := range map[Mode]struct{ version, healthz, encrypt string }{
		Well:              {"v2", "ok", "same"},
		BadHealthSameKey:  {"v2", "bad", "same"},
		MismatchedEncrypt: {"v2", "ok", "other"},
		OldVersion:        {"v2beta1", "ok", "same"},
	} {
		if err := plugin.SetMode(mode); err != nil {
			t.Fatal(err)
		}
		answer, err := plugin.Status(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Version != want.version || (answer.Healthz == "ok") != (want.healthz == "ok") || answer.KeyId == "" {
			t.Errorf("%s: status is %v", mode, answer)
		}
		if same := encrypt(t, plugin, "x").KeyId == answer.KeyId; same != (want.encrypt == "same") {
			t.Errorf("%s: Encrypt and Status agree on the key: %v", mode, same)
		}
	}
	if err := plugin.SetMode("sulking"); err == nil {
		t.Error("an unknown mode was accepted")
	}
}

func TestTheFailClosedModeNamesNoKeyAndStillDecrypts(t *testing.T) {
	plugin := started(t)
	sealed := encrypt(t, plugin, "kept")
	if err := plugin.SetMode(NoKey); err != nil {
		t.Fatal(err)
	}
	answer, err := plugin.Status(context.Background(), nil)
	if err != nil || answer.KeyId != "" || answer.Healthz == "ok" {
		t.Fatalf("status is %v, %v", answer, err)
	}
	if _, err := plugin.Encrypt(context.Background(), &kmsapi.EncryptRequest{Plaintext: []byte("x")}); err == nil {
		t.Fatal("Encrypt worked without a key")
	}
	if text, err := decrypt(plugin, sealed); err != nil || text != "kept" {
		t.Fatalf("got %q, %v", text, err)
	}
	if got, want := plugin.Counts(), (Counts{Status: 1, Encrypt: 2, Decrypt: 1}); got != want {
		t.Fatalf("counts are %+v, want %+v", got, want)
	}
}
