// Command faultplugin serves a KMS v2 plugin that misbehaves on request.
//
// Its control endpoint (plain HTTP, loopback only) takes
//
//	POST /mode/<mode>   change the behaviour (see -help for the modes)
//	POST /rotate        make a new key
//	GET  /counts        calls so far, as JSON
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"bao-kms-provider/conformance/faultplugin"
)

func main() {
	socket := flag.String("socket", "", "path of the KMS socket, at most 107 bytes")
	state := flag.String("state", "", "file that keeps the keys")
	control := flag.String("control", "127.0.0.1:0", "loopback address of the control endpoint")
	mode := flag.String("mode", string(faultplugin.Well), fmt.Sprintf("behaviour at the start, one of %q", faultplugin.Modes))
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, *socket, *state, *control, faultplugin.Mode(*mode))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "faultplugin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, socket, state, control string, mode faultplugin.Mode) error {
	if socket == "" || state == "" {
		return errors.New("-socket and -state are required")
	}
	listener, err := loopback(control)
	if err != nil {
		return err
	}
	plugin, err := faultplugin.Start(socket, state)
	if err != nil {
		return err
	}
	defer plugin.Stop()
	if err := plugin.SetMode(mode); err != nil {
		return err
	}
	fmt.Printf("faultplugin: a test plugin, no key is safe with it; socket %s, control http://%s\n", socket, listener.Addr())

	server := &http.Server{Handler: handler(plugin), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case <-ctx.Done():
		return server.Close()
	case err := <-failed:
		return err
	}
}

func loopback(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("control address %s: only a loopback address is allowed", address)
	}
	return net.Listen("tcp", address)
}

func handler(plugin *faultplugin.Plugin) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /mode/{mode}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, plugin.SetMode(faultplugin.Mode(r.PathValue("mode"))))
	})
	mux.HandleFunc("POST /rotate", func(w http.ResponseWriter, _ *http.Request) { answer(w, plugin.Rotate()) })
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(plugin.Counts())
	})
	return mux
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
