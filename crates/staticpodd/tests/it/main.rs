//! The program as people and machines use it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests end a test by panicking"
)]

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

mod asked;
mod documents;
mod grammar;
mod reports;
mod road;
mod takeover;
mod texts;
mod upkeep;
mod unit;

/// Of one run.
struct Run {
    code: i32,
    out: String,
    err: String,
}

/// The program in the folder of manifests, which hold every mistake that people make.
fn run(arguments: &[&str]) -> Run {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/manifests");
    run_in(&here, arguments, "")
}

fn run_in(directory: &Path, arguments: &[&str], input: &str) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_staticpodd"))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who does not read its input may be gone before it is written.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder that nobody else may write to, and files in it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    mode(home.path(), 0o755);
    for (name, text) in files {
        fs::write(home.path().join(name), text).unwrap();
        mode(&home.path().join(name), 0o644);
    }
    home
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

const GOOD: &str = include_str!("manifests/good.yaml");
