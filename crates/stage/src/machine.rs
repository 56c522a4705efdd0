//! The machine that something was measured on.

use std::fs;

/// In one line: processors, their model, memory, kernel. What the system does not tell is
/// `unknown`.
#[must_use]
pub fn describe() -> String {
    let line = |file: &str, name: &str| {
        let text = fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let unknown = || "unknown".to_owned();
    let model = line("/proc/cpuinfo", "model name").unwrap_or_else(unknown);
    let memory = line("/proc/meminfo", "MemTotal").unwrap_or_else(unknown);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let uname = rustix::system::uname();
    let kernel = uname.release().to_string_lossy();
    format!("{cores} processors, {model}, {memory} of memory, Linux {kernel}")
}
