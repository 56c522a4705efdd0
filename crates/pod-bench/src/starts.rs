//! How long it takes from a manifest to a container that runs, next to the same calls made by hand.
//!
//! First an agent behind a relay shows which calls there are, and where the time between them goes:
//! that is the agent's, and the relay's own delay counts as the agent's. Then an agent without the
//! relay and the bare calls take turns, as a check; the end of both is the moment at which
//! containerd says that the container started. There, what containerd needs differs more from one
//! time to the next than the agent's share is long.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use cri::{
    Client, Runtime as _,
    v1::{ContainerFilter, ContainerState, PodSandboxFilter},
};
use fake_cri::{containerd::Rig, serve::Server};
use rustix::process::Signal;

use crate::{
    agent::{Agent, Problem, until},
    recorder::{Entry, Made, Recorder, wall},
    texts,
};

const POD_NAME: &str = "io.kubernetes.pod.name";
const PORT: u16 = 9100;
/// What came before may still be at work for so long.
const CALM: Duration = Duration::from_millis(700);
/// What was measured, one value for each round.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    /// From the rename of the manifest to the start.
    pub(crate) whole: Vec<Duration>,
    /// The calls alone.
    pub(crate) calls: Vec<Duration>,
    /// What is between and within them, behind the relay: its name, and a value for each round.
    pub(crate) parts: Vec<(String, Vec<Duration>)>,
    /// What is between them, together.
    pub(crate) share: Vec<Duration>,
}

/// Everything that a start needs.
pub(crate) struct Place<'a> {
    pub(crate) rig: &'a Rig,
    pub(crate) program: &'a Path,
    pub(crate) image: &'a str,
}

impl Place<'_> {
    /// An agent with a home of this name.
    pub(crate) async fn agent(&self, name: &str, endpoint: &str) -> Result<Agent, Problem> {
        let home = self.rig.scratch().join(name);
        let root = home.join("root");
        Agent::start(&self.rig.enter(self.program), &home, &root, endpoint).await
    }
}

/// Measures so many rounds.
pub(crate) async fn measure(place: &Place<'_>, rounds: u32) -> Result<Starts, Problem> {
    let client = place.rig.client();
    let mut starts = Starts::default();
    let script = relayed(place, &client, rounds, &mut starts).await?;
    let agent = place
        .agent("starts", &place.rig.endpoint().to_string())
        .await?;
    let manifest = texts::careful("web", place.image, PORT);
    for round in 0..rounds {
        tokio::time::sleep(CALM).await;
        let began = agent.put("web", &manifest)?;
        let running = started(&client, "web-bench").await?;
        starts.whole.push(running.saturating_sub(began));
        agent.remove("web")?;
        gone(&client, "web-bench").await?;
        tokio::time::sleep(CALM).await;
        starts.calls.push(repeat(&client, &script, round).await?);
    }
    agent.end(Signal::TERM).await?;
    // The agent that has made what the bare calls mount takes it away again.
    let agent = place
        .agent("relayed", &place.rig.endpoint().to_string())
        .await?;
    until("the directories are gone", async || {
        Ok((agent.on_disk_of("pods").0 == 0).then_some(()))
    })
    .await?;
    agent.end(Signal::TERM).await?;
    Ok(starts)
}

/// Starts behind a relay. The last pod's directories stay, for those who repeat its calls.
async fn relayed(
    place: &Place<'_>,
    client: &Client,
    rounds: u32,
    starts: &mut Starts,
) -> Result<Vec<Made>, Problem> {
    let socket = place.rig.scratch().join("relay.sock");
    let (recorder, entries) = Recorder::new(place.rig.client());
    let _server = Server::start(std::sync::Arc::new(recorder), &socket)?;
    let agent = place
        .agent("relayed", &format!("unix://{}", socket.display()))
        .await?;
    let manifest = texts::careful("relayed", place.image, PORT);
    for round in 1..=rounds {
        tokio::time::sleep(CALM).await;
        let _ = taken(&entries);
        let began = agent.put("relayed", &manifest)?;
        let _ = started(client, "relayed-bench").await?;
        tokio::time::sleep(CALM).await;
        let entries = taken(&entries);
        split(began, &entries, starts);
        if round < rounds {
            agent.remove("relayed")?;
            gone(client, "relayed-bench").await?;
            continue;
        }
        // Nobody cleans up behind one that is killed.
        agent.end(Signal::KILL).await?;
        std::fs::remove_file(place.rig.scratch().join("relayed/manifests/relayed.yaml"))?;
        clear(client, "relayed-bench").await?;
        return Ok(entries.into_iter().map(|entry| entry.made).collect());
    }
    Err("no pod was started".into())
}

fn taken(entries: &Mutex<Vec<Entry>>) -> Vec<Entry> {
    let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *entries)
}

