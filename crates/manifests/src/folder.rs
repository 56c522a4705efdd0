//! Keeps one [`Directory`] up to date: watch, timer, looks and the store, each off the loop where
//! it may block. A file system that hangs stops nothing here.

use std::{
    io,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use pace::{Clock, Now};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
    time::{sleep, timeout},
};

use crate::{
    directory::{Directory, Filter, Keep, Memory, Timing},
    facts::{Event, Identity, Look, Scope},
    kept::{Kept, KeptError, Remembered, boot},
    look::look,
    rules,
    view::{Change, Decoder, View},
    watch::{Placer, Watch},
};

/// How long the end waits for a look that hangs.
const FAREWELL: Duration = Duration::from_secs(1);
/// After the store failed.
const KEEP_RETRY: Duration = Duration::from_secs(20);

/// A directory or a single file.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory, or the file. Made absolute.
    pub path: PathBuf,
    /// The agent's root directory, where last good manifests are kept.
    pub root: PathBuf,
    /// How long things take.
    pub timing: Timing,
    /// The user id that the agent runs as.
    pub agent: u32,
}

/// What the rest of the house may ask of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Look now, or fetch now.
    Look,
    /// The directory that came in the place of the one before is the one that is meant.
    AcceptReplacement,
}

/// A source of files.
pub struct Folder<D: Decoder> {
    machine: Directory<D::Pod>,
    directory: PathBuf,
    filter: Filter,
    agent: u32,
    hang: Duration,
    /// [`look`], but in tests that need a file system that hangs.
    look: Looking,
    decoder: Arc<D>,
    clock: Arc<dyn Clock>,
    kept: Kept,
    placed: Option<Identity>,
    keep_after: Duration,
    keep_trouble: Option<String>,
    watch: Option<Watch>,
    watch_trouble: Option<String>,
    first: Vec<Change>,
    /// A full look came back.
    renewed: bool,
}

/// How one looks.
type Looking = Arc<dyn Fn(&Path, &Filter, Scope, Duration, u32) -> Look + Send + Sync>;

type Job<T> = Option<JoinHandle<T>>;

/// What came of one look.
struct Looked {
    look: Look,
    /// Whether the watch is on another directory than before; `None` without a watch.
    placed: Option<io::Result<bool>>,
}

/// What the store was asked, and what failed.
type Stored = Vec<(Option<std::ffi::OsString>, KeptError)>;

impl<D: Decoder> Folder<D> {
    /// Opens the store and puts in force what it remembers; damaged pieces are in the answer.
    /// Blocks on the disk of the agent's root directory and examines `path`.
    ///
    /// # Errors
    /// [`KeptError::Directory`]: the store cannot be used.
    pub fn open(
        settings: &Settings,
        decoder: Arc<D>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Vec<KeptError>), KeptError> {
        let path = std::path::absolute(&settings.path).unwrap_or_else(|_| settings.path.clone());
        let (directory, filter) = place(&path);
        let source = path.to_string_lossy();
        let (kept, remembered) = Kept::open(&settings.root, &source, boot())?;
        let Remembered {
            files,
            before,
            damaged,
            ..
        } = remembered;
        let mut machine = Directory::new(directory.clone(), filter.clone(), settings.timing);
        let first = machine.restore(files, before, &*decoder);
        let folder = Self {
            placed: machine.identity(),
            machine,
            directory,
            filter,
            agent: settings.agent,
            hang: settings.timing.hang,
            look: Arc::new(look),
            decoder,
            clock,
            kept,
            keep_after: Duration::ZERO,
            keep_trouble: None,
            watch: None,
            watch_trouble: None,
            first,
            renewed: false,
        };
        Ok((folder, damaged))
    }

    /// What is in force before the first look.
    #[must_use]
    pub fn view(&self) -> View<D::Pod> {
        self.machine.view()
    }

