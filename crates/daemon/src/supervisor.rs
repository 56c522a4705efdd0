//! Every task has a name and somebody who waits for it.

use std::{collections::HashMap, error::Error, time::Duration};

use tokio::task::{Id, JoinError, JoinSet};

use crate::shutdown::Shutdown;

/// What a task may fail with.
pub type TaskError = Box<dyn Error + Send + Sync>;

/// The first task that ended when it should not have.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It returned an error.
    #[error("task {name} failed")]
    Failed {
        /// The task's name.
        name: &'static str,
        /// Its error.
        source: TaskError,
    },
    /// It returned although nobody asked the process to stop.
    #[error("task {0} ended although the process was not asked to stop")]
    EndedEarly(&'static str),
    /// It panicked. The payload is not repeated: it may hold anything.
    #[error("task {0} panicked")]
    Panicked(&'static str),
    /// It was still running when the time for the drain was over.
    #[error("task {0} did not stop in time")]
    Stuck(&'static str),
}

/// Owns the long-lived tasks of the process.
#[derive(Debug)]
pub struct Supervisor {
    tasks: JoinSet<Result<(), TaskError>>,
    names: HashMap<Id, &'static str>,
    shutdown: Shutdown,
}

impl Supervisor {
    /// An empty house; `shutdown` is triggered when a task fails.
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            shutdown,
        }
    }

    /// Starts a task that runs until shutdown.
    pub fn spawn<E: Into<TaskError>>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let handle = self
            .tasks
            .spawn(async move { task.await.map_err(Into::into) });
        self.names.insert(handle.id(), name);
    }

    /// Waits until shutdown is triggered and all tasks have ended, `drain` after it at most.
    /// The first task that fails or ends early triggers the shutdown itself.
    ///
    /// # Errors
    /// The first [`Failure`]; the others are logged.
    pub async fn run(mut self, drain: Duration) -> Result<(), Failure> {
        let mut first = None;
        let stop = self.shutdown.wait();
        tokio::pin!(stop);
        while !self.tasks.is_empty() {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(ended) = self.tasks.join_next_with_id() => {
                    let failure = self.judge(ended, false);
                    self.shutdown.trigger();
                    first = first.or(failure);
                }
            }
        }
        let drained = tokio::time::timeout(drain, async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                if let Some(failure) = self.judge(ended, true) {
                    first.get_or_insert(failure);
                }
            }
        })
        .await;
        if drained.is_err() {
            let stuck = self.names.values().next().copied().unwrap_or("unknown");
            tracing::error!(tasks = ?self.names.values().collect::<Vec<_>>(), "process.drain_timeout");
            first.get_or_insert(Failure::Stuck(stuck));
        }
        self.tasks.abort_all();
        first.map_or(Ok(()), Err)
    }

    fn judge(
        &mut self,
        ended: Result<(Id, Result<(), TaskError>), JoinError>,
        stopping: bool,
    ) -> Option<Failure> {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let name = self.names.remove(&id).unwrap_or("unknown");
        let failure = match ended {
            Ok((_, Ok(()))) if stopping => return None,
            Ok((_, Ok(()))) => Failure::EndedEarly(name),
            Ok((_, Err(source))) => Failure::Failed { name, source },
            Err(error) if error.is_cancelled() => return None,
            Err(_) => Failure::Panicked(name),
        };
        tracing::error!(task = name, reason = %failure, "process.task_ended");
        Some(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: Duration = Duration::from_secs(5);

    fn house() -> (Shutdown, Supervisor) {
        let shutdown = Shutdown::default();
        (shutdown.clone(), Supervisor::new(shutdown))
    }

    async fn until_stop(shutdown: Shutdown) -> Result<(), TaskError> {
        shutdown.wait().await;
        Ok(())
    }

    #[tokio::test]
    async fn tasks_that_stop_when_asked_are_a_clean_end() {
        let (shutdown, mut house) = house();
        house.spawn("one", until_stop(shutdown.clone()));
        house.spawn("two", until_stop(shutdown.clone()));
        shutdown.trigger();
        house.run(DRAIN).await.unwrap();
    }

    #[tokio::test]
    async fn the_first_task_that_ends_early_is_named_and_stops_the_others() {
        let (shutdown, mut house) = house();
        house.spawn("stays", until_stop(shutdown.clone()));
        house.spawn("leaves", async { Ok::<(), TaskError>(()) });
        let failure = house.run(DRAIN).await.unwrap_err();
        assert!(
            matches!(failure, Failure::EndedEarly("leaves")),
            "{failure}"
        );
        assert!(shutdown.is_triggered());
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_with_the_name_of_its_task() {
        let (shutdown, mut house) = house();
        house.spawn("stays", until_stop(shutdown));
        house.spawn::<TaskError>("breaks", async { panic!("planted") });
        let failure = house.run(DRAIN).await.unwrap_err();
        assert!(matches!(failure, Failure::Panicked("breaks")), "{failure}");
        assert!(!failure.to_string().contains("planted"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ignores_the_stop_is_named_after_the_drain() {
        let (shutdown, mut house) = house();
        house.spawn::<TaskError>("deaf", std::future::pending());
        shutdown.trigger();
        let failure = house.run(DRAIN).await.unwrap_err();
        assert!(matches!(failure, Failure::Stuck("deaf")), "{failure}");
    }
}
