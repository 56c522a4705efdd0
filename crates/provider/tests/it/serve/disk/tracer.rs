//! Faults of real system calls: strace on the running provider, which answers for the kernel.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
};

/// It is attached while this value lives; then the provider goes on as if it had never been there.
pub(super) struct Tracer {
    process: Child,
    /// Open for as long as it may say something.
    says: BufReader<ChildStderr>,
}

impl Tracer {
    /// Does `fault` to system calls of these names, where they concern `path`; returns as soon as
    /// every thread of the process is held.
    ///
    /// # Errors
    /// What strace says where it is missing, or may not attach.
    pub(super) fn attach(
        process: u32,
        calls: &str,
        path: Option<&Path>,
        fault: &str,
    ) -> Result<Self, String> {
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "-p", &process.to_string()]);
        command.args(["-e", &format!("trace={calls}")]);
        command.args(["-e", &format!("inject={calls}:{fault}")]);
        command.args(path.into_iter().flat_map(|path| [Path::new("-P"), path]));
        command.stdin(Stdio::null());
        let spawned = command.stderr(Stdio::piped()).spawn();
        let mut process = spawned.map_err(|error| format!("strace: {error}"))?;
        let mut tracer = Self {
            says: BufReader::new(process.stderr.take().unwrap()),
            process,
        };
        let mut line = String::new();
        tracer.says.read_line(&mut line).unwrap();
        if line.contains(" attached") {
            return Ok(tracer);
        }
        Err(line)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Then the kernel lets go of what was held: calls that wait are made, and all that follow.
        // Asked to end, strace would wait for a thread that is about to.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
