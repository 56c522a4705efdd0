//! The story as far as it is told: where it happens, what was checked, how long things took.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use cri::Runtime as _;
use image::{Built, Image};
use pod_rig::{Instance, Node, pod};
use serde_json::{Value, json};

use crate::{
    backend::Backend,
    paper::{Paper, Row, seconds},
    seal::Seal,
};

/// What people mean by being stopped; the panic that ends a story is told from others by it.
pub(crate) const STOPPED: &str = "stopped";
const WEB: &str = "127.0.0.1:8080";
const PROVIDER: &str = "bao-kms-provider";

/// Programs of this workspace, all of one build.
pub(crate) struct Programs {
    pub(crate) staticpodd: PathBuf,
    pub(crate) provider: PathBuf,
    pub(crate) bao_dev: PathBuf,
}

pub(crate) struct Tale<'a> {
    pub(crate) paper: &'a Paper,
    pub(crate) rows: &'a mut Vec<Row>,
    pub(crate) programs: &'a Programs,
    /// Somebody does not want to hear the rest.
    pub(crate) stop: &'a AtomicBool,
    pub(crate) backend: Option<Backend>,
    /// Two versions of the provider.
    pub(crate) images: Vec<Built>,
    pub(crate) seal: Option<Seal>,
    pub(crate) node: Node,
}

impl Tale<'_> {
    /// Tells a fact that has just been made sure of.
    pub(crate) fn checked(&mut self, fact: impl Into<String>) {
        let fact = fact.into();
        self.paper.checked(&fact);
        if let Some(row) = self.rows.last_mut() {
            row.facts.push(fact);
        }
    }

    /// As [`Tale::checked`], and notes how long it took until it was so.
    pub(crate) fn well(&mut self, began: Instant, fact: impl Into<String>) {
        let (took, fact) = (began.elapsed(), fact.into());
        self.paper
            .checked(&format!("{fact}, after {}", seconds(took)));
        if let Some(row) = self.rows.last_mut() {
            row.well = Some(took);
            row.facts.push(fact);
        }
    }

    /// Waits; ends the story where somebody wants that.
    pub(crate) fn until(&self, what: &str, mut test: impl FnMut(&Self) -> bool) -> Duration {
        self.node.until(what, |_| {
            assert!(!self.stop.load(Ordering::Relaxed), "{STOPPED}");
            test(self)
        })
    }

    /// Shows the pods as soon as the agent says that all are ready.
    pub(crate) fn show_pods(&self) {
        let mut said = String::new();
        self.until("all pods are ready", |tale| {
            said = tale.pods();
            !said.contains(" 0/")
        });
        self.paper.say("  staticpodd get pods");
        self.paper.quote(&said);
    }

    fn pods(&self) -> String {
        let mut command = Command::new(&self.programs.staticpodd);
        command.args(["get", "pods", "--socket"]);
        let said = command.arg(self.node.socket()).output();
        let said = said.expect("staticpodd answers");
        let errors = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{errors}");
        String::from_utf8_lossy(&said.stdout).into_owned()
    }

    /// Where the provider's files lie on the node.
    pub(crate) fn host(&self) -> PathBuf {
        self.node.home().join("host")
    }

    /// The manifest of a web server that answers with this text.
    pub(crate) fn web(text: &str) -> Value {
        let mut pod = pod("web", &[&format!("serve={WEB}={text}"), "hang"]);
        if let Some(container) = pod.pointer_mut("/spec/containers/0") {
            let probe = json!({"httpGet": {"host": "127.0.0.1", "port": 8080}, "periodSeconds": 1});
            container
                .as_object_mut()
                .map(|container| container.insert("readinessProbe".to_owned(), probe));
        }
        pod
    }

    pub(crate) fn web_says(&self, text: &str) -> bool {
        self.node.get(WEB, "/").contains(text)
    }

    /// Two images of the provider that differ in a label, and so in their digests.
    pub(crate) fn build_images(&mut self) {
        let small = tempfile::NamedTempFile::new().expect("a file");
        let mut strip = Command::new("strip");
        strip
            .arg("-o")
            .arg(small.path())
            .arg(&self.programs.provider);
        let stripped = strip.status().is_ok_and(|status| status.success());
        let program: &Path = if stripped {
            small.path()
        } else {
            &self.programs.provider
        };
        let inside = "/usr/bin/bao-kms-provider";
        let image = Image::new()
            .program(inside, program)
            .and_then(|image| image.dir("/tmp", 0o1777))
            .expect("an image of the provider")
            .entrypoint([inside])
            .user("65532:65532");
        for version in ["1", "2"] {
            let image = image.clone();
            let image = image.label("org.opencontainers.image.version", version);
            let name = format!("registry.local/{PROVIDER}:{version}");
            let built = image.build(&name).expect("an image of the provider");
            self.node.rig().import(&built).expect("containerd takes it");
            self.images.push(built);
        }
    }

    /// The provider's manifest with one of its images.
    pub(crate) fn manifest(&self, version: usize) -> String {
        let image = self.images.get(version).map(Built::pinned);
        include_str!("../../staticpodd/tests/stories/provider.yaml")
            .replace("IMAGE", &image.unwrap_or_default())
            .replace("HOST", &self.host().to_string_lossy())
    }

    pub(crate) fn put_provider(&self, manifest: &str) {
        self.node.put_text(&format!("{PROVIDER}.yaml"), manifest);
    }

    pub(crate) fn remove_provider(&self) {
        self.node.remove(PROVIDER);
    }

    /// The provider's container, if it runs.
    pub(crate) fn provider(&self) -> Option<Instance> {
        self.node.runs(PROVIDER, "provider")
    }

    /// Waits until a version of the provider is ready.
    pub(crate) fn until_serves(&self, version: usize) -> Instance {
        let mut serving = None;
        self.until("the provider is ready", |tale| {
            let found = tale.provider();
            let found = found.filter(|found| tale.is_of(found, version));
            let ready = || tale.node.get("127.0.0.1:8082", "/ready").contains("200 OK");
            serving = found.filter(|_| ready());
            serving.is_some()
        });
        serving.expect("was found")
    }

    fn is_of(&self, instance: &Instance, version: usize) -> bool {
        let asked = self
            .node
            .ask(async |client| client.container_status(&instance.id, false).await);
        let image = self.images.get(version).map(|image| &image.manifest);
        // It may be gone by now.
        asked.is_ok_and(|asked| {
            image.is_some_and(|image| asked.status.image_ref.ends_with(image.as_str()))
        })
    }

    /// Whether the provider opens what it sealed at first.
    pub(crate) fn opens(&self) -> bool {
        self.seal.as_ref().is_some_and(Seal::opens)
    }

    /// Whether an operator who asks first is told that a manifest is sound.
    pub(crate) fn is_sound(&self, manifest: &str) -> bool {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(format!("{PROVIDER}.yaml"));
        fs::write(&file, manifest).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("a mode");
        let mut check = Command::new(&self.programs.staticpodd);
        let checked = check.args(["check", "--strict"]).arg(&file).output();
        checked.is_ok_and(|checked| checked.status.success())
    }
}
