//! The log of a container, as containerd writes it: `TIME STREAM TAG TEXT`.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::actor::Stream;

/// A line longer than this is written in parts, bytes.
const PART: usize = 16 * 1024;

/// A log that is open.
pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// What of a line came so far.
    begun: BTreeMap<Stream, String>,
}

impl Log {
    /// Opens it for more, and makes the folders above it, as containerd does.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: append(path)?,
            begun: BTreeMap::new(),
        })
    }

    /// Goes on in a new file under the same path.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = append(&self.path)?;
        Ok(())
    }

    /// What was said at a moment, in Unix nanoseconds. A disk that is full loses it.
    pub(super) fn write(&mut self, stamp: i64, stream: Stream, text: &str) {
        let mut line = self.begun.remove(&stream).unwrap_or_default();
        for piece in text.split_inclusive('\n') {
            line.push_str(piece);
            if let Some(whole) = line.strip_suffix('\n') {
                self.parts(stamp, stream, whole);
                line.clear();
            }
        }
        if !line.is_empty() {
            self.begun.insert(stream, line);
        }
    }

    /// The program has ended: a line that was begun has no other end.
    pub(super) fn end(&mut self, stamp: i64) {
        for (stream, text) in std::mem::take(&mut self.begun) {
            self.entry(stamp, stream, "P", &text);
        }
    }

    fn parts(&mut self, stamp: i64, stream: Stream, line: &str) {
        let mut rest = line;
        while rest.len() > PART {
            let (part, more) = rest.split_at(rest.floor_char_boundary(PART));
            self.entry(stamp, stream, "P", part);
            rest = more;
        }
        self.entry(stamp, stream, "F", rest);
    }

    fn entry(&mut self, stamp: i64, stream: Stream, tag: &str, text: &str) {
        let stream = match stream {
            Stream::Out => "stdout",
            Stream::Err => "stderr",
        };
        let time = jiff::Timestamp::from_nanosecond(i128::from(stamp)).unwrap_or_default();
        let _ = writeln!(self.file, "{time} {stream} {tag} {text}");
    }
}

fn append(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}
