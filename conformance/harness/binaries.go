package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Binary is one program that the harness starts.
type Binary struct {
	// Name is how people call it.
	Name string
	// Env is the variable that names another file than the usual one.
	Env string
	// usual is the place, from the root of the repository.
	usual string
	// Build is the command that makes it, for the root of the repository.
	Build string
}

// The programs and where they are looked for.
var (
	BaoDevBinary = Binary{"bao-dev", "BAO_DEV_BIN", "target/debug/bao-dev",
		"cargo build -p bao-dev"}
	ProviderBinary = Binary{"bao-kms-provider", "PROVIDER_BIN", "target/debug/bao-kms-provider",
		"cargo build -p provider --bin bao-kms-provider"}
	// The same two built to be measured, for cases in which seconds count.
	FastBaoDevBinary = Binary{"bao-dev", "BAO_DEV_FAST_BIN", "target/cost/bao-dev",
		"cargo build --profile cost -p bao-dev"}
	FastProviderBinary = Binary{"bao-kms-provider", "PROVIDER_FAST_BIN", "target/cost/bao-kms-provider",
		"cargo build --profile cost -p provider --bin bao-kms-provider"}
	EtcdBinary = Binary{"etcd", "ETCD_BIN", "build/bin/etcd",
		"go -C conformance build -o ../build/bin/etcd go.etcd.io/etcd/server/v3"}
	APIServerBinary = Binary{"apiserver", "APISERVER_BIN", "build/bin/apiserver",
		"go -C conformance build -o ../build/bin/apiserver ./cmd/apiserver"}
	// Crowds of two lines of grpc-go; the one in between is linked into the tests.
	OldestCrowdBinary = Binary{"crowd-oldest", "CROWD_OLDEST_BIN", "build/bin/crowd-oldest",
		"go -C conformance/crowd build -o ../../build/bin/crowd-oldest ./cmd/crowd"}
	NewestCrowdBinary = Binary{"crowd-newest", "CROWD_NEWEST_BIN", "build/bin/crowd-newest",
		"go -C conformance/crowd build -modfile=newest.mod -o ../../build/bin/crowd-newest ./cmd/crowd"}
)

// MissingError says that a program is not there.
type MissingError struct {
	Binary Binary
	Path   string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("no %s at %s: build it (%s) or set %s", e.Binary.Name, e.Path, e.Binary.Build, e.Binary.Env)
}

// Path finds the program, or fails with a [MissingError].
func (b Binary) Path() (string, error) {
	path := os.Getenv(b.Env)
	if path == "" {
		root, err := repositoryRoot()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, b.usual)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return "", &MissingError{Binary: b, Path: path}
	}
	return path, nil
}

// repositoryRoot is the folder that holds conformance/go.mod, at or above the
// working directory.
func repositoryRoot() (string, error) {
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(at, "conformance", "go.mod")); err == nil {
			return at, nil
		}
		above := filepath.Dir(at)
		if above == at {
			return "", errors.New("this is not inside the repository: no conformance/go.mod at or above the working directory")
		}
		at = above
	}
}
