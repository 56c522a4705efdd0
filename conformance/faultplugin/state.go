package faultplugin

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// state is everything that has to outlive the process: all keys ever made, oldest
// first. The last one encrypts.
type state struct {
	Keys []key `json:"keys"`
}

type key struct {
	ID       string `json:"id"`
	Material []byte `json:"material"`
}

// loadState reads the file, or makes the first key when there is none.
func loadState(path string) (*state, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		first := &state{}
		return first, first.rotate(path)
	}
	if err != nil {
		return nil, err
	}
	loaded := &state{}
	if err := json.Unmarshal(text, loaded); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(loaded.Keys) == 0 {
		return nil, fmt.Errorf("%s: no keys", path)
	}
	return loaded, nil
}

// rotate adds a key and saves before it is used.
func (s *state) rotate(path string) error {
	material := make([]byte, 32)
	if _, err := rand.Read(material); err != nil {
		return err
	}
	id := fmt.Sprintf("faultplugin-key-%d", len(s.Keys)+1)
	s.Keys = append(s.Keys, key{ID: id, Material: material})
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".part", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}

func (s *state) active() key { return s.Keys[len(s.Keys)-1] }

func (s *state) byID(id string) (key, bool) {
	for _, candidate := range s.Keys {
		if candidate.ID == id {
			return candidate, true
		}
	}
	return key{}, false
}

// seal is AES-256-GCM with the key's name as associated data.
func (k key) seal(plaintext []byte) ([]byte, error) {
	gcm, err := k.gcm()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, gcm.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return gcm.Seal(nonce, nonce, plaintext, []byte(k.ID)), nil
}

func (k key) open(ciphertext []byte) ([]byte, error) {
	gcm, err := k.gcm()
	if err != nil {
		return nil, err
	}
	if len(ciphertext) < gcm.NonceSize() {
		return nil, errors.New("the ciphertext is shorter than a nonce")
	}
	return gcm.Open(nil, ciphertext[:gcm.NonceSize()], ciphertext[gcm.NonceSize():], []byte(k.ID))
}

func (k key) gcm() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.Material)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
