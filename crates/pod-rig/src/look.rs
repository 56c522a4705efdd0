//! What there is on a node.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use cri::{
    Client, Runtime as _,
    v1::{PodSandbox, PodSandboxState},
};

use crate::{
    node::{CLASSES, Node, trees},
    sight::{Instance, instances},
};

impl Node {
    /// Asks a web server in the node's network; the whole answer, empty without one.
    #[must_use]
    pub fn get(&self, address: &str, path: &str) -> String {
        let Some((host, port)) = address.rsplit_once(':') else {
            return String::new();
        };
        let script = format!(
            "exec 3<>/dev/tcp/{host}/{port} && \
             printf 'GET {path} HTTP/1.0\\r\\nHost: {host}\\r\\n\\r\\n' >&3 && cat <&3"
        );
        let mut asking = self.rig.enter("timeout");
        let asked = asking.args(["5", "bash", "-c", &script]).output();
        let text = asked.map(|asked| asked.stdout).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Puts a question to the runtime.
    pub fn ask<T>(&self, question: impl AsyncFnOnce(&Client) -> T) -> T {
        self.runtime.block_on(question(&self.client))
    }

    fn is_ours(&self, pod: &str) -> bool {
        pod.ends_with(&format!("-{}", self.name))
    }

    /// This node's containers in whatever state; none where the runtime does not answer.
    #[must_use]
    pub fn instances(&self) -> Vec<Instance> {
        let all = self.ask(async |client| instances(client).await);
        let all = all.unwrap_or_default().into_iter();
        let mut ours: Vec<Instance> = all.filter(|one| self.is_ours(&one.pod)).collect();
        ours.sort();
        ours
    }

    /// Those of its containers that run.
    #[must_use]
    pub fn running(&self) -> Vec<Instance> {
        let mut running = self.instances();
        running.retain(|instance| instance.runs);
        running
    }

    /// The running container of a pod, by the name in its manifest.
    #[must_use]
    pub fn runs(&self, pod: &str, container: &str) -> Option<Instance> {
        let whole = format!("{pod}-{}", self.name);
        let mut running = self.running().into_iter();
        running.find(|one| one.pod == whole && one.container == container)
    }

    /// Waits until the container of a pod runs.
    ///
    /// # Panics
    /// As [`Node::until`].
    #[must_use]
    pub fn until_runs(&self, pod: &str, container: &str) -> Instance {
        let mut found = None;
        self.until(&format!("{pod}/{container} runs"), |node| {
            found = node.runs(pod, container);
            found.is_some()
        });
        found.expect("was found")
    }

    /// This node's sandboxes in whatever state; none where the runtime does not answer.
    #[must_use]
    pub fn sandboxes(&self) -> Vec<PodSandbox> {
        let all = self.ask(async |client| client.list_pod_sandbox(None).await);
        let mut ours = all.unwrap_or_default();
        ours.retain(|sandbox| {
            let metadata = sandbox.metadata.as_ref();
            metadata.is_some_and(|metadata| self.is_ours(&metadata.name))
        });
        ours
    }

    /// The ready sandbox of a pod, by the name in its manifest.
    #[must_use]
    pub fn sandbox_of(&self, pod: &str) -> Option<PodSandbox> {
        let whole = format!("{pod}-{}", self.name);
        let mut sandboxes = self.sandboxes().into_iter();
        sandboxes.find(|sandbox| {
            let metadata = sandbox.metadata.as_ref();
            metadata.is_some_and(|metadata| metadata.name == whole)
                && sandbox.state() == PodSandboxState::SandboxReady
        })
    }

    /// Waits until nothing of its pods is left: in the runtime, on the disk, in the cgroups.
    ///
    /// # Panics
    /// As [`Node::until`].
    pub fn until_empty(&self) -> Duration {
        let uids = self.names("root/pods");
        let took = self.until("nothing is left", |node| {
            node.sandboxes().is_empty()
                && ["root/pods", "root/state", "log/pods", "log/containers"]
                    .iter()
                    .all(|folder| node.names(folder).is_empty())
        });
        for uid in uids {
            assert_eq!(self.cgroups_of(&uid), Vec::<PathBuf>::new());
        }
        took
    }

    /// What a container has written, without the stamps in front; of its newest instance.
    #[must_use]
    pub fn output(&self, pod: &str, container: &str) -> Vec<String> {
        let start = format!("_{pod}-{}_", self.name);
        let pods = self.names("log/pods");
        let Some(pod) = pods.iter().rev().find(|name| name.contains(&start)) else {
            return Vec::new();
        };
        let folder = format!("log/pods/{pod}/{container}");
        let number = |name: &String| name.strip_suffix(".log")?.parse::<u32>().ok();
        let newest = self.names(&folder).iter().filter_map(number).max();
        let file = newest.map(|number| self.home.join(format!("{folder}/{number}.log")));
        let text = file.and_then(|file| fs::read_to_string(file).ok());
        let text = text.unwrap_or_default();
        let words = |line: &str| line.splitn(4, ' ').nth(3).map(str::to_owned);
        text.lines().filter_map(words).collect()
    }

    /// Names below a folder of this node's home.
    #[must_use]
    pub fn names(&self, folder: &str) -> BTreeSet<String> {
        let listed = fs::read_dir(self.home.join(folder));
        let names = listed.into_iter().flatten().flatten();
        names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }

    /// The cgroups of a pod.
    #[must_use]
    pub fn cgroups_of(&self, uid: &str) -> Vec<PathBuf> {
        let places = trees()
            .flat_map(|tree| CLASSES.map(|class| tree.join(class).join(format!("pod{uid}"))));
        places.filter(|place| place.exists()).collect()
    }

    pub(crate) fn remove_pods(&self) {
        for sandbox in self.sandboxes() {
            self.ask(async |client| {
                let _ = client.stop_pod_sandbox(&sandbox.id).await;
                let _ = client.remove_pod_sandbox(&sandbox.id).await;
            });
        }
    }
}
