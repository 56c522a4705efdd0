//! Generated code is committed: a build needs neither protoc nor the generator.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use tonic_prost_build::Builder;

use crate::shapes;

type Outcome = Result<String, Box<dyn Error>>;

/// One proto file and the crate that its code is committed to, as `src/<name>.rs`.
struct Generated {
    /// Below `crates/`.
    krate: &'static str,
    /// Of the proto file and of the module.
    name: &'static str,
    /// What this crate wants otherwise than the generator.
    settings: fn(Builder) -> Builder,
}

const ALL: [Generated; 2] = [
    Generated {
        krate: "kms-proto",
        name: "v2",
        settings: |builder| {
            builder
                .codec_path("crate::codec::Codec")
                .skip_debug(SECRET_MESSAGES)
        },
    },
    Generated {
        krate: "cri",
        name: "v1",
        settings: |builder| {
            builder
                .btree_map(".")
                .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        },
    },
];

/// One file that is written from other sources than a proto file.
struct Text {
    /// From the root of the repository.
    path: &'static str,
    text: fn() -> Outcome,
}

const TEXTS: [Text; 2] = [
    Text {
        path: "crates/pod/src/shape/types.rs",
        text: shapes::generated,
    },
    Text {
        path: "docs/pod-fields.md",
        text: || Ok(pod::fields::document()),
    },
];

/// Messages that hold a secret: the derived `Debug` would print it.
const SECRET_MESSAGES: [&str; 2] = [".v2.EncryptRequest", ".v2.DecryptResponse"];

/// Writes the generated files.
pub(crate) fn write() -> Outcome {
    let mut written = Vec::new();
    for one in &ALL {
        let target = one.target();
        fs::write(&target, one.code()?).map_err(|e| format!("{}: {e}", target.display()))?;
        written.push(format!("wrote {}", target.display()));
    }
    for one in &TEXTS {
        let target = root().join(one.path);
        fs::write(&target, (one.text)()?).map_err(|e| format!("{}: {e}", target.display()))?;
        written.push(format!("wrote {}", target.display()));
    }
    Ok(written.join("\n"))
}

/// Fails when a committed file is not what the generator writes today.
pub(crate) fn check() -> Outcome {
    let mut checked = Vec::new();
    for one in &ALL {
        let target = one.target();
        let committed =
            fs::read_to_string(&target).map_err(|e| format!("{}: {e}", target.display()))?;
        if committed != one.code()? {
            return Err(format!(
                "{} differs from what proto/{}.proto generates; run `cargo xtask generate` and commit it",
                target.display(),
                one.name,
            )
            .into());
        }
        checked.push(format!("{} is up to date", target.display()));
    }
    for one in &TEXTS {
        let committed =
            fs::read_to_string(root().join(one.path)).map_err(|e| format!("{}: {e}", one.path))?;
        if committed != (one.text)()? {
            return Err(format!(
                "{} differs from what its sources generate; run `cargo xtask generate` and commit it",
                one.path
            )
            .into());
        }
        checked.push(format!("{} is up to date", one.path));
    }
    Ok(checked.join("\n"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Generated {
    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../crates")
            .join(self.krate)
    }

    fn target(&self) -> PathBuf {
        self.folder().join(format!("src/{}.rs", self.name))
    }

    fn code(&self) -> Result<String, Box<dyn Error>> {
        let proto = format!("{}.proto", self.name);
        let descriptors = protox::compile([proto], [self.folder().join("proto")])?;
        let package = descriptors
            .file
            .first()
            .map(|file| file.package().to_owned());
        let scratch = Scratch::new(self.krate)?;
        let builder = tonic_prost_build::configure()
            .out_dir(&scratch.0)
            .build_transport(false)
            .emit_rerun_if_changed(false);
        (self.settings)(builder).compile_fds(descriptors)?;
        // The generator names its file after the package, not after the proto file.
        let written = format!("{}.rs", package.unwrap_or_default());
        Ok(fs::read_to_string(scratch.0.join(written))?)
    }
}

/// A directory of this process below the target directory, removed on drop.
struct Scratch(PathBuf);

impl Scratch {
    fn new(krate: &str) -> std::io::Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target")
            .join(format!("xtask-generate-{krate}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_code_is_what_the_proto_file_generates() {
        let outcome = super::check().map_err(|fault| fault.to_string());
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}
