package harness

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const startLimit = 30 * time.Second

// Etcd is one single-member etcd with an empty store at the start.
type Etcd struct {
	// URL is the client address, http on loopback.
	URL     string
	process *Process
	client  *clientv3.Client
}

// Value is one key and value as etcd holds them. Version counts the writes of the
// key since it was made, 1 for the first.
type Value struct {
	Key     string
	Bytes   []byte
	Version int64
}

// StartEtcd returns when the member has a leader.
func (r *Rig) StartEtcd(ctx context.Context, name string) (*Etcd, error) {
	clients, err := freeAddress()
	if err != nil {
		return nil, err
	}
	peers, err := freeAddress()
	if err != nil {
		return nil, err
	}
	url, peerURL := "http://"+clients, "http://"+peers
	process, err := r.Start(name, EtcdBinary,
		"--name=one", "--data-dir="+filepath.Join(r.Dir, name),
		"--listen-client-urls="+url, "--advertise-client-urls="+url,
		"--listen-peer-urls="+peerURL, "--initial-advertise-peer-urls="+peerURL,
		"--initial-cluster=one="+peerURL,
		// The data is thrown away; a disk that is slow to sync tells nothing here.
		"--unsafe-no-fsync", "--log-level=warn")
	if err != nil {
		return nil, err
	}
	err = Wait(ctx, name+" to be healthy", startLimit, func(ctx context.Context) error {
		if err := process.died(); err != nil {
			return err
		}
		return expectOK(ctx, http.DefaultClient, url+"/health", "")
	})
	if err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{url}, DialTimeout: 5 * time.Second, Context: ctx, Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, err
	}
	return &Etcd{URL: url, process: process, client: client}, nil
}

// List is everything under prefix, in key order.
func (e *Etcd) List(ctx context.Context, prefix string) ([]Value, error) {
	var values []Value
	from, end := prefix, clientv3.GetPrefixRangeEnd(prefix)
	for {
		page, err := e.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(500),
			clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend))
		if err != nil {
			return nil, fmt.Errorf("list %s in etcd: %w", prefix, err)
		}
		for _, kv := range page.Kvs {
			values = append(values, Value{string(kv.Key), kv.Value, kv.Version})
		}
		if !page.More {
			return values, nil
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

// Get is one value; a missing key is an error.
func (e *Etcd) Get(ctx context.Context, key string) (Value, error) {
	answer, err := e.client.Get(ctx, key)
	if err != nil {
		return Value{}, fmt.Errorf("get %s from etcd: %w", key, err)
	}
	if len(answer.Kvs) == 0 {
		return Value{}, fmt.Errorf("etcd has no %s", key)
	}
	return Value{key, answer.Kvs[0].Value, answer.Kvs[0].Version}, nil
}

// Put writes behind the API server's back.
func (e *Etcd) Put(ctx context.Context, key string, bytes []byte) error {
	if _, err := e.client.Put(ctx, key, string(bytes)); err != nil {
		return fmt.Errorf("put %s into etcd: %w", key, err)
	}
	return nil
}

// Delete removes one key.
func (e *Etcd) Delete(ctx context.Context, key string) error {
	if _, err := e.client.Delete(ctx, key); err != nil {
		return fmt.Errorf("delete %s in etcd: %w", key, err)
	}
	return nil
}
