//! What may be asked, and what comes of it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use agent::{Gone, Handle, Overview, PodView};
use bytes::Bytes;
use cri::{Runtime, v1::ExecRequest};
use futures_util::{Stream, stream::unfold};
use http::StatusCode;
use jiff::Timestamp;
use launch::{logs::Logs, names::check_uid};
use pace::Clock;
use plan::PodKey;
use pod::api;
use podctl::{document::State, request};
use tokio::{sync::watch, time::sleep};

use super::{
    answer::{Answer, Refused, document, done, stream},
    log::{Reader, Step, Wish, attempts},
    tunnel::{self, Half},
};
use crate::{
    annals::Annals,
    causes::chain,
    documents::{self, Place},
};

/// Between two looks at a log that is followed, and between two lines of a watch.
const LOOK: Duration = Duration::from_millis(100);
/// Between two looks at what nothing tells of.
const RARE: Duration = Duration::from_secs(2);

/// Who knows the answers.
pub(crate) struct Office {
    pub(crate) agent: Handle,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) annals: Arc<Annals>,
    pub(crate) place: Place,
    pub(crate) logs: Logs,
    pub(crate) clock: Arc<dyn Clock>,
}

fn gone(gone: Gone) -> Refused {
    Refused::new(StatusCode::SERVICE_UNAVAILABLE, gone.to_string())
}

/// The instances of a container that log files speak of, and where.
struct Shelf {
    directory: std::path::PathBuf,
    attempts: BTreeSet<u32>,
}

impl Office {
    pub(crate) async fn pods(&self) -> Result<Answer, Refused> {
        let overview = self.agent.view().await.map_err(gone)?;
        Ok(document(&documents::pod_list(&overview)))
    }

    pub(crate) async fn state(&self) -> Result<Answer, Refused> {
        Ok(document(&self.told().await.map_err(gone)?))
    }

    async fn told(&self) -> Result<State, Gone> {
        let overview = self.agent.view().await?;
        Ok(documents::state(&overview, &self.annals, &self.place))
    }

    /// A line now, and whenever something but the time is another.
    pub(crate) fn watch(self: Arc<Self>) -> Answer {
        let changes = self.agent.changes();
        let lines = unfold(
            (self, changes, None::<State>),
            async |(office, mut changes, before)| {
                loop {
                    if before.is_some() {
                        changed(&mut changes, RARE).await?;
                        sleep(LOOK).await;
                    }
                    let state = office.told().await.ok()?;
                    let same = before.as_ref().is_some_and(|before| {
                        let time = before.time.clone();
                        let now = State {
                            time,
                            ..state.clone()
                        };
                        now == *before
                    });
                    if same {
                        continue;
                    }
                    let mut line = serde_json::to_vec(&state).unwrap_or_default();
                    line.push(b'\n');
                    return Some((Bytes::from(line), (office, changes, Some(state))));
                }
            },
        );
        stream("application/json", lines)
    }

    pub(crate) async fn restart(&self, asked: &request::Restart) -> Result<Answer, Refused> {
        let overview = self.agent.view().await.map_err(gone)?;
        let view = self.find(&overview, &asked.namespace, &asked.pod)?;
        if let Some(container) = &asked.container {
            let _ = of_pod(view, container)?;
        }
        let restarting = self
            .agent
            .restart(view.key.clone(), asked.container.clone());
        match restarting.await.map_err(gone)? {
            true => Ok(done()),
            false => Err(Refused::new(
                StatusCode::CONFLICT,
                match &asked.container {
                    Some(container) => {
                        format!("container {container} of pod {} does not run", view.key)
                    }
                    None => format!("pod {} has no manifest any more", view.key),
                },
            )),
        }
    }

    pub(crate) async fn stop_all(&self, asked: &request::StopAll) -> Result<Answer, Refused> {
        tracing::warn!(grace_s = asked.grace_seconds, "agent.halted");
        let grace = asked.grace_seconds.map(Duration::from_secs);
        match self.agent.stop_all(grace).await.map_err(gone)? {
            true => Ok(done()),
            false => Err(Refused::new(
                StatusCode::CONFLICT,
                "somebody took that back with start-all before everything was stopped",
            )),
        }
    }

    pub(crate) async fn start_all(&self) -> Result<Answer, Refused> {
        match self.agent.start_all().await.map_err(gone)? {
            true => {
                tracing::info!("agent.released");
                Ok(done())
            }
            false => Err(Refused::new(
                StatusCode::CONFLICT,
                "nothing was told to stop: what does not run waits for something else, which get pods and describe pod say",
            )),
        }
    }

