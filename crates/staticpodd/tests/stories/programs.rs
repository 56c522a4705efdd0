//! Programs that are built elsewhere, and images of them.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use image::Image;

/// A program that is not Rust's, by its variable or where the build of the conformance tests puts
/// it. None, with a word about it, where it was not built; a failure on CI.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
#[expect(
    clippy::disallowed_methods,
    reason = "tests ask where other programs are, and whether they run on CI"
)]
pub(crate) fn built(name: &str, variable: &str) -> Option<PathBuf> {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/bin");
    let path = env::var(variable).map_or_else(|_| usual.join(name), PathBuf::from);
    if path.exists() {
        return Some(path);
    }
    let missing = format!(
        "{} is not there: run make conformance-build",
        path.display()
    );
    assert!(!env::var("CI").is_ok_and(|ci| ci == "true"), "{missing}");
    eprintln!("skipped: {missing}");
    None
}

/// A program of this workspace. Tests of the whole workspace have built it; where it is missing,
/// it is built.
pub(crate) fn ours(package: &str, name: &str) -> PathBuf {
    let folder = crate::staticpodd().parent().unwrap();
    let program = folder.join(name);
    if program.exists() {
        return program;
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", package, "--bin", name]);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.arg("--target-dir").arg(folder.parent().unwrap());
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let output = cargo.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    program
}

/// An image with nothing but this program and what it needs, without what a debugger reads.
pub(crate) fn image_of(program: &Path, inside: &str) -> Image {
    let small = tempfile::NamedTempFile::new().unwrap();
    let stripped = Command::new("strip")
        .arg("-o")
        .arg(small.path())
        .arg(program)
        .status();
    let is_small = stripped.is_ok_and(|status| status.success());
    let source = if is_small { small.path() } else { program };
    let image = Image::new().program(inside, source).unwrap();
    image.dir("/tmp", 0o1777).unwrap().entrypoint([inside])
}
