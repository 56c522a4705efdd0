//! Generated code is committed: a build needs neither protoc nor the generator.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

type Outcome = Result<String, Box<dyn Error>>;

/// Messages that hold a secret: the derived `Debug` would print it.
const SECRET_MESSAGES: [&str; 2] = [".v2.EncryptRequest", ".v2.DecryptResponse"];

/// Writes the generated file.
pub(crate) fn write() -> Outcome {
    let target = target();
    fs::write(&target, generated()?).map_err(|e| format!("{}: {e}", target.display()))?;
    Ok(format!("wrote {}", target.display()))
}

/// Fails when the committed file is not what the generator writes today.
pub(crate) fn check() -> Outcome {
    let target = target();
    let committed =
        fs::read_to_string(&target).map_err(|e| format!("{}: {e}", target.display()))?;
    if committed == generated()? {
        Ok(format!("{} is up to date", target.display()))
    } else {
        Err(format!(
            "{} differs from what proto/v2.proto generates; run `cargo xtask generate` and commit it",
            target.display()
        )
        .into())
    }
}

fn proto_crate() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/kms-proto")
}

fn target() -> PathBuf {
    proto_crate().join("src/v2.rs")
}

fn generated() -> Result<String, Box<dyn Error>> {
    let descriptors = protox::compile(["v2.proto"], [proto_crate().join("proto")])?;
    let scratch = Scratch::new()?;
    tonic_prost_build::configure()
        .out_dir(&scratch.0)
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .codec_path("crate::codec::Codec")
        .skip_debug(SECRET_MESSAGES)
        .compile_fds(descriptors)?;
    Ok(fs::read_to_string(scratch.0.join("v2.rs"))?)
}

/// A directory of this process below the target directory, removed on drop.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> std::io::Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target")
            .join(format!("xtask-generate-{}", std::process::id()));
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
