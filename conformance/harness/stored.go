package harness

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2"
	storedv2 "k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2/v2"
)

// kmsPrefix starts every value that a KMS v2 entry encrypted.
const kmsPrefix = "k8s:enc:kms:v2:"

// Stored is a value as KMS v2 encryption leaves it in etcd.
type Stored struct {
	// Provider is the name from the EncryptionConfiguration.
	Provider string
	// Object is the envelope, valid by the API server's own rules.
	Object *storedv2.EncryptedObject
}

// ParseStored takes a raw etcd value apart and refuses one that the API server
// would not read back.
func ParseStored(value []byte) (Stored, error) {
	rest, ok := bytes.CutPrefix(value, []byte(kmsPrefix))
	if !ok {
		return Stored{}, fmt.Errorf("the value does not start with %s but with %q", kmsPrefix, value[:min(len(value), 24)])
	}
	name, envelope, ok := bytes.Cut(rest, []byte(":"))
	if !ok || len(name) == 0 {
		return Stored{}, errors.New("the value names no provider after its prefix")
	}
	object := &storedv2.EncryptedObject{}
	if err := proto.Unmarshal(envelope, object); err != nil {
		return Stored{}, fmt.Errorf("the envelope is no EncryptedObject: %w", err)
	}
	if err := kmsv2.ValidateEncryptedObject(object); err != nil {
		return Stored{}, fmt.Errorf("the envelope breaks the API server's rules: %w", err)
	}
	return Stored{Provider: string(name), Object: object}, nil
}

// KeyCounts says how many of the values each key_id encrypted.
func KeyCounts(values []Value) (map[string]int, error) {
	counts := map[string]int{}
	for _, value := range values {
		stored, err := ParseStored(value.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", value.Key, err)
		}
		counts[stored.Object.KeyID]++
	}
	return counts, nil
}
