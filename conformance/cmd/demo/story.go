package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"bao-kms-provider/conformance/harness"
)

// story is the demo with everything that its steps hand on to each other.
type story struct {
	ctx     context.Context
	out     *paper
	rig     *harness.Rig
	secrets int

	etcd     *harness.Etcd
	bao      *harness.BaoDev
	provider *harness.Provider
	server   *harness.APIServer
	client   corev1client.SecretInterface
	// oldKey and newKey are the key_ids before and after the rotation.
	oldKey, newKey string
	// written is how many Secrets each step left in etcd.
	written []int

	done []step
}

// step is one line of the final table.
type step struct {
	name  string
	took  time.Duration
	facts []string
}

const namespace = "demo"

// tell runs the steps; on an error it names the step.
func (s *story) tell() (failedAt string, err error) {
	s.out.say("%s", s.out.paint(bold, "bao-kms-provider: Kubernetes Secrets, encrypted in etcd with a key that stays in OpenBao"))
	chapters := []struct {
		title string
		name  string // in the table
		run   func() error
	}{
		{"Start etcd, OpenBao, the provider and an API server", "start everything", s.start},
		{"Write " + grouped(s.secrets) + " Secrets", "write Secrets", s.write},
		{"Look at what etcd holds", "look into etcd", s.look},
		{"Kill the provider under load and start it again", "kill the provider", s.killProvider},
		{"Kill the API server under load and start it again", "kill the API server", s.killServer},
		{"Rotate the key in OpenBao", "rotate the key", s.rotate},
		{"Restart provider and API server, read what the old key encrypted", "restart both", s.readCold},
		{"Rewrite every Secret under the new key", "rewrite all Secrets", s.rewrite},
		{"Stop everything", "stop everything", s.stop},
	}
	for number, chapter := range chapters {
		s.out.heading(number+1, len(chapters), chapter.title)
		s.done = append(s.done, step{name: chapter.name})
		began := time.Now()
		if err := chapter.run(); err != nil {
			return fmt.Sprintf("step %d, %q", number+1, chapter.title), err
		}
		s.done[number].took = time.Since(began)
	}
	return "", nil
}

// checked tells a fact that has just been made sure of.
func (s *story) checked(format string, arguments ...any) {
	fact := fmt.Sprintf(format, arguments...)
	s.out.checked(fact)
	last := &s.done[len(s.done)-1]
	last.facts = append(last.facts, fact)
}

// valueOf is what the Secret of that name holds.
func valueOf(name string) string { return plaintextMark + " of " + name }

// plaintextMark is in every Secret and must never be seen in etcd.
const plaintextMark = "correct horse battery staple"

// grouped writes 12345 as 12,345.
func grouped(n int) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// sum writes [1000 20] as "1,000 + 20", and one number as nothing.
func sum(numbers []int) string {
	if len(numbers) < 2 {
		return ""
	}
	parts := make([]string, len(numbers))
	for i, number := range numbers {
		parts[i] = grouped(number)
	}
	return " (" + strings.Join(parts, " + ") + ")"
}

// short is enough of a key_id to tell two apart.
func short(keyID string) string {
	if len(keyID) <= 16 {
		return keyID
	}
	return keyID[:16] + "..."
}

// perKey is "1,000 under obk2.xyz..., 3 under ...", the old key first.
func (s *story) perKey(counts map[string]int) string {
	var parts []string
	for _, key := range []string{s.oldKey, s.newKey} {
		if key != "" {
			parts = append(parts, fmt.Sprintf("%s under %s", grouped(counts[key]), short(key)))
		}
	}
	return strings.Join(parts, ", ")
}