/// Adds one round's times: before each call, and of the call.
fn split(began: Duration, entries: &[Entry], starts: &mut Starts) {
    let parts = &mut starts.parts;
    let mut share = Duration::ZERO;
    let mut add =
        |name: String, time: Duration| match parts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, times)) => times.push(time),
            None => parts.push((name, vec![time])),
        };
    let mut before = ("the manifest".to_owned(), began);
    for entry in entries {
        let name = entry.made.name();
        let gap = entry.began.saturating_sub(before.1);
        share += gap;
        add(format!("from {} to {name}", before.0), gap);
        add(name.to_owned(), entry.ended.saturating_sub(entry.began));
        before = (name.to_owned(), entry.ended);
    }
    starts.share.push(share);
}

/// The same calls in the same order for another instance; how long until it ran.
async fn repeat(client: &Client, script: &[Made], round: u32) -> Result<Duration, Problem> {
    // Names with the numbers of the relayed ones are not taken any more; others are surely free.
    let attempt = 100 + round;
    let (mut sandbox, mut container) = (String::new(), String::new());
    let began = wall();
    for made in script {
        match made {
            Made::Image(name) => {
                let _ = client.image_status(name).await?;
            }
            Made::Sandbox(request) => {
                let mut request = (**request).clone();
                number(&mut request.config, attempt);
                sandbox = client.run_pod_sandbox(request).await?;
            }
            Made::Container(request) => {
                let mut request = (**request).clone();
                number(&mut request.sandbox_config, attempt);
                request.pod_sandbox_id.clone_from(&sandbox);
                container = client.create_container(request).await?;
            }
            Made::Start => client.start_container(&container).await?,
        }
    }
    let running = started_at(client, &container).await?;
    client
        .stop_container(&container, Duration::from_secs(2))
        .await?;
    client.stop_pod_sandbox(&sandbox).await?;
    client.remove_pod_sandbox(&sandbox).await?;
    Ok(running.saturating_sub(began))
}

fn number(config: &mut Option<cri::v1::PodSandboxConfig>, attempt: u32) {
    if let Some(metadata) = config.as_mut().and_then(|config| config.metadata.as_mut()) {
        metadata.attempt = attempt;
    }
}

/// Waits until a container of a pod runs; when it started, on the wall clock.
pub(crate) async fn started(client: &Client, pod: &str) -> Result<Duration, Problem> {
    let filter = ContainerFilter {
        label_selector: [(POD_NAME.to_owned(), pod.to_owned())].into(),
        ..ContainerFilter::default()
    };
    until(&format!("{pod} runs"), async || {
        let containers = client.list_containers(Some(filter.clone())).await?;
        let mut running = containers
            .iter()
            .filter(|container| container.state() == ContainerState::ContainerRunning);
        match running.next() {
            Some(container) => Ok(Some(started_at(client, &container.id).await?)),
            None => Ok(None),
        }
    })
    .await
}

async fn started_at(client: &Client, container: &str) -> Result<Duration, Problem> {
    let status = client.container_status(container, false).await?.status;
    Ok(Duration::from_nanos(u64::try_from(status.started_at)?))
}

fn of_pod(pod: &str) -> PodSandboxFilter {
    PodSandboxFilter {
        label_selector: [(POD_NAME.to_owned(), pod.to_owned())].into(),
        ..PodSandboxFilter::default()
    }
}

/// Waits until the runtime has nothing of a pod.
pub(crate) async fn gone(client: &Client, pod: &str) -> Result<(), Problem> {
    until(&format!("{pod} is gone"), async || {
        let sandboxes = client.list_pod_sandbox(Some(of_pod(pod))).await?;
        Ok(sandboxes.is_empty().then_some(()))
    })
    .await
}

async fn clear(client: &Client, pod: &str) -> Result<(), Problem> {
    for sandbox in client.list_pod_sandbox(Some(of_pod(pod))).await? {
        client.stop_pod_sandbox(&sandbox.id).await?;
        client.remove_pod_sandbox(&sandbox.id).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_time_between_calls_is_told_apart_from_the_time_in_them() {
        let entry = |made, began, ended| Entry {
            made,
            began: began * MS,
            ended: ended * MS,
        };
        let entries = [
            entry(Made::Sandbox(Box::default()), 25, 125),
            entry(Made::Start, 135, 155),
        ];
        let mut starts = Starts::default();
        split(5 * MS, &entries, &mut starts);
        split(15 * MS, &entries, &mut starts);
        assert_eq!(starts.share, [30 * MS, 20 * MS]);
        let expected = [
            ("from the manifest to RunPodSandbox", [20, 10]),
            ("RunPodSandbox", [100, 100]),
            ("from RunPodSandbox to StartContainer", [10, 10]),
            ("StartContainer", [20, 20]),
        ];
        let expected =
            expected.map(|(name, times)| (name.to_owned(), times.map(|t| t * MS).to_vec()));
        assert_eq!(starts.parts, expected);
    }
}
