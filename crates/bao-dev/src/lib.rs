//! bao-dev: an OpenBao for development and tests, in memory, on loopback only.
