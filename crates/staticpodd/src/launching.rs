//! Prepares what pods need on this machine, for the agent's loop, and takes it away again.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use agent::{ContainerRequest, Launch, Launched, Refused, SandboxRequest};
use cri::v1::{ContainerConfig, ContainerStatus, PodSandboxConfig};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use launch::{
    Node, Reason, Start,
    cgroup::{CgroupError, Limits, Trees},
    cleaning, envfile,
    host::{HostError, PodDir, Root},
    hostname, hosts,
    logs::{self, Logs},
    mounts::Prepared,
    names, parent, prepare, resources,
    sandbox::{handler, sandbox},
    security::ImageUser,
    termination,
    volumes::Setting,
};
use pace::Clock;
use pod::{Pod, PodKey, api, marks};

use crate::causes::chain;

/// The logs of so many instances of a container are kept, the running one's included.
const KEPT_LOGS: u32 = 3;

/// What was found out about this machine, and where things lie on it.
pub(crate) struct Premises {
    pub(crate) node: Node,
    pub(crate) root: Root,
    pub(crate) logs: Logs,
    /// Where the agent makes cgroups itself.
    pub(crate) trees: Trees,
    pub(crate) clock: Arc<dyn Clock>,
}

/// [`Premises`] behind the door of the agent. Blocking work is done on blocking threads.
pub(crate) struct Launcher(Arc<Premises>);

impl Launcher {
    pub(crate) fn new(premises: Premises) -> Self {
        Self(Arc::new(premises))
    }

    fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Premises) -> Result<T, Refused> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, Refused>> {
        let premises = Arc::clone(&self.0);
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || job(&premises)).await;
            done.unwrap_or_else(|error| Err(refused("AgentFault", &error)))
        })
    }
}

impl Launch for Launcher {
    fn sandbox(
        &self,
        request: SandboxRequest,
    ) -> BoxFuture<'_, Result<Launched<PodSandboxConfig>, Refused>> {
        self.work(move |premises| premises.sandbox(&request))
    }

    fn container(
        &self,
        request: ContainerRequest,
    ) -> BoxFuture<'_, Result<Launched<ContainerConfig>, Refused>> {
        self.work(move |premises| premises.container(&request))
    }

    fn started(&self, request: ContainerRequest, id: String) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let linked = self.work(move |premises| premises.link(&request, &id));
            if let Err(refused) = linked.await {
                tracing::warn!(reason = refused.message, "container.log_unlinked");
            }
        })
    }

    fn last_words(&self, status: ContainerStatus, containers: usize) -> BoxFuture<'_, String> {
        Box::pin(async move {
            let id = status.id.clone();
            let reading = self.work(move |_| said_last(&status, containers));
            reading.await.unwrap_or_else(|refused| {
                tracing::warn!(id, reason = refused.message, "container.last_words_unread");
                String::new()
            })
        })
    }

    fn clean(&self, uid: String, logs: bool) -> BoxFuture<'_, Result<(), Refused>> {
        self.work(move |premises| premises.clean(&uid, logs))
    }

    fn logged(&self, pod: Arc<Pod>) -> BoxFuture<'_, BTreeMap<String, u32>> {
        Box::pin(async move {
            let found = self.work(move |premises| Ok(premises.logged(&pod)));
            found.await.unwrap_or_default()
        })
    }

    fn leftovers(&self) -> BoxFuture<'_, BTreeSet<String>> {
        Box::pin(async move {
            let found = self.work(|premises| premises.root.uids().map_err(of_host));
            found.await.unwrap_or_default().into_iter().collect()
        })
    }
}

