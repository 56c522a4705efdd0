//! What is done now and then beside the pods: logs are rotated, links to logs that are gone are
//! removed, and images are collected.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt,
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use agent::{Handle, Overview};
use cri::{Runtime, v1};
use jiff::Timestamp;
use launch::{
    logs::{self, Logs, RotationError},
    names, pull,
};
use pace::Clock;
use plan::ContainerState;
use tokio::time::{sleep, timeout};

use crate::{
    causes::chain,
    collecting::{Disk, Image, Limits, Memory},
    meter::Meter,
};

/// Between two looks at the logs.
const LOGS: Duration = Duration::from_secs(10);
/// So many of them are between two looks at images and links.
const ROUNDS: u32 = 30;
/// A runtime that does not open a log anew within this is asked again at the next look.
const PATIENCE: Duration = Duration::from_secs(5);

/// What upkeep works with.
pub(crate) struct Tools {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) logs: Logs,
    pub(crate) log_limits: logs::Limits,
    pub(crate) image_limits: Limits,
    /// The image of sandboxes, if the runtime told it.
    pub(crate) sandbox_image: Option<String>,
}

/// Everything that is remembered between two rounds.
pub(crate) struct Upkeep {
    tools: Tools,
    memory: Memory,
    /// What was said last, by subject: the same trouble is not told at each round.
    said: BTreeMap<String, String>,
}

/// The log of a container that runs.
struct Open {
    id: String,
    pod: String,
    container: String,
    log: PathBuf,
}

/// A log was not opened anew.
#[derive(Debug)]
enum Unopened {
    Refused(cri::Error),
    Silent,
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Silent => write!(f, "no answer within {} s", PATIENCE.as_secs()),
        }
    }
}

impl Error for Unopened {}

impl Upkeep {
    pub(crate) fn new(tools: Tools) -> Self {
        Self {
            tools,
            memory: Memory::default(),
            said: BTreeMap::new(),
        }
    }

    /// Works until `stop`, or until the agent is gone. A log that is being rotated then still is.
    pub(crate) async fn run(mut self, agent: Handle, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        for round in 1_u32.. {
            tokio::select! {
                () = &mut stop => return,
                () = sleep(LOGS) => {}
            }
            let Ok(overview) = agent.view().await else {
                return;
            };
            if overview.runtime_down.is_some() {
                continue;
            }
            self.turn_logs(&overview).await;
            if round.is_multiple_of(ROUNDS) {
                self.drop_links(&overview).await;
                self.collect(&overview).await;
            }
        }
    }

    /// Tells a trouble once, until it is another one or over.
    fn tell(&mut self, subject: &str, trouble: Option<String>, say: impl FnOnce(&str)) {
        match trouble {
            None => {
                let _ = self.said.remove(subject);
            }
            Some(why) if self.said.get(subject) == Some(&why) => {}
            Some(why) => {
                say(&why);
                let _ = self.said.insert(subject.to_owned(), why);
            }
        }
    }

    async fn turn_logs(&mut self, overview: &Overview) {
        let all = open_logs(overview, &self.tools.logs);
        let ids: BTreeSet<&str> = all.iter().map(|open| open.id.as_str()).collect();
        self.said.retain(|subject, _| {
            let of_log = subject.strip_prefix("log ");
            of_log.is_none_or(|id| ids.contains(id))
        });
        for open in all {
            let runtime = Arc::clone(&self.tools.runtime);
            let (id, log) = (open.id.clone(), open.log.clone());
            let limits = self.tools.log_limits;
            let now = self.tools.clock.now().wall;
            let now = Timestamp::from_second(now).unwrap_or_default();
            let threads = tokio::runtime::Handle::current();
            let turned = tokio::task::spawn_blocking(move || {
                logs::rotate(&log, limits, now, || {
                    let asking = timeout(PATIENCE, runtime.reopen_container_log(&id));
                    match threads.block_on(asking) {
                        Ok(answer) => answer.map_err(Unopened::Refused),
                        Err(_) => Err(Unopened::Silent),
                    }
                })
            });
            if let Ok(turned) = turned.await {
                self.turned(&open, turned);
            }
        }
    }

    fn turned(&mut self, open: &Open, turned: Result<logs::Turned, RotationError<Unopened>>) {
        let Open {
            id, pod, container, ..
        } = open;
        let subject = format!("log {id}");
        match turned {
            Ok(turned) => {
                for left in &turned.left {
                    tracing::warn!(pod, container, reason = chain(left), "container.log_left");
                }
                if turned.is_rotated {
                    self.tools.meter.log_turned(true);
                    tracing::info!(pod, container, "container.log_rotated");
                }
                self.tell(&subject, None, |_| {});
            }
            Err(error) => {
                self.tools.meter.log_turned(false);
                self.tell(&subject, Some(chain(&error)), |reason| {
                    tracing::warn!(pod, container, reason, "container.log_unrotated");
                });
            }
        }
    }

    async fn drop_links(&mut self, overview: &Overview) {
        let running: Vec<String> = containers(overview).map(|(id, ..)| id.to_owned()).collect();
        let logs = self.tools.logs.clone();
        let dropped = tokio::task::spawn_blocking(move || {
            logs.remove_dead_links(|beginning| running.iter().any(|id| id.starts_with(beginning)))
        });
        let trouble = match dropped.await {
            Ok(Err(error)) => Some(chain(&error)),
            _ => None,
        };
        self.tell("links", trouble, |reason| {
            tracing::warn!(reason, "links.unremoved");
        });
    }

