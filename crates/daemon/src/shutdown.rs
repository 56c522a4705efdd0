//! One flag that everybody watches: the process is asked to stop.

use std::io;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// A handle on the flag. Clones share it; setting it cannot be undone.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Sender<bool>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Shutdown {
    /// Asks the process to stop.
    pub fn trigger(&self) {
        self.0.send_replace(true);
    }

    /// Whether the process was asked to stop.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes once the process is asked to stop; at once if it was already.
    pub fn wait(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut seen = self.0.subscribe();
        // The sender lives in the handle that made this future, so an error means that
        // every handle is gone: that is a stop, too.
        async move {
            let _ = seen.wait_for(|stop| *stop).await;
        }
    }

    /// Turns SIGTERM and SIGINT into [`Shutdown::trigger`]. Completes after the second
    /// signal, by which somebody says that the drain takes too long.
    ///
    /// # Errors
    /// When a signal handler cannot be installed.
    pub fn on_signals(&self) -> io::Result<impl Future<Output = ()> + Send + 'static> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let flag = self.clone();
        Ok(async move {
            for _ in 0..2 {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                tracing::info!(signal = name, "process.signal");
                flag.trigger();
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_ends_when_anyone_triggers_and_at_once_afterwards() {
        let shutdown = Shutdown::default();
        let waiting = tokio::spawn(shutdown.wait());
        assert!(!shutdown.is_triggered());
        shutdown.clone().trigger();
        waiting.await.unwrap();
        shutdown.wait().await;
        assert!(shutdown.is_triggered());
    }
}
