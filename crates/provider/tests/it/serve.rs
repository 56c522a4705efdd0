//! The whole provider as a process, on its bad days: against an OpenBao of the test's own, with
//! the real socket, files, signals, logs and exit codes.

pub(crate) mod stage;

pub(crate) mod world;

pub(crate) mod child;

mod absence;

mod clock;

mod config;

mod disk;

mod kill;

mod keys;

mod life;

mod login;

mod logs;

mod outage;

mod pages;

mod rotation;

mod secrecy;

mod socket;

mod state;

mod trust;
