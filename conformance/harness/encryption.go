package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Entry is one element of providers in an EncryptionConfiguration: a KMS v2
// plugin, or identity (no encryption) when Socket is empty.
type Entry struct {
	// Name becomes part of each stored value.
	Name string
	// Socket is the path of the plugin's socket.
	Socket string
	// Timeout of one call; 3 s, the API server's default, when zero.
	Timeout time.Duration
}

// Identity stores in clear.
var Identity = Entry{}

// Rule says which entries encrypt which resources; the first entry writes.
type Rule struct {
	Resources []string
	Entries   []Entry
}

// WriteEncryptionConfig writes an EncryptionConfiguration, replacing path in one step.
func WriteEncryptionConfig(path string, rules ...Rule) error {
	var text strings.Builder
	text.WriteString("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n")
	for _, rule := range rules {
		text.WriteString("- resources:\n")
		for _, resource := range rule.Resources {
			fmt.Fprintf(&text, "  - %q\n", resource)
		}
		text.WriteString("  providers:\n")
		for _, entry := range rule.Entries {
			entry.write(&text)
		}
	}
	part := filepath.Clean(path) + ".part"
	if err := os.WriteFile(part, []byte(text.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(part, path)
}

func (e Entry) write(text *strings.Builder) {
	if e.Socket == "" {
		text.WriteString("  - identity: {}\n")
		return
	}
	timeout := e.Timeout
	if timeout == 0 {
		timeout = 3 * time.Second
	}
	fmt.Fprintf(text, "  - kms:\n      apiVersion: v2\n      name: %q\n      endpoint: %q\n      timeout: %s\n",
		e.Name, "unix://"+e.Socket, timeout)
}
