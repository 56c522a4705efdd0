//! The life of a process: logs, readiness, supervision, shutdown, admin HTTP.
