//! The log of a process: events become lines, and lines go to standard error.

use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, OnceLock},
    time::Duration,
};

use tracing::Level;
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
};

use crate::{
    lines::{Format, Lines, event_line},
    queue::{Notice, Queue, Writer, write_here},
};

/// How long the end of a process waits for who reads its log.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of a text for people: a long one must not take the room of the line after it.
const TEXT: usize = 64 * 1024;

/// The log of this process. Nobody who logs waits for standard error: a thread does, and what it
/// cannot write in time is dropped and counted.
///
/// Lines wait until [`Log::start`], or until this value is dropped: that writes what is left, for
/// a second at most. It belongs to where the process ends.
#[derive(Default)]
pub struct Log {
    // First, so that it ends before anything else does.
    writer: OnceLock<Writer>,
    queue: Arc<Queue>,
    format: OnceLock<Format>,
}

impl Log {
    /// Takes events of our rooms at `level` and above, and those of libraries from `warn` on, for
    /// the whole process.
    ///
    /// # Errors
    /// When another log, or an earlier call, takes them already.
    pub fn follow(
        &self,
        level: Level,
        format: Format,
    ) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
        let libraries = LevelFilter::from_level(level.min(Level::WARN));
        let chatty = ["hyper", "hyper_util", "h2", "rustls", "tonic", "tower"];
        let filter = Targets::new()
            .with_default(level)
            .with_targets(chatty.map(|target| (target, libraries)));
        let queue = Arc::clone(&self.queue);
        let lines = Lines::new(format, move || Entry(Arc::clone(&queue)));
        tracing::subscriber::set_global_default(
            tracing_subscriber::registry().with(lines.with_filter(filter)),
        )?;
        let _ = self.format.set(format);
        Ok(())
    }

    /// Starts the thread that writes, if it does not run yet. A step of its own, because some
    /// things must be done before a process has a second thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(&self) -> io::Result<()> {
        if self.writer.get().is_none() {
            let queue = Arc::clone(&self.queue);
            let writer = Writer::start(queue, Stderr, self.notice(), PATIENCE)?;
            let _ = self.writer.set(writer);
        }
        Ok(())
    }

    /// Writes a text for people among the lines; of a very long one the beginning.
    pub fn tell(&self, text: &str) {
        self.queue.push(told(text).as_bytes());
    }

    fn notice(&self) -> Notice {
        let format = self.format.get().copied().unwrap_or(Format::Json);
        Box::new(move |lost| event_line("log.dropped", Level::WARN, format, ("lines", lost)))
    }

    /// The number of lines that were dropped, for a metric.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        Dropped(Arc::clone(&self.queue))
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if !self.queue.is_empty() && self.start().is_err() {
            // Why the process ends may be just this: said even at the risk to wait.
            write_here(&self.queue, Stderr, self.notice());
        }
    }
}

fn told(text: &str) -> String {
    match text.get(..text.floor_char_boundary(TEXT)) {
        Some(beginning) if beginning.len() < text.len() => {
            format!("{beginning}\n... cut after {TEXT} bytes\n")
        }
        _ => format!("{text}\n"),
    }
}

/// Lines that were dropped since the start of the process.
#[derive(Clone)]
pub struct Dropped(Arc<Queue>);

impl Dropped {
    /// How many.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.0.dropped()
    }
}

impl fmt::Debug for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dropped({})", self.lines())
    }
}

/// The queue's end that takes lines.
struct Entry(Arc<Queue>);

impl Write for Entry {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard error without the lock of the standard library: a thread that hangs in a write must
/// not hold what another could wait for.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(io::stderr(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_leaves_room_for_the_line_after_it() {
        assert_eq!(told("two\nlines"), "two\nlines\n");
        let cut = told(&"\u{e4}".repeat(TEXT));
        assert!(cut.len() < TEXT + 100);
        assert!(cut.ends_with("\u{e4}\n... cut after 65536 bytes\n"));
    }
}
