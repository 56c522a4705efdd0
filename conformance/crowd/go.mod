// The oldest supported line: Kubernetes 1.32 with the grpc-go that its API server vendors.
// newest.mod beside this file builds the same code with the newest of both.
module bao-kms-provider/conformance/crowd

go 1.26.0

require (
	google.golang.org/grpc v1.65.0
	k8s.io/kms v0.32.13
)

require (
	github.com/gogo/protobuf v1.3.2 // indirect
	golang.org/x/net v0.30.0 // indirect
	golang.org/x/sys v0.26.0 // indirect
	golang.org/x/text v0.19.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20240826202546-f6391c0de4c7 // indirect
	google.golang.org/protobuf v1.35.1 // indirect
)
