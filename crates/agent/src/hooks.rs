//! postStart and preStop.

use std::{net::IpAddr, sync::Arc, time::Duration};

use cri::{Fault, Runtime};
use futures_util::future::BoxFuture;
use pod::api;
use probe::{
    round::{Exec, Executed, Prober},
    target::{self, Target, Whereabouts},
};
use tokio::time::{sleep, timeout};

/// Commands of probes, run by the runtime.
pub(crate) struct Through(pub(crate) Arc<dyn Runtime>);

impl Exec for Through {
    fn exec<'a>(
        &'a self,
        container: &'a str,
        command: &'a [String],
        limit: Duration,
    ) -> BoxFuture<'a, Executed> {
        Box::pin(async move {
            match self.0.exec_sync(container, command, limit).await {
                Ok(answer) => Executed::Exited {
                    code: answer.exit_code,
                    output: [answer.stdout, answer.stderr].concat(),
                },
                Err(error) => match error.fault {
                    Fault::ExecTimeout { .. } => Executed::TimedOut,
                    _ => Executed::Unavailable(error.to_string()),
                },
            }
        })
    }
}

/// A hook to be run.
pub(crate) struct Hook<'a> {
    pub(crate) handler: &'a api::LifecycleHandler,
    /// The runtime's id of the container.
    pub(crate) container: &'a str,
    /// Its ports by name.
    pub(crate) ports: Option<Vec<api::ContainerPort>>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) host_network: bool,
}

/// Who runs hooks.
#[derive(Clone)]
pub(crate) struct Hooks {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) prober: Prober,
}

/// A GET of a hook that nobody answers.
const ANSWER: Duration = Duration::from_secs(30);

impl Hooks {
    /// Runs a hook to its end; the error says what went wrong. `limit` of zero is none.
    pub(crate) async fn run(&self, hook: &Hook<'_>, limit: Duration) -> Result<(), String> {
        if limit.is_zero() {
            return self.once(hook, limit).await;
        }
        match timeout(limit, self.once(hook, limit)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("the hook did not end within {limit:?}")),
        }
    }

    async fn once(&self, hook: &Hook<'_>, limit: Duration) -> Result<(), String> {
        let handler = hook.handler;
        if let Some(nap) = &handler.sleep {
            sleep(Duration::from_secs(u64::try_from(nap.seconds).unwrap_or(0))).await;
            return Ok(());
        }
        if let Some(exec) = &handler.exec {
            let command = exec.command.clone().unwrap_or_default();
            let answer = self
                .runtime
                .exec_sync(hook.container, &command, limit)
                .await;
            return match answer {
                Ok(answer) if answer.exit_code == 0 => Ok(()),
                Ok(answer) => Err(format!(
                    "command {command:?} exited with {}: {}",
                    answer.exit_code,
                    String::from_utf8_lossy(&answer.stderr).trim_end()
                )),
                Err(error) => Err(error.to_string()),
            };
        }
        if handler.http_get.is_some() {
            return self.get(hook, limit).await;
        }
        Err("a hook is a command, a GET or a sleep, and this one is none of them".to_owned())
    }

    /// Whoever answers was told; with which status is of no interest.
    async fn get(&self, hook: &Hook<'_>, limit: Duration) -> Result<(), String> {
        let as_probe = api::Probe {
            http_get: hook.handler.http_get.clone(),
            ..api::Probe::default()
        };
        let container = api::Container {
            ports: hook.ports.clone(),
            ..api::Container::default()
        };
        let place = Whereabouts {
            address: hook.address,
            host_network: hook.host_network,
        };
        let target = target::target(&as_probe, &container, place);
        let Target::Http(target) = target.map_err(|error| error.to_string())? else {
            return Err("a hook over the network is a GET".to_owned());
        };
        let limit = if limit.is_zero() {
            ANSWER
        } else {
            limit.min(ANSWER)
        };
        self.prober.tell(&target, limit).await
    }
}
