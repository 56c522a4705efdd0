// Command apiserver is the smallest server that stores objects exactly as
// kube-apiserver does: the published generic API server with its etcd3 storage,
// watch cache and encryption at rest, serving custom resources (as
// apiextensions-apiserver does) and core Secrets under /api/v1.
//
// It has no RBAC, no admission and no namespaces: one static bearer token may do
// everything. It is a test instrument, never an API server for a cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	encryptioncontroller "k8s.io/apiserver/pkg/server/options/encryptionconfig/controller"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
)

// settings are the flags this server has besides those of the API server library.
type settings struct {
	tokenFile   string
	listen      string
	addressFile string
	corePrefix  string
	configPoll  time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "apiserver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var own settings
	server := newOptions()
	logging := logs.NewOptions()

	flags := pflag.NewFlagSet("apiserver", pflag.ContinueOnError)
	flags.StringVar(&own.tokenFile, "token-auth-file", "", "CSV file: token,user,uid,groups; one line is enough")
	flags.StringVar(&own.listen, "listen", "127.0.0.1:0", "loopback address to serve on; port 0 takes a free one")
	flags.StringVar(&own.addressFile, "address-file", "", "file that gets the address once the port is bound")
	flags.StringVar(&own.corePrefix, "core-etcd-prefix", "/registry", "etcd prefix of core Secrets")
	flags.DurationVar(&own.configPoll, "encryption-config-poll", encryptioncontroller.EncryptionConfigFileChangePollDuration,
		"how often the encryption configuration file is looked at when automatic reload is on")
	server.AddFlags(flags)
	logsapi.AddFlags(logging, flags)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return nil
		}
		return err
	}
	if err := logsapi.ValidateAndApply(logging, nil); err != nil {
		return err
	}
	encryptioncontroller.EncryptionConfigFileChangePollDuration = own.configPoll

	if err := own.bind(server); err != nil {
		return err
	}
	if err := server.ServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	if err := server.Complete(); err != nil {
		return err
	}
	if err := server.Validate(); err != nil {
		return err
	}
	prepared, err := build(server, own)
	if err != nil {
		return err
	}
	return prepared.RunWithContext(ctx)
}

// newOptions is the library's option set without everything that wants a core
// API server behind it.
func newOptions() *options.CustomResourceDefinitionsServerOptions {
	o := options.NewCustomResourceDefinitionsServerOptions(os.Stdout, os.Stderr)
	o.RecommendedOptions.Authentication = nil
	o.RecommendedOptions.Authorization = nil
	o.RecommendedOptions.CoreAPI = nil
	o.RecommendedOptions.Admission = nil
	o.RecommendedOptions.Features.EnablePriorityAndFairness = false
	return o
}

// bind takes the listening port before anything else starts, so that the port
// can be free-choice and is known to the parent as early as possible.
func (s settings) bind(o *options.CustomResourceDefinitionsServerOptions) error {
	host, _, err := net.SplitHostPort(s.listen)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", s.listen, err)
	}
	ip := net.ParseIP(host)
	if ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("--listen %s: only a loopback address is allowed", s.listen)
	}
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	o.RecommendedOptions.SecureServing.Listener = listener
	o.RecommendedOptions.SecureServing.BindAddress = ip
	o.RecommendedOptions.SecureServing.ExternalAddress = ip
	if s.addressFile == "" {
		return nil
	}
	part := s.addressFile + ".part"
	if err := os.WriteFile(part, []byte(listener.Addr().String()), 0o600); err != nil {
		return err
	}
	return os.Rename(part, filepath.Clean(s.addressFile))
}
