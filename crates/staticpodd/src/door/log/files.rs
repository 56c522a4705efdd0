//! Which files make up a log: `<attempt>.log`, and what was rotated away from it, as
//! `<attempt>.log.<time>` and, a rotation later, `<attempt>.log.<time>.gz`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, BufRead, BufReader},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;

fn names(directory: &Path) -> Vec<String> {
    let listed = fs::read_dir(directory).into_iter().flatten().flatten();
    listed
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The attempts that have a log, the oldest first.
pub(crate) fn attempts(directory: &Path) -> BTreeSet<u32> {
    let names = names(directory);
    let attempt = |name: &String| name.strip_suffix(".log")?.parse().ok();
    names.iter().filter_map(attempt).collect()
}

/// What was rotated away, by its time, the oldest first.
pub(crate) fn rotated(directory: &Path, attempt: u32) -> BTreeMap<String, PathBuf> {
    let start = format!("{attempt}.log.");
    let mut found = BTreeMap::new();
    for name in names(directory) {
        let Some(time) = name.strip_prefix(&start) else {
            continue;
        };
        let packed = time.strip_suffix(".gz");
        let stamp = packed.unwrap_or(time);
        let is_stamp = stamp.len() == 15 && stamp.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        // While a file is packed, both are there: the plain one is whole.
        if is_stamp && (packed.is_none() || !found.contains_key(stamp)) {
            let _ = found.insert(stamp.to_owned(), directory.join(&name));
        }
    }
    found
}

/// The file that is written to.
pub(crate) fn current(directory: &Path, attempt: u32) -> PathBuf {
    directory.join(format!("{attempt}.log"))
}

/// A file that is read.
pub(crate) struct Open {
    pub(crate) text: Box<dyn BufRead + Send>,
    pub(crate) inode: u64,
}

impl Open {
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let inode = file.metadata()?.ino();
        let plain = BufReader::new(file);
        let is_packed = path.extension().is_some_and(|end| end == "gz");
        let text: Box<dyn BufRead + Send> = match is_packed {
            true => Box::new(BufReader::new(MultiGzDecoder::new(plain))),
            false => Box::new(plain),
        };
        Ok(Self { text, inode })
    }
}
