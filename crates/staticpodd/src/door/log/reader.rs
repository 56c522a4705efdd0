//! Reads the log of a container from wherever it begins to wherever it goes on. Blocks.

use std::{
    collections::{BTreeSet, VecDeque},
    fs, io,
    io::BufRead as _,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
};

use jiff::Timestamp;

use super::{
    files::{self, Open},
    line::Pen,
};

/// Written in one step, about.
const PIECE: usize = 64 * 1024;
/// A line that is longer is handed on in pieces: no runtime writes such lines.
const LINE: usize = 1024 * 1024;

/// What of a log is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// The container's directory of logs.
    pub(crate) directory: PathBuf,
    /// The instance to begin with.
    pub(crate) attempt: u32,
    /// At most so many lines from the end.
    pub(crate) tail: Option<u64>,
    /// Nothing older.
    pub(crate) since: Option<Timestamp>,
    /// With times.
    pub(crate) timestamps: bool,
    /// Go on with the next instances.
    pub(crate) follow: bool,
}

/// What a step led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// There may be more.
    Some(Vec<u8>),
    /// Everything that is written was read.
    Idle,
}

/// A place in a log.
pub(crate) struct Reader {
    wish: Wish,
    pen: Pen,
    /// Files to be read after the open one.
    queue: VecDeque<PathBuf>,
    open: Option<Open>,
    /// Times of what had been rotated away when the current file was opened.
    known: BTreeSet<String>,
    /// The open file is the current one.
    current: bool,
    /// The file was written to for the last time; read once more, it is through.
    last_time: bool,
    /// The beginning of a line.
    held: Vec<u8>,
}

impl Reader {
    /// Finds the place to begin. What is rotated away is part of the log.
    pub(crate) fn new(wish: Wish) -> io::Result<Self> {
        let mut reader = Self {
            pen: Pen {
                since: wish.since,
                timestamps: wish.timestamps,
                ..Pen::default()
            },
            queue: VecDeque::new(),
            open: None,
            known: BTreeSet::new(),
            current: false,
            last_time: false,
            held: Vec::new(),
            wish,
        };
        reader.begin();
        if let Some(tail) = reader.wish.tail {
            reader.go_to_tail(tail)?;
        }
        Ok(reader)
    }

    fn begin(&mut self) {
        let (directory, attempt) = (&self.wish.directory, self.wish.attempt);
        let rotated = files::rotated(directory, attempt);
        self.queue = rotated.into_values().collect();
        self.queue.push_back(files::current(directory, attempt));
    }

    /// Drops files from the beginning, and lines of the first that is left.
    fn go_to_tail(&mut self, tail: u64) -> io::Result<()> {
        let mut lines = 0;
        let mut kept = VecDeque::new();
        while let Some(path) = self.queue.pop_back() {
            let Ok(mut open) = Open::new(&path) else {
                // Rotated away for good, or not yet there.
                kept.push_front(path);
                continue;
            };
            let mut line = Vec::new();
            while open.text.read_until(b'\n', &mut line)? > 0 {
                lines += u64::from(line.ends_with(b"\n") && Pen::counts(&line));
                line.clear();
            }
            kept.push_front(path);
            if lines >= tail {
                break;
            }
        }
        self.queue = kept;
        self.pen.skip = lines.saturating_sub(tail);
        Ok(())
    }

    /// Reads on.
    pub(crate) fn step(&mut self) -> io::Result<Step> {
        let mut out = Vec::new();
        loop {
            if self.open.is_none() && !self.turn()? {
                break;
            }
            if self.read(&mut out)? {
                if out.len() >= PIECE {
                    break;
                }
            } else if self.current {
                if !self.moved_on() {
                    break;
                }
            } else {
                self.close(&mut out);
            }
        }
        Ok(match out.is_empty() {
            true => Step::Idle,
            false => Step::Some(out),
        })
    }

    /// Opens the next file; `false` where there is none.
    fn turn(&mut self) -> io::Result<bool> {
        while let Some(path) = self.queue.front() {
            let (directory, attempt) = (&self.wish.directory, self.wish.attempt);
            let current = *path == files::current(directory, attempt);
            let known = files::rotated(directory, attempt);
            match Open::new(path) {
                Ok(open) => {
                    self.open = Some(open);
                    self.current = current;
                    self.last_time = false;
                    self.known = known.into_keys().collect();
                    let _ = self.queue.pop_front();
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if current {
                        // Being rotated, or not yet written to.
                        return Ok(false);
                    }
                    let _ = self.queue.pop_front();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// One more line; `false` at the end of what is written.
    fn read(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        let Some(open) = &mut self.open else {
            return Ok(false);
        };
        let read = open.text.read_until(b'\n', &mut self.held)?;
        if self.held.ends_with(b"\n") || self.held.len() > LINE {
            self.pen.put(&self.held, out);
            self.held.clear();
        }
        Ok(read > 0)
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if !self.held.is_empty() {
            self.pen.put(&self.held, out);
            self.held.clear();
        }
        self.open = None;
        self.current = false;
    }

    /// At the end of the current file: whether the log goes on in another one.
    fn moved_on(&mut self) -> bool {
        let (directory, attempt) = (self.wish.directory.clone(), self.wish.attempt);
        let inode = self.open.as_ref().map(|open| open.inode);
        let path = files::current(&directory, attempt);
        let found = fs::metadata(&path).ok().map(|found| found.ino());
        let is_rotated = found.is_some() && found != inode;
        let next = files::attempts(&directory)
            .range(attempt + 1..)
            .next()
            .copied();
        let next = next.filter(|_| self.wish.follow);
        if !is_rotated && next.is_none() {
            return false;
        }
        if !self.last_time {
            // What was written in between comes first.
            self.last_time = true;
            return true;
        }
        self.open = None;
        self.current = false;
        if is_rotated {
            let rotated = files::rotated(&directory, attempt).into_iter();
            let fresh = rotated.filter(|(time, _)| !self.known.contains(time));
            // The first of them is what was read here.
            self.queue = fresh.skip(1).map(|(_, path)| path).collect();
            self.queue.push_back(path);
        } else if let Some(next) = next {
            self.wish.attempt = next;
            self.begin();
        }
        true
    }
}
