//! What a dynamically linked program needs beside itself.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

/// A program whose libraries cannot be named.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// `ldd`, which comes with the C library, did not run.
    #[error("cannot run ldd on {program}")]
    Ldd {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// `ldd` refused.
    #[error("ldd {program} says: {said}")]
    Refused {
        /// The program.
        program: PathBuf,
        /// Its words.
        said: String,
    },
    /// A library is not installed.
    #[error("{program} needs {library}, which is not installed here")]
    Missing {
        /// The program.
        program: PathBuf,
        /// As the program names it.
        library: String,
    },
}

/// The absolute paths that `ldd` prints for `program`, the loader among them. None where it is
/// linked statically.
///
/// # Errors
/// [`LibraryError`] when `ldd` does not run, does not understand the file, or misses a library.
pub fn libraries(program: &Path) -> Result<Vec<PathBuf>, LibraryError> {
    let output = Command::new("ldd")
        .env("LC_ALL", "C")
        .arg(program)
        .output()
        .map_err(|source| LibraryError::Ldd {
            program: program.to_owned(),
            source,
        })?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    if said.contains("statically linked") || complaint.contains("not a dynamic executable") {
        return Ok(Vec::new());
    }
    if !output.status.success() {
        return Err(LibraryError::Refused {
            program: program.to_owned(),
            said: complaint.trim().to_owned(),
        });
    }
    paths(&said).map_err(|library| LibraryError::Missing {
        program: program.to_owned(),
        library,
    })
}

/// The paths of a listing; or the name of what was not found.
fn paths(listing: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for line in listing.lines().map(str::trim) {
        let (name, place) = match line.split_once(" => ") {
            Some((name, place)) => (name, place),
            None => (line, line),
        };
        if place.starts_with("not found") {
            return Err(name.to_owned());
        }
        // The kernel's own page has no path.
        let path = place.split(" (0x").next().unwrap_or_default();
        if path.starts_with('/') {
            found.push(PathBuf::from(path));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_a_listing_is_taken_and_the_kernels_page_is_none() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                       \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(paths(listing).unwrap(), expected.map(PathBuf::from));
    }

    #[test]
    fn a_library_that_is_not_there_is_named() {
        let listing = "\tlibfoo.so.1 => not found\n";
        assert_eq!(paths(listing).unwrap_err(), "libfoo.so.1");
    }
}
