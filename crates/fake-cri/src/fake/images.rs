//! Images, and the registry that they come from.

use cri::{
    Fault,
    v1::{Image, ImageSpec, Int64Value},
};
use sha2::{Digest as _, Sha256};

use super::words::{not_found, refused};

/// An image of the fake: what it is called and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeImage {
    /// With its tag, as a manifest has it. Short names mean what they mean to containerd.
    pub name: String,
    /// Always run. The program `/workload` understands the words of [`crate::script`]; any other
    /// runs until SIGTERM, and one below `/no/` cannot be started.
    pub entrypoint: Vec<String>,
    /// Its arguments, unless others are given.
    pub cmd: Vec<String>,
    /// Who runs it, `None` is root.
    pub uid: Option<i64>,
    /// Who runs it by name, where it says no number.
    pub username: String,
    /// Reported as pinned.
    pub pinned: bool,
}

impl FakeImage {
    /// An image with the test program, which by itself does what `words` say.
    #[must_use]
    pub fn workload(name: &str, words: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            entrypoint: vec!["/workload".to_owned()],
            cmd: words.iter().map(|word| (*word).to_owned()).collect(),
            uid: None,
            username: String::new(),
            pinned: false,
        }
    }

    /// The digest of its manifest: other content, other digest.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256(&format!("manifest {self:?}"))
    }

    /// What the runtime calls it.
    #[must_use]
    pub fn id(&self) -> String {
        sha256(&format!("config {self:?}"))
    }

    /// The name with the digest instead of the tag.
    #[must_use]
    pub fn pinned_name(&self) -> String {
        let name = normal(&self.name);
        let repository = name
            .rsplit_once(':')
            .map_or(name.as_str(), |(before, _)| before);
        format!("{repository}@{}", self.digest())
    }

    fn answers_to(&self, name: &str) -> bool {
        let wanted = normal(name);
        name == self.id() || wanted == normal(&self.name) || wanted == self.pinned_name()
    }
}

fn sha256(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A name in full, as containerd completes it.
fn normal(name: &str) -> String {
    if name.starts_with("sha256:") {
        return name.to_owned();
    }
    let (rest, digest) = match name.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (name, None),
    };
    let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
    let full = match rest.split_once('/') {
        Some((host, _)) if is_host(host) => rest.to_owned(),
        Some(_) => format!("docker.io/{rest}"),
        None => format!("docker.io/library/{rest}"),
    };
    let (repository, tag) = match full.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository.to_owned(), tag.to_owned()),
        _ => (full, "latest".to_owned()),
    };
    match digest {
        Some(digest) => format!("{repository}@{digest}"),
        None => format!("{repository}:{tag}"),
    }
}

/// What is on the disk, and what could be fetched.
#[derive(Default)]
pub(super) struct Images {
    stored: Vec<FakeImage>,
    registry: Vec<FakeImage>,
    registry_is_down: bool,
}

impl Images {
    /// On the disk. An older one of the same name loses it.
    pub(super) fn store(&mut self, image: FakeImage) {
        let name = normal(&image.name);
        self.stored.retain(|stored| normal(&stored.name) != name);
        self.stored.push(image);
    }

    /// In the registry. A newer one of the same name is what a pull of the name brings.
    pub(super) fn offer(&mut self, image: FakeImage) {
        self.registry.insert(0, image);
    }

    pub(super) fn set_registry_down(&mut self, down: bool) {
        self.registry_is_down = down;
    }

    pub(super) fn find(&self, name: &str) -> Option<&FakeImage> {
        self.stored.iter().find(|image| image.answers_to(name))
    }

    pub(super) fn status(&self, name: &str) -> Option<Image> {
        self.find(name).map(described)
    }

    pub(super) fn all(&self) -> Vec<Image> {
        self.stored.iter().map(described).collect()
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Some(id) = self.find(name).map(FakeImage::id) {
            self.stored.retain(|image| image.id() != id);
        }
    }

    /// The id of what was fetched.
    pub(super) fn pull(&mut self, name: &str) -> Result<String, Fault> {
        let full = normal(name);
        let what = format!(
            "failed to pull and unpack image \"{full}\": failed to resolve reference \"{full}\""
        );
        // Nobody listens on the first port, here as there.
        if self.registry_is_down || full.contains(":1/") {
            let why =
                format!("{what}: failed to do request: dial tcp: connect: connection refused");
            return Err(refused("UNKNOWN", why));
        }
        let offered = self.registry.iter().find(|image| image.answers_to(name));
        let image = offered
            .cloned()
            .ok_or_else(|| not_found(format!("{what}: not found")))?;
        let id = image.id();
        self.store(image);
        Ok(id)
    }
}

fn described(image: &FakeImage) -> Image {
    Image {
        id: image.id(),
        repo_tags: vec![normal(&image.name)],
        repo_digests: vec![image.pinned_name()],
        size: 1 << 20,
        uid: image.uid.map(|value| Int64Value { value }),
        username: image.username.clone(),
        spec: Some(ImageSpec::default()),
        pinned: image.pinned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_completed_as_containerd_does() {
        for (short, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("a/b:1", "docker.io/a/b:1"),
            ("localhost/x", "localhost/x:latest"),
            ("r.local:5000/x", "r.local:5000/x:latest"),
            ("r.local/x:1@sha256:00", "r.local/x@sha256:00"),
            ("sha256:00", "sha256:00"),
        ] {
            assert_eq!(normal(short), full);
        }
    }

    #[test]
    fn a_registry_gives_what_it_has_while_it_is_up() {
        let mut images = Images::default();
        let image = FakeImage::workload("r.local/x:1", &["hang"]);
        images.offer(image.clone());
        assert!(matches!(
            images.pull("r.local/y:1"),
            Err(Fault::NotFound { .. })
        ));
        images.set_registry_down(true);
        assert!(matches!(
            images.pull("r.local/x:1"),
            Err(Fault::Refused { .. })
        ));
        images.set_registry_down(false);
        assert_eq!(images.pull(&image.pinned_name()).unwrap(), image.id());
        assert_eq!(images.status("r.local/x:1").unwrap().id, image.id());
        let newer = FakeImage::workload("r.local/x:1", &["exit=0"]);
        assert_ne!(newer.digest(), image.digest());
        images.offer(newer.clone());
        assert_eq!(images.pull("r.local/x:1").unwrap(), newer.id());
        assert_eq!(
            images.status(&image.pinned_name()),
            None,
            "the name moved on"
        );
    }
}
