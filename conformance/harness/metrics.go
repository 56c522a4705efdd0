package harness

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Sample is one line of a Prometheus text page.
type Sample struct {
	Name   string
	Labels map[string]string
	Value  float64
}

// Samples is one page.
type Samples []Sample

// Sum adds the samples of that name whose labels hold all pairs of want; a value
// that ends with * matches by its beginning.
func (s Samples) Sum(name string, want map[string]string) float64 {
	total := 0.0
	for _, sample := range s {
		if sample.Name == name && matches(sample.Labels, want) {
			total += sample.Value
		}
	}
	return total
}

func matches(labels, want map[string]string) bool {
	for name, value := range want {
		got := labels[name]
		if start, prefix := strings.CutSuffix(value, "*"); prefix {
			if !strings.HasPrefix(got, start) {
				return false
			}
		} else if got != value {
			return false
		}
	}
	return true
}

func scrape(ctx context.Context, client *http.Client, url, token string) (Samples, error) {
	status, body, err := fetch(ctx, client, url, token)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("%s says %d: %s", url, status, firstLine(body))
	}
	return parseMetrics(string(body))
}

// parseMetrics reads the Prometheus text format and OpenMetrics; comments and
// time stamps are dropped.
func parseMetrics(text string) (Samples, error) {
	var samples Samples
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		sample, err := parseSample(line)
		if err != nil {
			return nil, fmt.Errorf("metrics line %q: %w", line, err)
		}
		samples = append(samples, sample)
	}
	return samples, nil
}

func parseSample(line string) (Sample, error) {
	sample := Sample{Labels: map[string]string{}}
	at := strings.IndexAny(line, "{ ")
	if at <= 0 {
		return sample, fmt.Errorf("no name")
	}
	sample.Name = line[:at]
	rest := line[at:]
	if rest[0] == '{' {
		var err error
		if rest, err = parseLabels(rest[1:], sample.Labels); err != nil {
			return sample, err
		}
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return sample, fmt.Errorf("no value")
	}
	value, err := strconv.ParseFloat(fields[0], 64)
	sample.Value = value
	return sample, err
}

// parseLabels fills labels and gives what follows the closing brace.
func parseLabels(text string, labels map[string]string) (string, error) {
	for {
		text = strings.TrimLeft(text, ", ")
		if rest, done := strings.CutPrefix(text, "}"); done {
			return rest, nil
		}
		name, quoted, ok := strings.Cut(text, "=")
		if !ok {
			return "", fmt.Errorf("a label without a value")
		}
		literal, err := strconv.QuotedPrefix(quoted)
		if err != nil {
			return "", fmt.Errorf("label %s: %w", name, err)
		}
		value, err := strconv.Unquote(literal)
		if err != nil {
			return "", fmt.Errorf("label %s: %w", name, err)
		}
		labels[name] = value
		text = quoted[len(literal):]
	}
}