fn refused(reason: &str, error: &dyn Error) -> Refused {
    Refused {
        reason: reason.to_owned(),
        message: chain(error),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn of_pod(reason: Reason) -> Refused {
    refused(reason.code(), &reason)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn of_host(error: HostError) -> Refused {
    refused("FailedMount", &error)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn of_cgroup(error: CgroupError) -> Refused {
    refused("FailedCreatePodContainer", &error)
}

fn containers(pod: &Pod) -> impl Iterator<Item = &api::Container> {
    let spec = pod.api.spec.iter();
    spec.flat_map(|spec| {
        let init = spec.init_containers.iter().flatten();
        init.chain(&spec.containers)
    })
}

/// Runtimes are told paths as text.
fn text(path: PathBuf) -> Result<String, Refused> {
    path.into_os_string().into_string().map_err(|path| Refused {
        reason: "FailedMount".to_owned(),
        message: format!("the path {} is not UTF-8", path.display()),
    })
}

impl Premises {
    fn sandbox(&self, request: &SandboxRequest) -> Result<Launched<PodSandboxConfig>, Refused> {
        let pod = &request.pod;
        let config = sandbox(pod, &self.node, request.attempt).map_err(of_pod)?;
        let handler = handler(pod, &self.node).map_err(of_pod)?;
        let directory = self.root.pod(&pod.uid).map_err(of_host)?;
        if !directory.hosts_file().exists() {
            // The addresses come with the first container. Until then this says that there is
            // something to be cleaned up.
            let _ = self.write_hosts(pod, &directory, &[])?;
        }
        for container in containers(pod) {
            let _ = self.logs.make(pod, &container.name).map_err(of_host)?;
        }
        if let Some(launch::node::Driver::Cgroupfs) = self.node.cgroups.driver {
            let whole = pod.api.spec.as_ref().map(resources::whole);
            let limits = whole.map_or_else(Limits::default, |whole| Limits {
                shares: Some(whole.shares),
                quota: whole.quota,
                memory: whole.memory,
                pids: None,
            });
            let cgroup = parent::of(pod, self.node.cgroups);
            self.trees.make(&cgroup, limits).map_err(of_cgroup)?;
        }
        Ok(Launched { config, handler })
    }

    fn container(&self, request: &ContainerRequest) -> Result<Launched<ContainerConfig>, Refused> {
        let pod = &request.pod;
        let mut all = containers(pod);
        let container = all.find(|container| container.name == request.name);
        let container = container.ok_or_else(|| Refused {
            reason: "CreateContainerConfigError".to_owned(),
            message: format!("the pod has no container {}", request.name),
        })?;
        let ips: Vec<String> = request.ips.iter().map(ToString::to_string).collect();
        let directory = self.root.pod(&pod.uid).map_err(of_host)?;
        let environment = launch::environment(pod, &self.node, container, &ips, &|wanted| {
            envfile::value(pod, &directory, wanted).map_err(|error| chain(&error))
        })
        .map_err(of_pod)?;
        let hosts = self.write_hosts(pod, &directory, &ips)?;
        let facts = self.node.facts(pod, &ips);
        let setting = Setting {
            directory: &directory,
            pod,
            facts: &facts,
            now: Timestamp::from_second(self.clock.now().wall).unwrap_or_default(),
        };
        let volumes = prepare::volumes_of(&setting, container, &environment)
            .map_err(|error| refused(error.code(), &error))?;
        let hosts = hosts::are_wanted(container).then(|| text(hosts));
        let place = self.logs.make(pod, &container.name).map_err(of_host)?;
        forget_logs(&place, request.attempt).map_err(of_host)?;
        let start = Start {
            restart_count: request.attempt,
            image: request.image.id.clone(),
            user: ImageUser::of(&request.image),
            environment,
            prepared: Prepared {
                volumes,
                hosts: hosts.transpose()?,
                termination_log: Some(text(last_words(&directory, &container.name)?)?),
            },
        };
        let config = launch::container(pod, &self.node, container, &start).map_err(of_pod)?;
        Ok(Launched {
            config,
            handler: String::new(),
        })
    }

    /// Written only where it says something new: containers that run read it.
    fn write_hosts(
        &self,
        pod: &Pod,
        directory: &PodDir,
        ips: &[String],
    ) -> Result<PathBuf, Refused> {
        let spec = pod.api.spec.as_ref();
        let text = if spec.and_then(|spec| spec.host_network) == Some(true) {
            hosts::on_host(pod, &fs::read_to_string("/etc/hosts").unwrap_or_default())
        } else {
            let name = hostname::of(pod, &self.node.dns).map_err(of_pod)?;
            hosts::of_pod(pod, &name, ips)
        };
        let path = directory.hosts_file();
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            return Ok(path);
        }
        directory.write_hosts(&text).map_err(of_host)
    }

    fn link(&self, request: &ContainerRequest, id: &str) -> Result<(), Refused> {
        let directory = self.logs.of_pod(&request.pod).map_err(of_host)?;
        let log = directory.join(names::container_log(&request.name, request.attempt));
        let linked = self.logs.link(&request.pod, &request.name, id, &log);
        linked.map(drop).map_err(of_host)
    }

    fn logged(&self, pod: &Pod) -> BTreeMap<String, u32> {
        let highest = |container: &api::Container| {
            let next = self.logs.next_restart_count(pod, &container.name).ok()?;
            Some((container.name.clone(), next.checked_sub(1)?))
        };
        containers(pod).filter_map(highest).collect()
    }

    /// The directory goes last: as long as it is there, the next run of the agent knows that
    /// something is left.
    fn clean(&self, uid: &str, logs: bool) -> Result<(), Refused> {
        names::check_uid(uid).map_err(of_pod)?;
        if logs {
            self.remove_logs(uid).map_err(of_host)?;
        }
        for cgroup in parent::every(uid, self.node.cgroups) {
            self.trees
                .remove(&cgroup)
                .map_err(|error| refused("FailedKillPod", &error))?;
        }
        let directory = self.root.pod(uid).map_err(of_host)?;
        cleaning::remove(&directory).map_err(of_host)
    }

    /// The logs of every pod that had the uid, and what leads to them.
    fn remove_logs(&self, uid: &str) -> Result<(), HostError> {
        let mut dead = BTreeSet::new();
        for name in entries(&self.logs.pods) {
            let mut parts = name.splitn(3, '_');
            let (Some(namespace), Some(pod), Some(found)) =
                (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            if found == uid {
                dead.extend(self.links_to(&self.logs.pods.join(&name)));
                let key = PodKey {
                    namespace: namespace.to_owned(),
                    name: pod.to_owned(),
                };
                self.logs.remove(&key, uid)?;
            }
        }
        if !dead.is_empty() {
            let _ = self.logs.remove_dead_links(|id| !dead.contains(id))?;
        }
        Ok(())
    }

    /// The ends of the names of links, by which [`Logs`] knows containers.
    fn links_to(&self, directory: &Path) -> Vec<String> {
        let leads_there = |name: &String| {
            let target = fs::read_link(self.logs.links.join(name));
            target.is_ok_and(|target| target.starts_with(directory))
        };
        let id = |name: String| {
            let (_, id) = name.strip_suffix(".log")?.rsplit_once('-')?;
            Some(id.to_owned())
        };
        let links = entries(&self.logs.links).into_iter();
        links.filter(leads_there).filter_map(id).collect()
    }
}

/// Names in a directory; none where it is not there.
fn entries(directory: &Path) -> Vec<String> {
    let listed = fs::read_dir(directory).into_iter().flatten().flatten();
    listed
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// A container that ends again and again must not fill the disk with the logs of each time.
fn forget_logs(directory: &Path, attempt: u32) -> Result<(), HostError> {
    match attempt.checked_sub(KEPT_LOGS) {
        Some(old) => logs::remove(&directory.join(format!("{old}.log"))),
        None => Ok(()),
    }
}

/// A new file for the last words of a container. Those of all but the last instance go.
fn last_words(directory: &PodDir, container: &str) -> Result<PathBuf, Refused> {
    let place = directory.path().join("containers").join(container);
    let age = |name: &String| {
        let found = fs::symlink_metadata(place.join(name));
        found.and_then(|found| found.modified()).ok()
    };
    let mut files = entries(&place);
    files.sort_by_key(age);
    let _ = files.pop();
    for file in files {
        // What stays is empty or small, and goes with the pod.
        let _ = fs::remove_file(place.join(file));
    }
    termination::create(directory, container).map_err(of_host)
}

/// The text for the status of a container that has ended: from its file, or the end of its log.
fn said_last(status: &ContainerStatus, containers: usize) -> Result<String, Refused> {
    let mark = |name: &str| status.annotations.get(name).map(String::as_str);
    let inside = mark(marks::MESSAGE_PATH);
    let mut mounts = status.mounts.iter();
    let file = mounts.find(|mount| inside == Some(&mount.container_path));
    let ended = termination::Ended {
        file: file.map(|mount| Path::new(&mount.host_path)),
        log: Some(Path::new(&status.log_path)).filter(|path| path.is_absolute()),
        falls_back: mark(marks::MESSAGE_POLICY) == Some("FallbackToLogsOnError"),
        has_failed: status.exit_code != 0 || status.reason == "OOMKilled",
    };
    let words = termination::message(&ended).map_err(of_host)?;
    Ok(termination::share(&words, containers).to_owned())
}

#[cfg(test)]
mod tests;
