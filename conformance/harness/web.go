package harness

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxBody bounds what is read from anybody; the API server's metrics are the largest.
const maxBody = 16 << 20

// fetch gives status and body of a GET.
func fetch(ctx context.Context, client *http.Client, url, token string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	return send(client, request, token)
}

func send(client *http.Client, request *http.Request, token string) (int, []byte, error) {
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	return answer.StatusCode, body, err
}

// expectOK is nil for a 200.
func expectOK(ctx context.Context, client *http.Client, url, token string) error {
	status, body, err := fetch(ctx, client, url, token)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s says %d: %s", url, status, firstLine(body))
	}
	return nil
}

func firstLine(body []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if len(line) > 300 {
		line = line[:300] + "..."
	}
	return line
}
