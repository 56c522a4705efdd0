// Package harness starts the processes of a small control plane on loopback -
// etcd, the development OpenBao, the provider, the API server - and takes them
// down again, whatever happens in between.
//
// A [Rig] owns everything: processes, directories, logs. Each process has its own
// process group and one log file; it is killed when the rig is closed and when
// this process dies, however it dies.
package harness