    fn find<'a>(
        &self,
        overview: &'a Overview,
        namespace: &str,
        name: &str,
    ) -> Result<&'a PodView, Refused> {
        let found = documents::find(overview, namespace, name, &self.place.node);
        let missing = || {
            let message = format!("pod {namespace}/{name} is not known to the agent");
            Refused::new(StatusCode::NOT_FOUND, message)
        };
        found.ok_or_else(missing)
    }

    /// Prepares the streams of a command.
    pub(crate) async fn exec(&self, asked: &request::Exec) -> Result<Half, Refused> {
        let overview = self.agent.view().await.map_err(gone)?;
        let view = self.find(&overview, &asked.namespace, &asked.pod)?;
        let _ = of_pod(view, &asked.container)?;
        let seen = view.seen.iter().zip(&view.pod);
        let running = seen
            .flat_map(|(seen, pod)| seen.instances(&pod.uid, &asked.container))
            .find(|(_, container)| container.alive());
        let Some((_, container)) = running else {
            let message = format!(
                "container {} of pod {} does not run",
                asked.container, view.key
            );
            return Err(Refused::new(StatusCode::CONFLICT, message));
        };
        let request = ExecRequest {
            container_id: container.id.clone(),
            cmd: asked.command.clone(),
            tty: asked.tty,
            stdin: asked.stdin,
            stdout: true,
            stderr: !asked.tty,
        };
        let bad = |message: String| Refused::new(StatusCode::BAD_GATEWAY, message);
        let url = self.runtime.exec(request).await;
        let url = url.map_err(|error| bad(chain(&error)))?;
        tracing::info!(
            pod = %view.key,
            container = asked.container,
            id = container.id,
            "container.entered"
        );
        tunnel::reach(&url).await.map_err(bad)
    }

    pub(crate) async fn logs(self: Arc<Self>, asked: request::Logs) -> Result<Answer, Refused> {
        let overview = self.agent.view().await.map_err(gone)?;
        let view = self.find(&overview, &asked.namespace, &asked.pod)?;
        let status = of_pod(view, &asked.container)?;
        let shelf = self.shelf(view, &asked.container).await?;
        let attempt = chosen(&asked, &shelf.attempts, status, &view.key)?;
        let now = self.clock.now().wall;
        let since = asked.since_seconds.map(|age| {
            let age = i64::try_from(age).unwrap_or(i64::MAX);
            Timestamp::from_second(now.saturating_sub(age)).unwrap_or_default()
        });
        let wish = Wish {
            directory: shelf.directory,
            attempt,
            tail: asked.tail,
            since,
            timestamps: asked.timestamps,
            follow: asked.follow && !asked.previous,
        };
        let follow = wish.follow;
        let reader = blocking(move || Reader::new(wish)).await?;
        let end = End {
            key: view.key.clone(),
            uid: uid(view),
            container: asked.container,
            changes: self.agent.changes(),
            office: self,
            checked: false,
        };
        Ok(stream("text/plain", read(reader, follow.then_some(end))))
    }

    async fn shelf(&self, view: &PodView, container: &str) -> Result<Shelf, Refused> {
        let uid = uid(view);
        let directory = format!("{}_{}_{uid}", view.key.namespace, view.key.name);
        // All of it was read from a manifest, and was checked there; a name of a directory
        // leads nowhere else all the same.
        let is_safe =
            check_uid(&uid).is_ok() && !directory.contains('/') && !container.contains('/');
        if !is_safe {
            return Err(Refused::new(StatusCode::NOT_FOUND, "there is no such log"));
        }
        let directory = self.logs.pods.join(directory).join(container);
        blocking(move || {
            Ok(Shelf {
                attempts: attempts(&directory),
                directory,
            })
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Refused> {
    let broken = |why: String| {
        Refused::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the log cannot be read: {why}"),
        )
    };
    match tokio::task::spawn_blocking(job).await {
        Ok(done) => done.map_err(|error| broken(error.to_string())),
        Err(error) => Err(broken(error.to_string())),
    }
}

fn uid(view: &PodView) -> String {
    if let Some(pod) = &view.pod {
        return pod.uid.clone();
    }
    let mut ours = view.seen.iter().flat_map(|seen| seen.ours());
    ours.next().map(|s| s.uid.clone()).unwrap_or_default()
}

/// The status of a container that the pod has; none before its first one.
fn of_pod<'a>(
    view: &'a PodView,
    container: &str,
) -> Result<Option<&'a api::ContainerStatus>, Refused> {
    let spec = view.pod.as_ref().and_then(|pod| pod.api.spec.as_ref());
    let mut has = spec.into_iter().flat_map(|spec| {
        let init = spec.init_containers.iter().flatten();
        init.chain(&spec.containers)
    });
    if spec.is_some() && !has.any(|has| has.name == container) {
        let message = format!("container {container} not found in pod {}", view.key);
        return Err(Refused::new(StatusCode::NOT_FOUND, message));
    }
    let init = view.status.init_container_statuses.iter().flatten();
    let mains = view.status.container_statuses.iter().flatten();
    Ok(init.chain(mains).find(|status| status.name == container))
}

