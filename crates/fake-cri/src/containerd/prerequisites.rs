//! What a machine must have and allow.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::config;

/// Bit of CAP_SYS_RESOURCE, without which no OOM score can be lowered.
const SYS_RESOURCE: u32 = 24;

/// Why no containerd can be started on this machine; [`None`] where it can. A test that gets a
/// reason prints it and ends; under `CI=true` it fails instead, because all of this is installed
/// there.
#[must_use]
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("containerd must be started as root".to_owned());
    }
    for program in ["containerd", "containerd-shim-runc-v2", "ctr", "runc"] {
        if find(program).is_none() {
            return Some(format!("{program} is not installed; run scripts/setup.sh"));
        }
    }
    if !Path::new(config::PLUGINS).join("bridge").exists() {
        let package = "containernetworking-plugins";
        return Some(format!("{package} is not installed; run scripts/setup.sh"));
    }
    None
}

/// Prints why this test cannot run here, if so; on CI that is a failure.
///
/// # Panics
/// Under `CI=true` where something is missing.
#[must_use]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
#[expect(
    clippy::disallowed_methods,
    reason = "tests ask whether they run on CI"
)]
pub fn can_run() -> bool {
    let Some(reason) = missing() else {
        return true;
    };
    let on_ci = env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!on_ci, "a test of CI cannot run: {reason}");
    eprintln!("skipped: {reason}");
    false
}

/// A program in the folders where the system has its own.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    super::PATH
        .split(':')
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.exists())
}

/// Whether OOM scores may not be lowered here.
pub(super) fn is_restricted() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bounds = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let bounds = bounds.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bounds.is_none_or(|bounds| bounds & (1 << SYS_RESOURCE) == 0)
}
