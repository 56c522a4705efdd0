// Package crowd is many clients of one KMS v2 socket, or one that misbehaves: what
// API servers do on a cold start, when their own clients give up, and when they are
// many. It speaks through grpc-go with the API server's dial options and nothing
// of Kubernetes but the generated stubs, so that the same code can be built with the
// grpc-go of any line: go.mod names the oldest supported one, newest.mod the newest.
package crowd
