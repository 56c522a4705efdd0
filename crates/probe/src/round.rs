//! Makes a probe: up to three attempts, within the time that each has.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::timeout;

use crate::{
    dial::{self, Tls},
    health,
    outcome::{MOST, Outcome, shown},
    target::{HttpTarget, Target},
    web,
};

/// How often a probe that could not be made is tried in one round.
const ATTEMPTS: usize = 3;

/// What the runtime may take beyond the time of a command.
const SLACK: Duration = Duration::from_secs(10);

/// What came of a command in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Executed {
    /// It ended.
    Exited {
        /// Exit code.
        code: i32,
        /// Of both streams; what is beyond the first 10 KiB is not used.
        output: Vec<u8>,
    },
    /// It did not end in time.
    TimedOut,
    /// The runtime could not run it: says nothing about the container.
    Unavailable(String),
}

/// Runs commands in containers.
pub trait Exec: Send + Sync + 'static {
    /// Runs `command` in the container that the runtime calls `container`, for `limit` at most.
    fn exec<'a>(
        &'a self,
        container: &'a str,
        command: &'a [String],
        limit: Duration,
    ) -> BoxFuture<'a, Executed>;
}

/// The TLS library refuses its own parameters.
#[derive(Debug, thiserror::Error)]
#[error("probes over HTTPS cannot be set up: {0}")]
pub struct SetupError(#[from] rustls::Error);

/// Makes probes.
#[derive(Clone)]
pub struct Prober {
    exec: Arc<dyn Exec>,
    tls: Tls,
}

impl Prober {
    /// With the runtime's way to run commands.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(exec: Arc<dyn Exec>) -> Result<Self, SetupError> {
        let tls = Tls::new()?;
        Ok(Self { exec, tls })
    }

    /// One round: the first attempt that says something about `container`, else the last one.
    /// `limit` is for each attempt. [`Outcome::Broken`] counts neither as success nor as failure.
    pub async fn round(&self, target: &Target, container: &str, limit: Duration) -> Outcome {
        let mut outcome = self.attempt(target, container, limit).await;
        for _ in 1..ATTEMPTS {
            if !matches!(outcome, Outcome::Broken(_)) {
                break;
            }
            outcome = self.attempt(target, container, limit).await;
        }
        outcome
    }

    /// Sends the GET of a hook, within `limit`: whoever answers was told, with whichever status.
    ///
    /// # Errors
    /// Why nobody was told.
    pub async fn tell(&self, target: &HttpTarget, limit: Duration) -> Result<(), String> {
        match timeout(limit, web::tell(target, &self.tls)).await {
            Ok(told) => told,
            Err(_) => Err(format!("did not answer within {} s", limit.as_secs())),
        }
    }

    async fn attempt(&self, target: &Target, container: &str, limit: Duration) -> Outcome {
        if let Target::Exec { command } = target {
            // The runtime keeps the time of the command. One that does not answer says nothing
            // about the container, which is not to be restarted for it.
            let asking = self.exec.exec(container, command, limit);
            return match timeout(limit + SLACK, asking).await {
                Ok(outcome) => executed(outcome),
                Err(_) => Outcome::Broken("the runtime did not answer".into()),
            };
        }
        match timeout(limit, self.ask(target)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Failure(format!("did not answer within {} s", limit.as_secs())),
        }
    }

    async fn ask(&self, target: &Target) -> Outcome {
        match target {
            Target::Http(http) => web::get(http, &self.tls).await,
            Target::Tcp { host, port } => match dial::tcp(host, *port).await {
                Ok(_) => Outcome::Success,
                Err(error) => Outcome::Failure(format!("cannot be connected to: {error}")),
            },
            Target::Grpc {
                tls,
                host,
                port,
                service,
            } => {
                let tls = tls.then_some(&self.tls);
                health::check(host, *port, service, tls).await
            }
            Target::Exec { .. } => Outcome::Broken("a command is for the runtime".into()),
        }
    }
}

fn executed(executed: Executed) -> Outcome {
    match executed {
        Executed::Exited { code: 0, .. } => Outcome::Success,
        Executed::Exited { code, output } => {
            let output = output.get(..MOST).unwrap_or(&output);
            let said = shown(output);
            Outcome::Failure(
                format!("exited with code {code}: {said}")
                    .trim_end_matches([':', ' '])
                    .to_owned(),
            )
        }
        Executed::TimedOut => Outcome::Failure("the command did not end in time".into()),
        Executed::Unavailable(why) => Outcome::Broken(why),
    }
}

#[cfg(test)]
mod tests;
