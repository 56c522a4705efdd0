//! Asks the runtime what there is.

use std::{net::IpAddr, sync::Arc, time::Duration};

use cri::{
    Runtime,
    v1::{ContainerState, ContainerStatus, NamespaceMode, PodSandboxStatus},
};
use plan::Exit;
use tokio::time::timeout;

use crate::{
    host::Launch,
    sight::{Fact, Lists, Question},
};

/// A runtime that does not list within this is as good as down.
const PATIENCE: Duration = Duration::from_secs(10);

/// A list, and whether pods can have networks of their own.
pub(crate) struct Looked {
    pub(crate) network: bool,
    pub(crate) lists: Lists,
}

/// Lists everything; the error says why the runtime counts as down.
pub(crate) async fn look(runtime: Arc<dyn Runtime>) -> Result<Looked, String> {
    let asking = async {
        let status = runtime.status(false).await?;
        // In this order: a container that is listed has its sandbox listed or gone.
        let sandboxes = runtime.list_pod_sandbox(None).await?;
        let containers = runtime.list_containers(None).await?;
        Ok::<_, cri::Error>((status, sandboxes, containers))
    };
    let (status, sandboxes, containers) = match timeout(PATIENCE, asking).await {
        Ok(Ok(answers)) => answers,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err(format!("it did not list within {} s", PATIENCE.as_secs())),
    };
    let conditions = status.status.unwrap_or_default().conditions;
    let condition = |name: &str| conditions.iter().find(|condition| condition.r#type == name);
    if let Some(bad) = condition("RuntimeReady").filter(|condition| !condition.status) {
        return Err(format!("it is not ready: {} {}", bad.reason, bad.message));
    }
    Ok(Looked {
        network: condition("NetworkReady").is_some_and(|condition| condition.status),
        lists: Lists {
            sandboxes,
            containers,
        },
    })
}

/// Asks one question; `None` where the thing has gone or changed meanwhile. `containers` is how
/// many the pod has.
pub(crate) async fn ask(
    runtime: Arc<dyn Runtime>,
    launch: Arc<dyn Launch>,
    question: &Question,
    containers: usize,
) -> Result<Option<Fact>, String> {
    let asking = async {
        match question {
            Question::Sandbox(id) => {
                let described = runtime.pod_sandbox_status(id, false).await?;
                Ok(Some(network(&described.status)))
            }
            Question::Running(id) => {
                let status = runtime.container_status(id, false).await?.status;
                let runs = status.state() == ContainerState::ContainerRunning;
                let started = status.started_at;
                Ok(runs.then_some(Fact::Running { started }))
            }
            Question::Exited(id) => {
                let status = runtime.container_status(id, false).await?.status;
                let message = message(&*launch, &status, containers).await;
                Ok(Some(Fact::Exited(Exit {
                    code: status.exit_code,
                    reason: status.reason,
                    message,
                    started: status.started_at,
                    finished: status.finished_at,
                })))
            }
        }
    };
    match timeout(PATIENCE, asking).await {
        Ok(Err(error @ cri::Error { .. })) if error.is_not_found() => Ok(None),
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// What the runtime has to say about the end of a container, and then the container itself.
async fn message(launch: &dyn Launch, status: &ContainerStatus, containers: usize) -> String {
    let words = launch.last_words(status.clone(), containers).await;
    match (status.message.as_str(), words.as_str()) {
        ("", _) => words,
        (said, "") => said.to_owned(),
        (said, words) => format!("{said}: {words}"),
    }
}

fn network(status: &PodSandboxStatus) -> Fact {
    let namespaces = status.linux.as_ref();
    let namespaces = namespaces.and_then(|linux| linux.namespaces.as_ref());
    let options = namespaces.and_then(|namespaces| namespaces.options.as_ref());
    let network = status.network.clone().unwrap_or_default();
    let more = network.additional_ips.iter().map(|ip| ip.ip.as_str());
    let ips = std::iter::once(network.ip.as_str()).chain(more);
    Fact::Sandbox {
        host_network: options.is_some_and(|o| o.network() == NamespaceMode::Node),
        ips: ips.filter_map(|ip| ip.parse::<IpAddr>().ok()).collect(),
    }
}