    async fn collect(&mut self, overview: &Overview) {
        let limits = self.tools.image_limits;
        if limits.high >= 100 && limits.most_idle.is_zero() {
            return;
        }
        let round = async {
            let images = self.images(overview).await?;
            let disk = disk(&*self.tools.runtime).await?;
            self.collect_from(&images, disk).await
        };
        let trouble = round.await.err();
        self.tell("images", trouble, |reason| {
            tracing::warn!(reason, "images.uncollected");
        });
    }

    /// What images there are, and which of them are needed; the error says why that is not known.
    async fn images(&self, overview: &Overview) -> Result<Vec<Image>, String> {
        let runtime = &self.tools.runtime;
        let images = runtime.list_images().await.map_err(|error| chain(&error))?;
        let containers = runtime.list_containers(None).await;
        let containers = containers.map_err(|error| chain(&error))?;
        let pause = self.tools.sandbox_image.as_deref();
        if pause.is_none() && !images.iter().any(|image| image.pinned) {
            let why = "the runtime neither pins an image nor tells that of its sandboxes, which must not go";
            return Err(why.to_owned());
        }
        let mut wanted = wanted(overview);
        wanted.extend(pause.map(str::to_owned));
        let mut kept = BTreeSet::new();
        for name in wanted {
            let found = runtime.image_status(&name).await;
            kept.extend(found.map_err(|error| chain(&error))?.map(|image| image.id));
        }
        let needed = |image: &v1::Image| {
            image.pinned
                || kept.contains(&image.id)
                || containers.iter().any(|container| uses(container, image))
        };
        let all = images.iter().map(|image| Image {
            id: image.id.clone(),
            bytes: image.size,
            is_kept: needed(image),
        });
        Ok(all.collect())
    }

    /// One round; the error says why not enough was collected.
    async fn collect_from(&mut self, images: &[Image], disk: Disk) -> Result<(), String> {
        let now = self.tools.clock.now().mono;
        self.memory.see(images, now);
        let limits = self.tools.image_limits;
        let choice = self.memory.choose(images, disk, limits, now);
        for id in &choice.images {
            let removed = self.tools.runtime.remove_image(id).await;
            removed.map_err(|error| chain(&error))?;
            self.tools.meter.image_collected();
            tracing::info!(image = id, "image.collected");
        }
        if choice.found < choice.wanted {
            return Err(format!(
                "the disk of the images is too full: {} MiB should go, and images of {} MiB were all that nothing needs",
                choice.wanted >> 20,
                choice.found >> 20
            ));
        }
        Ok(())
    }
}

/// Id, full name of the pod, name and attempt of each container that runs and is ours.
fn containers(overview: &Overview) -> impl Iterator<Item = (&str, &agent::PodView, &str, u32)> {
    overview.pods.iter().flat_map(|view| {
        let ours = view.seen.iter().flat_map(|seen| seen.ours());
        let inside = ours.flat_map(|sandbox| &sandbox.containers);
        inside
            .filter(|seen| matches!(seen.state, ContainerState::Running { .. }))
            .map(move |seen| (seen.id.as_str(), view, seen.name.as_str(), seen.attempt))
    })
}

/// Of pods that are on their way out nobody rotates logs any more.
fn open_logs(overview: &Overview, logs: &Logs) -> Vec<Open> {
    let of = |(id, view, name, attempt): (&str, &agent::PodView, &str, u32)| {
        let pod = view.pod.as_ref()?;
        let seen = view.seen.iter().flat_map(|seen| seen.ours());
        let mut same = seen.filter(|sandbox| sandbox.uid == pod.uid);
        let inside = same.any(|sandbox| sandbox.containers.iter().any(|own| own.id == id));
        let directory = logs.of_pod(pod).ok().filter(|_| inside)?;
        Some(Open {
            id: id.to_owned(),
            pod: view.key.to_string(),
            container: name.to_owned(),
            log: directory.join(names::container_log(name, attempt)),
        })
    };
    containers(overview).filter_map(of).collect()
}

/// Names of images, as manifests have them.
fn wanted(overview: &Overview) -> BTreeSet<String> {
    let specs = overview.pods.iter().filter_map(|view| view.pod.as_ref());
    let specs = specs.filter_map(|pod| pod.api.spec.as_ref());
    let containers = specs.flat_map(|spec| {
        let init = spec.init_containers.iter().flatten();
        init.chain(&spec.containers)
    });
    containers
        .filter_map(|container| pull::reference(container).ok())
        .collect()
}

/// Runtimes name the image of a container by its id, its digest or its name.
fn uses(container: &v1::Container, image: &v1::Image) -> bool {
    let asked = container.image.iter().map(|spec| spec.image.as_str());
    let mut texts = asked.chain([container.image_ref.as_str()]);
    texts.any(|text| {
        text == image.id
            || image.repo_tags.iter().any(|tag| tag == text)
            || image.repo_digests.iter().any(|digest| digest == text)
    })
}

async fn disk(runtime: &dyn Runtime) -> Result<Disk, String> {
    let told = runtime.image_fs_info().await;
    let told = told.map_err(|error| chain(&error))?;
    let place = told
        .into_iter()
        .filter_map(|usage| usage.fs_id)
        .map(|id| id.mountpoint)
        .find(|place| !place.is_empty())
        .ok_or_else(|| "the runtime does not tell where it keeps images".to_owned())?;
    let asked = tokio::task::spawn_blocking(move || {
        let found = rustix::fs::statvfs(place.as_str());
        found.map_err(|error| format!("{place}: its file system cannot be asked: {error}"))
    });
    let found = asked.await.map_err(|error| chain(&error))??;
    Ok(Disk {
        capacity: found.f_blocks.saturating_mul(found.f_frsize),
        available: found.f_bavail.saturating_mul(found.f_frsize),
    })
}

#[cfg(test)]
mod tests;
