//! What a process that holds tokens does first: no core dumps, no tracing by others.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Makes the process undumpable and sets its core size limit to zero, so that tokens in
/// memory reach neither a core file nor `/proc/<pid>/mem` of another process of this user.
///
/// # Errors
/// The kernel's answer; both calls are allowed to every process.
pub fn protect_memory() -> std::io::Result<()> {
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
