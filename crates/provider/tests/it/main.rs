//! The built program, from the outside: arguments and environment in, text and exit code out.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests end a test by panicking"
)]

mod config;
mod faults;
mod grammar;
mod probe;
mod serve;

use std::{
    path::Path,
    process::{Command, Output},
};

/// The program with a clean environment.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bao-kms-provider"));
    command.env_clear().args(arguments);
    command
}

/// Exit code, standard output, standard error.
fn outcome(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    (
        status.code().unwrap(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    outcome(&mut program(arguments))
}

/// The sample of the documentation, as a file that is safe to read.
fn sample(folder: &Path) -> String {
    put(
        folder,
        include_str!("../../../../docs/examples/config.yaml"),
        0o640,
    )
}

fn put(folder: &Path, text: &str, mode: u32) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("config.yaml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}
