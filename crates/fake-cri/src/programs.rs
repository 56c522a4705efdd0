//! The programs of this crate, and the images they make.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use image::{Built, Image, TreeError};
use sha2::{Digest as _, Sha256};

/// The word to which the test program answers with [`sources`].
pub const VERSION_WORD: &str = "--sources";
/// Where images of tests come from: a name that no registry has.
const REGISTRY: &str = "registry.local";

/// The images that tests run.
#[derive(Debug, Clone)]
pub struct Stock {
    /// The first process of every sandbox.
    pub pause: Built,
    /// The program that does what its arguments say, see [`crate::script`].
    pub workload: Built,
}

/// Why there are no images.
#[derive(Debug, thiserror::Error)]
pub enum StockError {
    /// This is no program of a cargo build.
    #[error("{0} lies in no folder of a cargo build, so cri-workload cannot be found beside it")]
    Place(PathBuf),
    /// Cargo could not build them.
    #[error("cargo build --package fake-cri --bins failed: {0}")]
    Build(String),
    /// The system refused something.
    #[error("cannot look for cri-workload")]
    Io(#[from] io::Error),
    /// A file cannot be put into an image.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// The images, built once in a process. Builds the programs where they are missing or old: cargo
/// gives the programs of a crate to that crate's own tests only.
///
/// # Errors
/// [`StockError`], the same one each time.
pub fn stock() -> Result<&'static Stock, &'static StockError> {
    static STOCK: OnceLock<Result<Stock, StockError>> = OnceLock::new();
    STOCK
        .get_or_init(|| {
            let folder = folder()?;
            let pause = program(Image::new(), "/pause", &folder.join("cri-pause"))?
                .entrypoint(["/pause"])
                .build(&format!("{REGISTRY}/pause:1"))?;
            let workload = workload(&folder)?.build(&format!("{REGISTRY}/workload:1"))?;
            Ok(Stock { pause, workload })
        })
        .as_ref()
}

/// The workload's image before it is built, so that a test can make another of it.
///
/// # Errors
/// As [`stock`].
pub fn workload_image() -> Result<Image, StockError> {
    workload(&folder()?)
}

fn workload(folder: &Path) -> Result<Image, StockError> {
    Ok(
        program(Image::new(), "/workload", &folder.join("cri-workload"))?
            .dir("/tmp", 0o1777)?
            .file(
                "/etc/passwd",
                0o644,
                "root:x:0:0::/:\nnobody:x:65534:65534::/:\n",
            )?
            .file("/etc/group", 0o644, "root:x:0:\nnobody:x:65534:\n")?
            .entrypoint(["/workload"])
            .cmd(["hang"]),
    )
}

/// Without what a debugger reads, which is most of it: the digests of small images are taken
/// sooner, and they unpack sooner.
fn program(image: Image, path: &str, source: &Path) -> Result<Image, StockError> {
    let small = tempfile::NamedTempFile::new()?;
    let stripped = Command::new("strip")
        .arg("-o")
        .arg(small.path())
        .arg(source)
        .output()
        .is_ok_and(|output| output.status.success());
    let source = if stripped { small.path() } else { source };
    Ok(image.program(path, source)?)
}

/// What the programs are made of, in hexadecimal.
#[must_use]
pub fn sources() -> String {
    let mut hash = Sha256::new();
    hash.update(include_bytes!("script.rs"));
    hash.update(include_bytes!("bin/cri-pause.rs"));
    hash.update(include_bytes!("bin/cri-workload.rs"));
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Where the programs are, built from today's sources.
fn folder() -> Result<PathBuf, StockError> {
    let running = env::current_exe()?;
    // Programs lie in `target/<profile>`, tests one folder deeper.
    let folder = running
        .ancestors()
        .skip(1)
        .take(2)
        .find(|folder| folder.join("deps").is_dir())
        .ok_or_else(|| StockError::Place(running.clone()))?
        .to_owned();
    if !is_current(&folder) {
        build(&folder)?;
    }
    Ok(folder)
}

fn is_current(folder: &Path) -> bool {
    let said = Command::new(folder.join("cri-workload"))
        .arg(VERSION_WORD)
        .output();
    let current = said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).trim() == sources());
    current && fs::exists(folder.join("cri-pause")).unwrap_or(false)
}

fn build(folder: &Path) -> Result<(), StockError> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--package", "fake-cri", "--bins"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if folder.ends_with("release") {
        command.arg("--release");
    }
    if let Some(target) = folder.parent() {
        command.arg("--target-dir").arg(target);
    }
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(StockError::Build(said.trim().to_owned()))
}