/// The instance whose log is meant.
fn chosen(
    asked: &request::Logs,
    attempts: &BTreeSet<u32>,
    status: Option<&api::ContainerStatus>,
    pod: &PodKey,
) -> Result<u32, Refused> {
    let container = &asked.container;
    let state = status.and_then(|status| status.state.as_ref());
    let last = attempts.last().copied();
    if asked.previous {
        let running = state.and_then(|state| state.running.as_ref());
        // One that waits to be started again has no present instance.
        let before = match running {
            None => last,
            Some(_) => last.and_then(|last| attempts.range(..last).next_back().copied()),
        };
        let missing = || {
            let message =
                format!("previous terminated container \"{container}\" in pod \"{pod}\" not found");
            Refused::new(StatusCode::NOT_FOUND, message)
        };
        return before.ok_or_else(missing);
    }
    let missing = || {
        let waiting = state.and_then(|state| state.waiting.as_ref());
        let reason = waiting.and_then(|waiting| waiting.reason.clone());
        let reason = reason.unwrap_or_else(|| "no log yet".to_owned());
        let message =
            format!("container \"{container}\" in pod \"{pod}\" is waiting to start: {reason}");
        Refused::new(StatusCode::CONFLICT, message)
    };
    last.ok_or_else(missing)
}

/// Waits for a change, or until it is time to look anyway; nothing once nobody changes anything.
async fn changed(changes: &mut watch::Receiver<u64>, limit: Duration) -> Option<()> {
    match tokio::time::timeout(limit, changes.changed()).await {
        Ok(Err(_)) => None,
        Ok(Ok(())) | Err(_) => Some(()),
    }
}

/// Knows when a log that is followed is over.
struct End {
    key: PodKey,
    uid: String,
    container: String,
    changes: watch::Receiver<u64>,
    office: Arc<Office>,
    checked: bool,
}

impl End {
    /// Whether no instance of the container will write any more.
    async fn has_come(&mut self) -> bool {
        match self.changes.has_changed() {
            Ok(false) if self.checked => return false,
            Err(_) => return true,
            Ok(_) => {}
        }
        let _ = self.changes.borrow_and_update();
        self.checked = true;
        let Ok(overview) = self.office.agent.view().await else {
            return true;
        };
        let mut pods = overview.pods.iter();
        let Some(view) = pods.find(|view| view.key == self.key) else {
            return true;
        };
        uid(view) != self.uid || is_over(view, &self.container)
    }
}

fn is_over(view: &PodView, container: &str) -> bool {
    if matches!(view.status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return true;
    }
    let Ok(Some(status)) = of_pod(view, container) else {
        return false;
    };
    let state = status.state.as_ref();
    let Some(end) = state.and_then(|state| state.terminated.as_ref()) else {
        return false;
    };
    let spec = view.pod.as_ref().and_then(|pod| pod.api.spec.as_ref());
    let policy = spec.and_then(|spec| spec.restart_policy.as_deref());
    let mut init = spec
        .into_iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    let is_init = init.any(|init| init.name == container && init.restart_policy.is_none());
    match policy {
        Some("Never") => true,
        Some("OnFailure") => end.exit_code == 0,
        _ => is_init && end.exit_code == 0,
    }
}

/// A log, and with an [`End`] what is still to come.
fn read(reader: Reader, end: Option<End>) -> impl Stream<Item = Bytes> + Send {
    unfold(
        (Some(reader), end, false),
        async |(reader, mut end, mut last)| {
            let mut reader = reader?;
            loop {
                let stepping = tokio::task::spawn_blocking(move || {
                    let step = reader.step();
                    (reader, step)
                });
                let (back, step) = stepping.await.ok()?;
                reader = back;
                match step {
                    Ok(Step::Some(text)) => {
                        return Some((Bytes::from(text), (Some(reader), end, last)));
                    }
                    Err(error) => {
                        // The head of the answer is out; this is the place that is left.
                        let text = format!("staticpodd: the log cannot be read: {error}\n");
                        return Some((Bytes::from(text), (None, None, true)));
                    }
                    Ok(Step::Idle) if last => return None,
                    Ok(Step::Idle) => match &mut end {
                        None => return None,
                        Some(end) => {
                            // What was written just before the end is read, too.
                            last = end.has_come().await;
                            sleep(LOOK).await;
                        }
                    },
                }
            }
        },
    )
}
