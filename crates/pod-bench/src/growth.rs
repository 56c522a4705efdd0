//! Whether an agent grows with the edits of its manifests: on the runtime of memory, with the
//! agent's own memory on a file system of memory.

use cri::{Client, Runtime as _, v1::ContainerState};
use rustix::process::Signal;

use crate::{
    agent::{Agent, Problem, until},
    memory::{IMAGE, Memory},
    starts::Place,
    texts,
};

/// Edited at once, each time.
const FILES: u32 = 50;

/// What the agent held after so many edits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) edits: u32,
    pub(crate) resident_kib: u64,
    pub(crate) threads: u64,
    pub(crate) descriptors: u64,
    pub(crate) files: u64,
    pub(crate) disk_kib: u64,
}

/// A sample after every tenth of so many edits.
pub(crate) async fn measure(place: &Place<'_>, edits: u32) -> Result<Vec<Sample>, Problem> {
    let home = place.rig.scratch();
    let memory = Memory::start(&home).await?;
    let client = memory.client();
    // Thousands of small files are synced; how fast the disk is matters elsewhere.
    let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
    let mut agent = Agent::start(
        &place.rig.enter(place.program),
        &home.join("growth"),
        &root.path().join("root"),
        &memory.endpoint(),
    )
    .await?;
    let rounds = edits.div_ceil(FILES);
    let mut samples = Vec::new();
    for round in 0..=rounds {
        for file in 0..FILES {
            let name = format!("p{file}");
            agent.put(&name, &texts::plain(&name, IMAGE, round))?;
        }
        settled(&client, &round.to_string(), &mut agent).await?;
        if round > 0 && round % (rounds / 10).max(1) == 0 {
            samples.push(sample(&mut agent, round * FILES).await?);
        }
    }
    agent.end(Signal::TERM).await?;
    Ok(samples)
}

/// Waits until the runtime has the pods of this edit and no others.
async fn settled(client: &Client, edit: &str, agent: &mut Agent) -> Result<(), Problem> {
    until("all edits are carried out", async || {
        agent.alive()?;
        let sandboxes = client.list_pod_sandbox(None).await?;
        let all_new = sandboxes.iter().all(|sandbox| {
            let of = sandbox.annotations.get(texts::EDIT);
            of.is_some_and(|of| of == edit)
        });
        let count = usize::try_from(FILES)?;
        if !all_new || sandboxes.len() != count {
            return Ok(None);
        }
        let containers = client.list_containers(None).await?;
        let running = containers
            .iter()
            .filter(|container| container.state() == ContainerState::ContainerRunning);
        Ok((running.count() == count).then_some(()))
    })
    .await
}

async fn sample(agent: &mut Agent, edits: u32) -> Result<Sample, Problem> {
    // Cleaning up after the last ones may go on for a moment.
    let idle = agent.idle(std::time::Duration::from_secs(2)).await?;
    let (files, disk_kib) = agent.on_disk();
    Ok(Sample {
        edits,
        resident_kib: idle.resident_kib,
        threads: idle.threads,
        descriptors: idle.descriptors,
        files,
        disk_kib,
    })
}
