//! The KMS v2 service on a Unix socket: limits, error codes, the socket's life.
