//! Work that must outlive the caller who asked for it, and the one task that owns it.
//!
//! A Decrypt that a hundred callers share must not end with the first of them. So it runs
//! in a task of its own, which the [`Driver`] holds and awaits; nothing is detached.

use openbao::transit::BoxFuture;
use tokio::{sync::mpsc, task::JoinSet};

/// Hands work to the [`Driver`]. Who hands it over bounds it: there is one piece of work per
/// lane and one metadata refresh, so the channel needs no bound of its own.
#[derive(Debug, Clone)]
pub(crate) struct Crew {
    jobs: mpsc::UnboundedSender<BoxFuture<'static, ()>>,
}

/// Owns the tasks in which Transit is asked. Must be polled for Decrypt to work; dropping
/// it aborts what is in flight, and every caller gets an answer that says so.
#[must_use = "Decrypt works only while the driver runs"]
pub struct Driver {
    jobs: mpsc::UnboundedReceiver<BoxFuture<'static, ()>>,
    running: JoinSet<()>,
}

/// A crew and its driver.
pub(crate) fn crew() -> (Crew, Driver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let driver = Driver {
        jobs: receiver,
        running: JoinSet::new(),
    };
    (Crew { jobs: sender }, driver)
}

impl Crew {
    /// Starts `job` in a task of the driver. When the driver is gone, the job is dropped
    /// instead: each job tells its callers of its end by a guard, whatever ends it.
    pub(crate) fn run(&self, job: BoxFuture<'static, ()>) {
        drop(self.jobs.send(job));
    }

    /// Whether the driver is gone, so that no job will ever run.
    pub(crate) fn is_dismissed(&self) -> bool {
        self.jobs.is_closed()
    }
}

impl Driver {
    /// Runs until the keyring and all its calls are gone.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                job = self.jobs.recv() => match job {
                    Some(job) => drop(self.running.spawn(job)),
                    None => break,
                },
                Some(end) = self.running.join_next() => report(&end),
            }
        }
        while let Some(end) = self.running.join_next().await {
            report(&end);
        }
    }
}

/// A panic in one piece of work costs its own callers and nobody else. The payload is not
/// logged: it may hold what the work held.
fn report(end: &Result<(), tokio::task::JoinError>) {
    if end.as_ref().is_err_and(tokio::task::JoinError::is_panic) {
        tracing::error!(
            error_class = "panic",
            reason = "a call to OpenBao ended in a panic; its callers got an error",
            "keyring.job_panicked"
        );
    }
}