    /// Works until `stop`. Every change is told with the view after it, and every full look with
    /// the changes it found, be it none; the first call tells what the store remembered.
    ///
    /// A look that hangs in the kernel outlives this: the runtime should be shut down with a time
    /// limit.
    pub async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        stop: impl Future<Output = ()>,
        mut tell: impl FnMut(Vec<Change>, Arc<View<D::Pod>>),
    ) {
        let mut stop = pin!(stop);
        let mut looking: Job<Looked> = None;
        let mut began = Duration::ZERO;
        let mut keeping: Job<Stored> = None;
        let mut open = true;
        let mut first = std::mem::take(&mut self.first);
        first.extend(self.start_watch());
        tell(first, Arc::new(self.machine.view()));
        loop {
            let now = self.clock.now();
            if looking.is_none() {
                looking = self.start_look(now);
                began = now.mono;
            }
            if keeping.is_none() && now.mono >= self.keep_after {
                keeping = self.start_keeping();
            }
            let wake = self.wake(looking.is_some().then_some(began), now);
            let changes = tokio::select! {
                biased;
                () = &mut stop => break,
                order = orders.recv(), if open => {
                    open = order.is_some();
                    self.obey(order);
                    Vec::new()
                }
                outcome = ended(&mut looking) => self.looked(outcome),
                outcome = ended(&mut keeping) => self.stored(outcome),
                outcome = readable(self.watch.as_ref()) => self.hear(outcome),
                () = sleep(wake) => self.overdue(looking.is_some().then_some(began)),
            };
            // A full look may renew what is no change: names that are passed over.
            if !changes.is_empty() || std::mem::take(&mut self.renewed) {
                tell(changes, Arc::new(self.machine.view()));
            }
        }
        if let Some(job) = keeping {
            let _ = job.await;
        }
        if let Some(job) = looking {
            let _ = timeout(FAREWELL, job).await;
        }
    }

    fn start_watch(&mut self) -> Option<Change> {
        let trouble = match Watch::new() {
            Ok(watch) => {
                self.watch = Some(watch);
                None
            }
            Err(error) => Some(error.to_string()),
        };
        self.watch_trouble(trouble)
    }

    fn watch_trouble(&mut self, trouble: Option<String>) -> Option<Change> {
        let trouble = trouble.map(|error| {
            format!(
                "{} cannot be watched: {error}; changes are noticed at the next rescan (see fs.inotify.max_user_watches and max_user_instances)",
                self.directory.display()
            )
        });
        if trouble == self.watch_trouble {
            return None;
        }
        self.watch_trouble.clone_from(&trouble);
        Some(Change::Watch(trouble))
    }

    fn start_look(&self, now: Now) -> Job<Looked> {
        let scope = self.machine.wanted(now)?;
        let full = scope == Scope::All;
        let placer = self.watch.as_ref().filter(|_| full).map(Watch::placer);
        let (path, filter, agent) = (self.directory.clone(), self.filter.clone(), self.agent);
        let (clock, look) = (Arc::clone(&self.clock), Arc::clone(&self.look));
        Some(spawn_blocking(move || {
            // Placed before the look begins, so that nothing falls between the two.
            let placed = placer.map(|placer: Placer| placer.place(&path));
            let started = clock.now().mono;
            let look = look(&path, &filter, scope, started, agent);
            Looked { look, placed }
        }))
    }

    /// How long to sleep if nothing happens.
    fn wake(&self, looking: Option<Duration>, now: Now) -> Duration {
        let due = match looking {
            None => self.machine.next(),
            Some(began) if began + self.hang > now.mono => began + self.hang,
            Some(_) => now.mono + self.hang,
        };
        due.saturating_sub(now.mono)
    }

    fn overdue(&mut self, looking: Option<Duration>) -> Vec<Change> {
        let Some(began) = looking else {
            return Vec::new();
        };
        let waited = self.clock.now().mono.saturating_sub(began);
        if waited < self.hang {
            return Vec::new();
        }
        self.machine.stalled(self.hang)
    }

    fn obey(&mut self, order: Option<Order>) {
        let now = self.clock.now();
        match order {
            Some(Order::AcceptReplacement) => self.machine.accept_replacement(now),
            Some(Order::Look) => self.machine.look_now(now),
            None => {}
        }
    }

    fn hear(&mut self, outcome: io::Result<()>) -> Vec<Change> {
        let drained = match (outcome, self.watch.as_ref()) {
            (Ok(()), Some(watch)) => watch.drain(),
            (Err(error), _) => Err(error),
            (Ok(()), None) => return Vec::new(),
        };
        let now = self.clock.now();
        match drained {
            Ok(events) => {
                for event in events {
                    self.machine.heard(event, now);
                }
                Vec::new()
            }
            Err(error) => {
                self.watch = None;
                self.machine.heard(Event::Lost, now);
                self.watch_trouble(Some(error.to_string()))
                    .into_iter()
                    .collect()
            }
        }
    }

    fn looked(&mut self, outcome: Option<Looked>) -> Vec<Change> {
        let Some(Looked { look, placed }) = outcome else {
            let now = self.clock.now();
            let look = Look {
                started: now.mono,
                scope: Scope::All,
                found: Err("the last reading came to no end; everything stays as it is".into()),
            };
            return self.machine.observe(&look, now, &*self.decoder);
        };
        self.renewed |= look.scope == Scope::All;
        // What was written while the files were read is in the queue by now.
        let mut changes = self.hear(Ok(()));
        match placed {
            Some(Ok(_)) => changes.extend(self.watch_trouble(None)),
            // A directory that is not there is the look's to tell.
            Some(Err(error)) if look.found.is_ok() => {
                changes.extend(self.watch_trouble(Some(error.to_string())));
            }
            Some(Err(_)) | None => {}
        }
        let now = self.clock.now();
        changes.extend(self.machine.observe(&look, now, &*self.decoder));
        changes
    }

    fn start_keeping(&mut self) -> Job<Stored> {
        let mut work = self.machine.take_unkept();
        let place = self
            .machine
            .identity()
            .filter(|place| self.placed != Some(*place));
        if work.is_empty() && place.is_none() {
            return None;
        }
        self.placed = self.machine.identity();
        let kept = self.kept.clone();
        Some(spawn_blocking(move || {
            let mut failed = Vec::new();
            if let Some(place) = place
                && let Err(error) = kept.put_place(place)
            {
                failed.push((None, error));
            }
            for Keep { file, manifest } in work.drain(..) {
                let outcome = match manifest {
                    None => kept.remove(&file),
                    Some(manifest) => kept.put(&Memory {
                        file: file.clone(),
                        pod: manifest.name.clone(),
                        accepted: manifest.accepted,
                        bytes: Arc::clone(&manifest.bytes),
                    }),
                };
                if let Err(error) = outcome {
                    failed.push((Some(file), error));
                }
            }
            failed
        }))
    }

    fn stored(&mut self, failed: Option<Stored>) -> Vec<Change> {
        let failed = failed.unwrap_or_default();
        let trouble = failed.first().map(|(_, error)| with_cause(error));
        if !failed.is_empty() {
            self.keep_after = self.clock.now().mono + KEEP_RETRY;
        }
        for (file, _) in failed {
            match file {
                Some(file) => self.machine.not_kept(file),
                None => self.placed = None,
            }
        }
        if self.keep_trouble == trouble {
            return Vec::new();
        }
        self.keep_trouble.clone_from(&trouble);
        vec![Change::Kept(trouble)]
    }
}

/// An error with what caused it, in one line.
pub(crate) fn with_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The directory to look at and what in it: a path that is not there yet is a directory, unless
/// it ends as manifests do.
fn place(path: &Path) -> (PathBuf, Filter) {
    let single = match std::fs::metadata(path) {
        Ok(metadata) => !metadata.is_dir(),
        Err(_) => path
            .file_name()
            .is_some_and(|name| rules::ignored(name).is_none()),
    };
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if single => (parent.to_owned(), Filter::Only(name.to_owned())),
        _ => (path.to_owned(), Filter::Manifests),
    }
}

/// Waits for a job and takes it; for ever where there is none. `None` if it panicked.
async fn ended<T>(job: &mut Job<T>) -> Option<T> {
    let Some(running) = job else {
        return std::future::pending().await;
    };
    let outcome = running.await;
    *job = None;
    outcome.ok()
}

async fn readable(watch: Option<&Watch>) -> io::Result<()> {
    match watch {
        Some(watch) => watch.readable().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
