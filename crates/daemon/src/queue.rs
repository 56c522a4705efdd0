//! A queue of lines that is never waited for, and the thread that writes them out.
//!
//! Who reads a log may stop reading: a journal that hangs, a pipe that is full, a terminal that was
//! paused. Then the thread waits and nobody else does: lines that find no room are dropped and
//! counted, and where they would have been stands how many they were.

use std::{
    io::{self, ErrorKind, Write},
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Bytes of lines that may wait: some seven hundred lines. As many again may be on their way out.
const ROOM: usize = 256 * 1024;
/// Bytes that an emptied buffer keeps for the next lines.
const KEPT: usize = 16 * 1024;
/// The writer's frames are few and small.
const STACK: usize = 128 * 1024;
/// How soon a descriptor that somebody made non-blocking, and that is full, is tried again.
const AGAIN: Duration = Duration::from_millis(10);

/// Lines that wait to be written.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    /// There is something to do for the writer.
    work: Condvar,
    /// The writer is done.
    done: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Lines that found no room since the writer took the last ones.
    refused: u64,
    closing: bool,
    written: bool,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.refused == 0
    }
}

impl Queue {
    /// Takes a line, which ends with a newline, or drops and counts it. Never waits for the reader.
    pub(crate) fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        let was_empty = waiting.is_empty();
        // After the first that found no room all others are refused until the writer comes, so
        // that the count stands where the lines are missing.
        if waiting.refused > 0 || waiting.lines.len().saturating_add(line.len()) > ROOM {
            waiting.refused += 1;
            self.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            waiting.lines.extend_from_slice(line);
        }
        drop(waiting);
        if was_empty {
            self.work.notify_one();
        }
    }

    /// Lines that nobody will ever read, since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Exchanges the empty `batch` for all that waits, as soon as something does, and gives how
    /// many lines are missing after it. `None` when the queue was closed and is empty.
    fn take(&self, batch: &mut Vec<u8>) -> Option<u64> {
        let idle = |waiting: &mut Waiting| waiting.is_empty() && !waiting.closing;
        let mut waiting = self
            .work
            .wait_while(self.lock(), idle)
            .unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            return None;
        }
        mem::swap(&mut waiting.lines, batch);
        Some(mem::take(&mut waiting.refused))
    }

    /// Whether everything was written before `patience` was over.
    fn close(&self, patience: Duration) -> bool {
        let mut waiting = self.lock();
        waiting.closing = true;
        self.work.notify_one();
        let (waiting, _) = self
            .done
            .wait_timeout_while(waiting, patience, |waiting| !waiting.written)
            .unwrap_or_else(PoisonError::into_inner);
        waiting.written
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The line, newline included, that says how many are missing.
pub(crate) type Notice = Box<dyn Fn(u64) -> String + Send>;

/// The thread that empties a queue. Its drop waits for the last line, but not longer than it was
/// told to.
pub(crate) struct Writer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
    patience: Duration,
}

impl Writer {
    /// Starts it; `patience` is how long its end may take.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(
        queue: Arc<Queue>,
        sink: impl Write + Send + 'static,
        notice: Notice,
        patience: Duration,
    ) -> io::Result<Self> {
        let source = Arc::clone(&queue);
        let thread = thread::Builder::new()
            .name("log".into())
            .stack_size(STACK)
            .spawn(move || Outlet::new(sink, notice).empty(&source))?;
        Ok(Self {
            queue,
            thread: Some(thread),
            patience,
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let written = self.queue.close(self.patience);
        // A thread that hangs in a write can only end with the process.
        if let Some(thread) = self.thread.take().filter(|_| written) {
            let _ = thread.join();
        }
    }
}

/// Writes what waits from this thread, for want of another, however long it takes.
pub(crate) fn write_here(queue: &Queue, sink: impl Write, notice: Notice) {
    queue.lock().closing = true;
    Outlet::new(sink, notice).empty(queue);
}

/// What the writer knows of the place it writes to.
struct Outlet<W> {
    sink: W,
    notice: Notice,
    /// Missing lines that the log does not speak of yet.
    untold: u64,
    /// The last write ended in the middle of a line.
    torn: bool,
}

impl<W: Write> Outlet<W> {
    fn new(sink: W, notice: Notice) -> Self {
        Self {
            sink,
            notice,
            untold: 0,
            torn: false,
        }
    }

    fn empty(mut self, queue: &Queue) {
        let mut batch = Vec::new();
        while let Some(refused) = queue.take(&mut batch) {
            let unwritten = self.pass_on(&batch, refused);
            queue.dropped.fetch_add(unwritten, Ordering::Relaxed);
            batch.clear();
            batch.shrink_to(KEPT);
        }
        queue.lock().written = true;
        queue.done.notify_all();
    }

    /// Writes whole lines, and how many are missing before and, with `refused`, after them. Gives
    /// how many of `lines` were not written.
    fn pass_on(&mut self, lines: &[u8], refused: u64) -> u64 {
        self.tell_missing();
        let unwritten = self.write(lines);
        self.untold += unwritten + refused;
        self.tell_missing();
        unwritten
    }

    fn tell_missing(&mut self) {
        if self.untold > 0 && self.write((self.notice)(self.untold).as_bytes()) == 0 {
            self.untold = 0;
        }
    }

    /// Gives how many lines were not written, as the sink refused to take them.
    fn write(&mut self, lines: &[u8]) -> u64 {
        if self.torn {
            self.torn = !put(&mut self.sink, b"\n").is_empty();
        }
        let rest = if self.torn {
            lines
        } else {
            let rest = put(&mut self.sink, lines);
            let came = lines.len() - rest.len();
            self.torn = came > 0 && lines.get(came - 1) != Some(&b'\n');
            rest
        };
        // Where only the newline is missing, the line is not.
        let rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        rest.iter().map(|&byte| u64::from(byte == b'\n')).sum()
    }
}

/// Writes as much of `bytes` as the sink takes and gives the rest.
#[expect(
    clippy::disallowed_methods,
    reason = "this thread writes the log and has no other task that could wait"
)]
fn put<'a>(sink: &mut impl Write, bytes: &'a [u8]) -> &'a [u8] {
    let mut rest = bytes;
    while !rest.is_empty() {
        match sink.write(rest) {
            Ok(0) => break,
            Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(AGAIN),
            Err(_) => break,
        }
    }
    rest
}

#[cfg(test)]
mod tests;
