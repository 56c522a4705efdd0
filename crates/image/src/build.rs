//! From a tree and a few words to an archive.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};

use crate::{
    digest::sha256,
    tar::Tar,
    tree::{Tree, TreeError},
};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What an image is to hold and to do. Each method takes the value and gives it back.
///
/// ```
/// let image = image::Image::new()
///     .file("/etc/motd", 0o644, "hello\n")?
///     .entrypoint(["/bin/server"])
///     .user("65532:65532");
/// let built = image.build("registry.example/server:1")?;
/// assert!(built.manifest.starts_with("sha256:"));
/// # Ok::<(), image::TreeError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Image {
    tree: Tree,
    entrypoint: Vec<String>,
    arguments: Vec<String>,
    user: String,
    environment: Vec<String>,
    labels: BTreeMap<String, String>,
    stop_signal: Option<String>,
    modified: u64,
}

/// A finished image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The name it was built under, with its tag.
    pub name: String,
    /// `sha256:...` of the manifest: what a digest in a Pod pins.
    pub manifest: String,
    /// `sha256:...` of the config: what runtimes call the image's id.
    pub config: String,
    /// `sha256:...` of the layer.
    pub layer: String,
    /// An OCI layout in a tar archive.
    pub archive: Vec<u8>,
}

impl Built {
    /// The name with the digest instead of the tag.
    #[must_use]
    pub fn pinned(&self) -> String {
        format!("{}@{}", self.repository(), self.manifest)
    }

    /// The name without the tag.
    #[must_use]
    pub fn repository(&self) -> &str {
        match self.name.rsplit_once(':') {
            // A colon before a slash belongs to a port.
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => &self.name,
        }
    }
}

impl Image {
    /// Nothing, that runs nothing, as root, in `/`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A file of root at an absolute path; the directories above it are made.
    ///
    /// # Errors
    /// [`TreeError`] for a path that cannot be, here and in all that follow.
    pub fn file(
        mut self,
        path: &str,
        mode: u32,
        content: impl Into<Vec<u8>>,
    ) -> Result<Self, TreeError> {
        self.tree.file(path, mode, content.into())?;
        Ok(self)
    }

    /// A directory of root.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn dir(mut self, path: &str, mode: u32) -> Result<Self, TreeError> {
        self.tree.directory(path, mode)?;
        Ok(self)
    }

    /// A program of this machine, with the libraries that `ldd` names for it.
    ///
    /// # Errors
    /// [`TreeError`], also where `source` or one of its libraries cannot be read.
    pub fn program(mut self, path: &str, source: &Path) -> Result<Self, TreeError> {
        self.tree.program(path, source)?;
        Ok(self)
    }

    /// What always runs.
    #[must_use]
    pub fn entrypoint<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.entrypoint = words.into_iter().map(Into::into).collect();
        self
    }

    /// Its arguments when nobody gives others.
    #[must_use]
    pub fn cmd<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.arguments = words.into_iter().map(Into::into).collect();
        self
    }

    /// Who runs it: `uid`, `uid:gid` or names.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    /// One variable more.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push(format!("{name}={value}"));
        self
    }

    /// One label more.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Instead of SIGTERM.
    #[must_use]
    pub fn stop_signal(mut self, signal: &str) -> Self {
        self.stop_signal = Some(signal.to_owned());
        self
    }

    /// The time that every file bears, and the image too, seconds since 1970. 1970 otherwise.
    #[must_use]
    pub fn modified(mut self, seconds: u64) -> Self {
        self.modified = seconds;
        self
    }

    /// The image, for this machine's architecture, called `name` (with a tag).
    ///
    /// # Errors
    /// [`TreeError::Path`] for a path that is too long for the format.
    pub fn build(&self, name: &str) -> Result<Built, TreeError> {
        let layer = self.tree.tar(self.modified)?;
        let layer_digest = sha256(&layer);
        let config = text(&self.config(&layer_digest));
        let config_digest = sha256(&config);
        let manifest = text(&json!({
            "config": descriptor(CONFIG, &config_digest, &config),
            "layers": [descriptor(LAYER, &layer_digest, &layer)],
            "mediaType": MANIFEST,
            "schemaVersion": 2,
        }));
        let manifest_digest = sha256(&manifest);
        let built = Built {
            name: name.to_owned(),
            manifest: manifest_digest,
            config: config_digest,
            layer: layer_digest,
            archive: Vec::new(),
        };
        let archive = self.archive(&built, &[layer, config, manifest])?;
        Ok(Built { archive, ..built })
    }

    fn config(&self, layer: &str) -> Value {
        let mut running = json!({
            "Entrypoint": self.entrypoint,
            "Env": self.environment,
            "Labels": self.labels,
            "User": self.user,
            "WorkingDir": "/",
        });
        if !self.arguments.is_empty() {
            insert(&mut running, "Cmd", json!(self.arguments));
        }
        if let Some(signal) = &self.stop_signal {
            insert(&mut running, "StopSignal", json!(signal));
        }
        json!({
            "architecture": architecture(),
            "config": running,
            "os": "linux",
            "rootfs": {"diff_ids": [layer], "type": "layers"},
        })
    }

    fn archive(&self, built: &Built, blobs: &[Vec<u8>; 3]) -> Result<Vec<u8>, TreeError> {
        let [layer, config, manifest] = blobs;
        let mut entry = descriptor(MANIFEST, &built.manifest, manifest);
        let tag = built.name.get(built.repository().len() + 1..);
        let annotations = json!({
            "io.containerd.image.name": built.name,
            "org.opencontainers.image.ref.name": tag.unwrap_or("latest"),
        });
        insert(&mut entry, "annotations", annotations);
        let index = text(&json!({"manifests": [entry], "schemaVersion": 2}));
        let layout = text(&json!({"imageLayoutVersion": "1.0.0"}));

        let mut files: BTreeMap<String, &[u8]> = BTreeMap::new();
        files.insert("index.json".to_owned(), &index);
        files.insert("oci-layout".to_owned(), &layout);
        for (digest, blob) in [
            (&built.layer, layer),
            (&built.config, config),
            (&built.manifest, manifest),
        ] {
            let hex = digest.trim_start_matches("sha256:");
            files.insert(format!("blobs/sha256/{hex}"), blob);
        }
        let mut tar = Tar::new(self.modified);
        let fits = (|| {
            tar.directory("blobs", 0o755)?;
            tar.directory("blobs/sha256", 0o755)?;
            files
                .iter()
                .try_for_each(|(path, content)| tar.file(path, 0o644, content))
        })();
        fits.ok_or_else(|| TreeError::Path {
            path: built.name.clone(),
        })?;
        Ok(tar.finish())
    }
}

fn descriptor(media_type: &str, digest: &str, content: &[u8]) -> Value {
    json!({"digest": digest, "mediaType": media_type, "size": content.len()})
}

fn insert(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// As Go calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests;
