//! Child processes, and what the kernel says about them.

use std::{
    ffi::OsStr,
    fs, io,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal};

/// A child process; it is killed with this value.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a process holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holdings {
    /// Resident memory, KiB.
    pub resident_kib: u64,
    /// Threads.
    pub threads: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

impl Process {
    /// Starts `program`; what it prints is added to `log`.
    ///
    /// # Errors
    /// When the log cannot be written or the program not be started.
    pub fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> io::Result<Self> {
        let log = fs::File::options().create(true).append(true).open(log)?;
        Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map(Self)
            .map_err(|error| {
                let message = format!("cannot start {}: {error}", program.display());
                io::Error::new(error.kind(), message)
            })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends a signal; a process that has ended already is no error.
    ///
    /// # Errors
    /// As `kill(2)`.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        let id = i32::try_from(self.0.id()).map_err(io::Error::other)?;
        let pid = Pid::from_raw(id).ok_or_else(|| io::Error::other("no process id"))?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// How it ended, or `None` while it runs.
    ///
    /// # Errors
    /// As `waitpid(2)`.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// User and system time so far.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu(&self) -> io::Result<Duration> {
        cpu(self.id())
    }

    /// Memory, threads and descriptors.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn holdings(&self) -> io::Result<Holdings> {
        holdings(self.id())
    }
}

/// User and system time of any process so far, in steps of 10 ms.
///
/// # Errors
/// When there is no such process.
pub fn cpu(id: u32) -> io::Result<Duration> {
    let text = fs::read_to_string(proc(id, "stat"))?;
    // Fields 14 and 15, counted after the name, which may hold anything.
    let ticks: u64 = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs(ticks) / u32::try_from(per_second).unwrap_or(100))
}

/// Memory, threads and descriptors of any process; the last may be its owner's secret.
///
/// # Errors
/// When there is no such process, or it does not show its descriptors.
pub fn holdings(id: u32) -> io::Result<Holdings> {
    Ok(Holdings {
        resident_kib: status(id, "VmRSS:")?,
        threads: status(id, "Threads:")?,
        descriptors: fs::read_dir(proc(id, "fd"))?.count() as u64,
    })
}

/// One figure of a process's status, as `VmRSS:` or `VmHWM:`, in the unit of that file: KiB for
/// memory. Shown for every process, whoever owns it.
///
/// # Errors
/// When there is no such process or no such line.
pub fn status(id: u32, name: &str) -> io::Result<u64> {
    let status = fs::read_to_string(proc(id, "status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    value.ok_or_else(|| io::Error::other(format!("no {name} in the status of process {id}")))
}

fn proc(id: u32, file: &str) -> String {
    format!("/proc/{id}/{file}")
}
