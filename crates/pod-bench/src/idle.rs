//! What an agent costs that has nothing to do.

use std::time::Duration;

use cri::{Client, Runtime as _, v1::ContainerState};
use rustix::process::Signal;

use crate::{
    agent::{Idle, Problem, until},
    memory::{IMAGE, Memory},
    starts::{Place, gone, started},
    texts,
};

/// After the last start.
const CALM: Duration = Duration::from_secs(5);
const FIRST_PORT: u16 = 9200;

/// With so many careful pods on containerd; the most that was resident, KiB, besides.
pub(crate) async fn on_containerd(
    place: &Place<'_>,
    pods: u16,
    time: Duration,
) -> Result<(Idle, u64), Problem> {
    let endpoint = place.rig.endpoint().to_string();
    let mut agent = place.agent("idle", &endpoint).await?;
    let client = place.rig.client();
    let name = |pod: u16| format!("p{pod}");
    for pod in 0..pods {
        let text = texts::careful(&name(pod), place.image, FIRST_PORT + pod);
        agent.put(&name(pod), &text)?;
    }
    for pod in 0..pods {
        let _ = started(&client, &format!("{}-bench", name(pod))).await?;
    }
    tokio::time::sleep(CALM).await;
    let idle = agent.idle(time).await?;
    let most = agent.most_resident_kib()?;
    for pod in 0..pods {
        agent.remove(&name(pod))?;
    }
    for pod in 0..pods {
        gone(&client, &format!("{}-bench", name(pod))).await?;
    }
    until("the directories are gone", async || {
        Ok((agent.on_disk_of("pods").0 == 0).then_some(()))
    })
    .await?;
    agent.end(Signal::TERM).await?;
    Ok((idle, most))
}

/// With so many plain pods on the runtime of memory.
pub(crate) async fn on_memory(
    place: &Place<'_>,
    pods: u16,
    time: Duration,
) -> Result<Idle, Problem> {
    let memory = Memory::start(&place.rig.scratch()).await?;
    let mut agent = place.agent("crowd", &memory.endpoint()).await?;
    for pod in 0..pods {
        let name = format!("p{pod}");
        agent.put(&name, &texts::plain(&name, IMAGE, 0))?;
    }
    until_running(&memory.client(), usize::from(pods)).await?;
    tokio::time::sleep(CALM).await;
    let idle = agent.idle(time).await?;
    agent.end(Signal::TERM).await?;
    Ok(idle)
}

/// Waits until so many containers run.
async fn until_running(client: &Client, count: usize) -> Result<(), Problem> {
    until(&format!("{count} containers run"), async || {
        let containers = client.list_containers(None).await?;
        let running = containers
            .iter()
            .filter(|container| container.state() == ContainerState::ContainerRunning);
        Ok((running.count() == count).then_some(()))
    })
    .await
}
