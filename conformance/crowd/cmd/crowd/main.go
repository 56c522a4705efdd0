// Command crowd plays scenes on a KMS v2 socket: one order per line of standard input,
// one outcome per line of standard output, both JSON. It ends with its input.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"bao-kms-provider/conformance/crowd"
)

func main() {
	socket := flag.String("socket", "", "path of the KMS socket")
	deadline := flag.Duration("deadline", 3*time.Second, "of each call, as `timeout` in an EncryptionConfiguration")
	version := flag.Bool("version", false, "print the version of grpc-go in this build")
	flag.Parse()
	if *version {
		fmt.Println(crowd.GRPC)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := play(ctx, *socket, *deadline); err != nil {
		fmt.Fprintln(os.Stderr, "crowd:", err)
		os.Exit(1)
	}
}

func play(ctx context.Context, socket string, deadline time.Duration) error {
	if socket == "" {
		return errors.New("-socket is missing")
	}
	gathered, err := crowd.Gather(socket, deadline)
	if err != nil {
		return err
	}
	orders, outcomes := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var order crowd.Order
		if err := orders.Decode(&order); errors.Is(err, io.EOF) {
			return gathered.Close()
		} else if err != nil {
			return fmt.Errorf("an order: %w", err)
		}
		outcome, err := gathered.Play(ctx, order)
		if err != nil {
			return fmt.Errorf("scene %s: %w", order.Scene, err)
		}
		if err := outcomes.Encode(outcome); err != nil {
			return err
		}
	}
}
