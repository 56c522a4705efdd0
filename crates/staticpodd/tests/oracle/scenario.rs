//! What both agents are made to do: a table of small pods, and of things that happen to them.

/// One thing that happens, or that is waited for. Containers are named as `main.0`: the name and
/// the restart count; in the second pod of a scenario as `2/main.0`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// A file of `pods/` becomes the manifest of this name, in one step.
    Put(&'static str, &'static str),
    /// The manifest is removed.
    Remove(&'static str),
    /// A directory on the host.
    Mkdir(&'static str),
    /// The first process of the container, or of the sandbox `sandbox.0`, gets SIGKILL.
    Kill(&'static str),
    /// It was started.
    Started(&'static str),
    /// It has ended.
    Ended(&'static str),
    /// It was started, and the link to its log is there.
    Linked(&'static str),
    /// Nothing of the pod is left in the runtime.
    Gone,
    /// Nothing is left of the pod: no volumes, logs, links or cgroups.
    Clean,
    /// For some seconds nothing has happened to the pod, and the agent is at work.
    Quiet,
}

/// How much of what happens is part of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// What was started, in order.
    Starts,
    /// What was started and what ended, and how, in order.
    Ends,
    /// That, and the commands that were run inside.
    Commands,
}

/// A pod and its life.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    /// Name of the pod, and beginning of the names of its files.
    pub(crate) name: &'static str,
    /// What it shows, for the page.
    pub(crate) what: &'static str,
    pub(crate) order: Order,
    /// Instances of containers with a higher restart count are not looked at.
    pub(crate) attempts: u32,
    pub(crate) steps: &'static [Step],
}
