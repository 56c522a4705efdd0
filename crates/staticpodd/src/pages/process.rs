//! What the kernel says about this process.

use std::fs;

/// As metrics of processes are named everywhere. What cannot be read is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) most_files: Option<u64>,
}

impl Process {
    pub(super) fn look() -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}"));
        let status = read("status").unwrap_or_default();
        let open = fs::read_dir("/proc/self/fd").map(Iterator::count);
        Self {
            cpu_seconds: read("stat").ok().and_then(|text| cpu(&text)),
            resident_bytes: kib(&status, "VmRSS:"),
            virtual_bytes: kib(&status, "VmSize:"),
            threads: number(&status, "Threads:"),
            // The one that looks is not counted.
            open_files: open
                .ok()
                .and_then(|count| u64::try_from(count).ok()?.checked_sub(1)),
            most_files: read("limits")
                .ok()
                .and_then(|text| number(&text, "Max open files")),
        }
    }
}

/// The first number behind the name of a line.
fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn kib(text: &str, name: &str) -> Option<u64> {
    number(text, name)?.checked_mul(1024)
}

/// User and system time, which the kernel counts in hundredths of a second for whoever reads.
fn cpu(stat: &str) -> Option<f64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some((f64::from(ticks()?) + f64::from(ticks()?)) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 100 1000 200";
        assert_eq!(cpu(stat), Some(3.0));
        assert_eq!(cpu("7 (a) S 1"), None);
        let status = "VmSize:\t   100 kB\nVmRSS:\t    10 kB\nThreads:\t4\n";
        assert_eq!(kib(status, "VmRSS:"), Some(10_240));
        assert_eq!(number(status, "Threads:"), Some(4));
        let limits = "Max open files            1024                 4096                 files\n";
        assert_eq!(number(limits, "Max open files"), Some(1024));
        let now = Process::look();
        assert!(now.resident_bytes > Some(0) && now.open_files > Some(0) && now.threads > Some(0));
    }
}
