// Package suite holds the conformance cases that go through the API server's own
// code. The cases carry the numbers of the catalogue in the README. Those on the
// transformers alone (X01 to X14) run against each subject: bao-kms-provider, the
// well-behaved faultplugin as a control, or, when KMS_SOCKET names one, a socket
// that somebody else serves. Those on whole processes (X15 to X17) run with
// bao-kms-provider.
package suite
