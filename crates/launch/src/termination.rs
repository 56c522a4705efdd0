//! The last words of a container: a file that it may write, or else the end of its log.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use crate::host::{HostError, PodDir, create_new, make_directories, nofollow};

/// The most that is read of a container's file, from its end, in bytes.
const MOST: u64 = 4096;
/// The most that is taken from a log, in bytes and in lines.
const MOST_OF_LOG: (usize, usize) = (2048, 80);
/// What of a log is read to find that: a line's time and stream take 50 bytes or so, and a
/// runtime breaks lines at 16 KiB.
const WINDOW: u64 = 64 * 1024;
/// The most for all containers of a pod together, in bytes.
const MOST_OF_POD: usize = 12 * 1024;

/// Makes a new empty file that anybody may write. Each instance of a container has one of its
/// own, so that nobody reads the words of the one before.
///
/// # Errors
/// The system refused it.
pub fn create(directory: &PodDir, container: &str) -> Result<PathBuf, HostError> {
    let place = directory.container(container)?;
    make_directories(&place, 0o750)?;
    let path = place.join(format!("{:08x}", fastrand::u32(..)));
    let _ = create_new(&path, 0o666)?;
    Ok(path)
}

/// What is known of a container that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// Its file, as [`create`] gave it; none if it has no `terminationMessagePath`.
    pub file: Option<&'a Path>,
    /// Its current log.
    pub log: Option<&'a Path>,
    /// Whether the policy is `FallbackToLogsOnError`.
    pub falls_back: bool,
    /// Whether it failed: its exit code is not 0, or it was killed for its memory.
    pub has_failed: bool,
}

/// What a container said last; empty if nothing. What is not UTF-8 is marked as such.
///
/// # Errors
/// The file or the log is there and cannot be read.
pub fn message(ended: &Ended<'_>) -> Result<String, HostError> {
    if let Some(file) = ended.file {
        let words = tail(file, MOST)?;
        if !words.bytes.is_empty() {
            return Ok(String::from_utf8_lossy(&words.bytes).into_owned());
        }
    }
    match ended.log {
        Some(log) if ended.falls_back && ended.has_failed => {
            let end = tail(log, WINDOW)?;
            Ok(last_words(&end.bytes, end.is_cut))
        }
        _ => Ok(String::new()),
    }
}

/// The part of a message that a pod with so many containers, of all kinds, has room for: all of
/// them together have 12 KiB.
#[must_use]
pub fn share(message: &str, containers: usize) -> &str {
    let room = MOST_OF_POD / containers.max(1);
    message
        .get(..message.floor_char_boundary(room))
        .unwrap_or(message)
}

struct Tail {
    bytes: Vec<u8>,
    /// Whether there was more before it.
    is_cut: bool,
}

/// Nothing of a file that is not there.
fn tail(path: &Path, most: u64) -> Result<Tail, HostError> {
    let failed = HostError::io::<io::Error>;
    let flags = nofollow() | OFlags::NONBLOCK.bits().cast_signed();
    let opened = fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Tail {
                bytes: Vec::new(),
                is_cut: false,
            });
        }
        Err(error) => return Err(failed(path, "opening it to read its end")(error)),
    };
    read_tail(&mut file, most).map_err(failed(path, "reading its end"))
}

fn read_tail(file: &mut File, most: u64) -> io::Result<Tail> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let start = found.len().saturating_sub(most);
    let _ = file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    // It may grow while it is read.
    let _ = file.take(most).read_to_end(&mut bytes)?;
    Ok(Tail {
        bytes,
        is_cut: start > 0,
    })
}

/// The texts of the last lines of a log, which are `time stream tag text`. The first line may be
/// a part of one.
fn last_words(log: &[u8], is_cut: bool) -> String {
    let (bytes, lines) = MOST_OF_LOG;
    let mut all: Vec<&[u8]> = log.split_inclusive(|byte| *byte == b'\n').collect();
    if is_cut && !all.is_empty() {
        let _ = all.remove(0);
    }
    let last = all.iter().skip(all.len().saturating_sub(lines));
    let mut words = Vec::new();
    for line in last {
        let (line, ending) = match line.strip_suffix(b"\n") {
            Some(line) => (line, true),
            None => (*line, false),
        };
        let mut parts = line.splitn(4, |byte| *byte == b' ').skip(2);
        let (tag, text) = (parts.next(), parts.next());
        let Some((tag, text)) = tag.zip(text) else {
            continue;
        };
        words.extend_from_slice(text);
        // A runtime breaks long lines, and marks all but the last piece.
        if ending && tag != b"P" {
            words.push(b'\n');
        }
    }
    let end = words.split_off(words.len().saturating_sub(bytes));
    String::from_utf8_lossy(&end).into_owned()
}

#[cfg(test)]
mod tests;
