//! A directory of manifests, or a single file, over time. Decides; opens nothing.
//!
//! What is believed:
//! - A content is judged when it is whole: a writer closed the file or renamed it into place, and
//!   nothing was heard of it since; or two looks in a row, [`Timing::debounce`] apart, found the
//!   same bytes in the same file. While a process that wrote to it is known to have it open,
//!   neither is enough.
//! - What is whole and cannot be decoded is refused, and the last good content stays in force.
//! - A file is gone when the directory can be read, is the same one as before, and lacks it:
//!   in two looks in a row, or in one after an event that says so.
//! - A directory that cannot be read, or must not hold manifests, changes nothing.
//! - Another directory in its place (device or inode differ: a mount was lost, or came) changes
//!   nothing either, until it agrees with everything in force; then it is taken up. Where the
//!   other directory is meant, [`Directory::accept_replacement`] says so. After a reboot nothing
//!   runs that could be disturbed, and device numbers mean little: then another directory is
//!   taken up unless it is empty.
//! - Of files with the same pod the first by name is in force; the next takes over when the
//!   first goes.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use pace::Now;

use crate::{
    facts::{Digest, Entry, Event, Identity, Look, Scope},
    rules,
    view::{Change, Decoder, InForce, Named, Report, Status, View},
};

mod admission;
mod hint;
mod track;

use hint::Hint;
use track::{Track, Verdict};

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From a close or a rename to the look: the rest of a burst comes in.
    pub settle: Duration,
    /// From any other event to the look, and between two looks that must agree.
    pub debounce: Duration,
    /// Between full looks.
    pub rescan: Duration,
    /// Between full looks while the directory cannot be read.
    pub retry: Duration,
    /// How long a writer that keeps the file open without writing is waited for.
    pub patience: Duration,
    /// When a look that has not come back is told.
    pub hang: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            settle: Duration::from_millis(10),
            debounce: Duration::from_millis(150),
            rescan: Duration::from_secs(20),
            retry: Duration::from_secs(1),
            patience: Duration::from_secs(60),
            hang: Duration::from_secs(10),
        }
    }
}

/// Which names of the directory are manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Those that [`rules::ignored`] lets through.
    Manifests,
    /// This one, whatever its ending.
    Only(OsString),
}

impl Filter {
    /// Why a file of this name is not read, if it is not.
    #[must_use]
    pub fn ignored(&self, name: &OsStr) -> Option<&'static str> {
        match self {
            Self::Manifests => rules::ignored(name),
            Self::Only(only) if only == name => rules::unspeakable(name),
            Self::Only(_) => Some("another file is the manifest"),
        }
    }
}

/// One last good manifest of before the agent started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Name in the directory.
    pub file: OsString,
    /// `namespace/name`.
    pub pod: String,
    /// When it was accepted, Unix seconds.
    pub accepted: i64,
    /// Its bytes.
    pub bytes: Arc<[u8]>,
}

/// Which directory the memories are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// Device and inode.
    pub identity: Identity,
    /// The machine has not been rebooted since.
    pub same_boot: bool,
}

/// A last good manifest that should be kept on disk, or not any more.
#[derive(Debug)]
pub struct Keep<P> {
    /// Name in the directory.
    pub file: OsString,
    /// `None`: the file is truly gone.
    pub manifest: Option<Arc<InForce<P>>>,
}

/// The state machine.
pub struct Directory<P> {
    path: PathBuf,
    filter: Filter,
    timing: Timing,
    tracks: BTreeMap<OsString, Track<P>>,
    hints: BTreeMap<OsString, Hint>,
    /// The files of each pod's last good contents.
    claims: BTreeMap<String, BTreeSet<OsString>>,
    /// What is in force: which file, which bytes.
    winners: BTreeMap<String, (OsString, Digest)>,
    ignored: BTreeMap<OsString, &'static str>,
    reports: BTreeMap<OsString, Arc<Report>>,
    identity: Option<Identity>,
    before: Option<Identity>,
    accept: bool,
    trouble: Option<String>,
    full_due: Duration,
    looked: bool,
    ready: bool,
    unkept: BTreeSet<OsString>,
}

impl<P: Named> Directory<P> {
    /// Nothing known; the first look is due at once. `path` is the directory.
    #[must_use]
    pub fn new(path: PathBuf, filter: Filter, timing: Timing) -> Self {
        Self {
            path,
            filter,
            timing,
            tracks: BTreeMap::new(),
            hints: BTreeMap::new(),
            claims: BTreeMap::new(),
            winners: BTreeMap::new(),
            ignored: BTreeMap::new(),
            reports: BTreeMap::new(),
            identity: None,
            before: None,
            accept: false,
            trouble: None,
            full_due: Duration::ZERO,
            looked: false,
            ready: false,
            unkept: BTreeSet::new(),
        }
    }

    /// Puts in force what was kept from before; to be called before the first look.
    pub fn restore(
        &mut self,
        memories: Vec<Memory>,
        before: Option<Before>,
        decoder: &impl Decoder<Pod = P>,
    ) -> Vec<Change> {
        match before {
            Some(before) if before.same_boot => self.identity = Some(before.identity),
            Some(before) => self.before = Some(before.identity),
            None => {}
        }
        let mut touched = BTreeSet::new();
        for memory in memories {
            if self.filter.ignored(&memory.file).is_some() {
                continue;
            }
            let path = self.path.join(&memory.file);
            let track = match decoder.file(&path, &memory.bytes) {
                Ok(pod) => {
                    let good = InForce {
                        name: pod.full_name(),
                        origin: path,
                        digest: Digest::of(&memory.bytes),
                        accepted: memory.accepted,
                        pod,
                        bytes: memory.bytes,
                    };
                    self.claim(&memory.file, &good.name);
                    Track::kept(Some(Arc::new(good)), None)
                }
                Err(_) => Track::kept(None, Some(memory.pod)),
            };
            self.tracks.insert(memory.file.clone(), track);
            touched.insert(memory.file);
        }
        let keys = self.claims.keys().cloned().collect();
        self.settle_winners(&keys, touched)
    }

    /// Something happened in the directory.
    pub fn heard(&mut self, event: Event, now: Now) {
        let (at, timing) = (now.mono, self.timing);
        type Mark = fn(&mut Hint, Duration, &Timing);
        let (name, mark): (OsString, Mark) = match event {
            Event::Created(name) => (name, Hint::created),
            Event::Written(name) => (name, Hint::written),
            Event::Completed(name) => (name, Hint::completed),
            Event::Attributes(name) => (name, Hint::attributes),
            Event::Left(name) => (name, Hint::left),
            Event::Directory => return self.look_by(at + timing.debounce),
            Event::Lost => {
                self.hints.values_mut().for_each(Hint::forget);
                return self.look_by(at + timing.debounce);
            }
        };
        if self.filter.ignored(&name).is_none() {
            mark(self.hints.entry(name).or_default(), at, &timing);
        } else if self.tracks.values().any(|track| track.link) {
            // The name may be on the way of a link: `pod.yaml -> ..data/pod.yaml`.
            self.look_by(at + timing.debounce);
        }
    }

    /// What to look at now, if anything.
    #[must_use]
    pub fn wanted(&self, now: Now) -> Option<Scope> {
        if self.full_due <= now.mono {
            return Some(Scope::All);
        }
        if self.trouble.is_some() {
            return None;
        }
        let due = self.hints.iter().filter(|(_, hint)| hint.due <= now.mono);
        let names: BTreeSet<OsString> = due.map(|(name, _)| name.clone()).collect();
        (!names.is_empty()).then_some(Scope::Names(names))
    }

    /// Monotonic time of the next look. While the directory cannot be read, only full looks are
    /// made.
    #[must_use]
    pub fn next(&self) -> Duration {
        if self.trouble.is_some() {
            return self.full_due;
        }
        let hints = self.hints.values().map(|hint| hint.due);
        hints.fold(self.full_due, Duration::min)
    }

    /// The directory now in the place is the one that is meant: what it lacks is gone.
    pub fn accept_replacement(&mut self, now: Now) {
        self.accept = true;
        self.look_by(now.mono);
    }

    /// Somebody wants to know now.
    pub fn look_now(&mut self, now: Now) {
        self.look_by(now.mono);
    }

    /// A look has not come back: the file system hangs.
    pub fn stalled(&mut self, waited: Duration) -> Vec<Change> {
        let text = format!(
            "{} has not answered for {} s; is it on a file system whose server is away? everything stays as it is",
            self.path.display(),
            waited.as_secs()
        );
        self.source_trouble(Some(text))
    }

    /// A look came back. What it says about names of which events came after it began is not
    /// used: those are looked at again.
    pub fn observe(
        &mut self,
        look: &Look,
        now: Now,
        decoder: &impl Decoder<Pod = P>,
    ) -> Vec<Change> {
        let listing = match self.admissible(look, now) {
            Ok(Some(listing)) => listing,
            Ok(None) => return Vec::new(),
            Err(trouble) => {
                self.tracks.values_mut().for_each(Track::doubt_absence);
                return self.source_trouble(Some(trouble));
            }
        };
        let mut changes = self.source_trouble(None);
        let names: BTreeSet<OsString> = match &look.scope {
            Scope::All => {
                self.full_due = now.mono + self.timing.rescan;
                self.looked = true;
                self.ignored.clone_from(&listing.ignored);
                let known = self.tracks.keys().chain(self.hints.keys());
                known.chain(listing.entries.keys()).cloned().collect()
            }
            Scope::Names(names) => names.clone(),
        };
        let mut touched = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for name in names {
            if self.filter.ignored(&name).is_some() {
                continue;
            }
            let entry = listing.entries.get(&name);
            if self.step(&name, entry, look.started, now, decoder, &mut keys) {
                touched.insert(name);
            }
        }
        changes.extend(self.settle_winners(&keys, touched));
        if !self.ready && self.looked && self.tracks.values().all(Track::is_settled) {
            self.ready = true;
            changes.push(Change::Ready);
        }
        changes
    }

    /// What the rest of the house may know.
    #[must_use]
    pub fn view(&self) -> View<P> {
        let in_force = self.tracks.iter().filter_map(|(name, track)| {
            let good = track.good.as_ref()?;
            let (winner, _) = self.winners.get(&good.name)?;
            (winner == name).then(|| Arc::clone(good))
        });
        let spared = self
            .tracks
            .values()
            .filter_map(|track| track.spared.clone());
        let ignored = self.ignored.iter().map(|(name, why)| {
            Arc::new(Report {
                origin: self.path.join(name),
                status: Status::Ignored,
                pod: None,
                digest: None,
                accepted: None,
                error: Some((*why).to_owned()),
            })
        });
        let mut files: Vec<_> = self.reports.values().cloned().chain(ignored).collect();
        files.sort_by(|one, other| one.origin.cmp(&other.origin));
        View {
            ready: self.ready,
            trouble: self.trouble.clone(),
            in_force: in_force.collect(),
            spared: spared.collect(),
            files,
        }
    }

    /// Which directory it is, once known.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// What has to be written to, or removed from, the store of last good manifests.
    pub fn take_unkept(&mut self) -> Vec<Keep<P>> {
        let names = std::mem::take(&mut self.unkept);
        let keep = |file: OsString| {
            let track = self.tracks.get(&file);
            // What is spared is still what is kept.
            let spared = track.is_some_and(|track| track.spared.is_some());
            let manifest = track.and_then(|track| track.good.clone());
            (!spared).then_some(Keep { file, manifest })
        };
        names.into_iter().filter_map(keep).collect()
    }

    /// The store could not take this one; it is given out again.
    pub fn not_kept(&mut self, file: OsString) {
        self.unkept.insert(file);
    }

    fn look_by(&mut self, due: Duration) {
        self.full_due = self.full_due.min(due);
    }

    /// One name. Adds the pods whose files may have changed to `keys`; returns whether there is
    /// something to report.
    fn step(
        &mut self,
        name: &OsStr,
        entry: Option<&Entry>,
        started: Duration,
        now: Now,
        decoder: &impl Decoder<Pod = P>,
        keys: &mut BTreeSet<String>,
    ) -> bool {
        let hint = self.hints.get(name);
        if hint.is_some_and(|hint| hint.last.is_some_and(|last| last >= started)) {
            return false;
        }
        if entry.is_none() && !self.tracks.contains_key(name) {
            self.hints.remove(name);
            return false;
        }
        if !matches!(entry, Some(Entry::Other(_))) {
            self.ignored.remove(name);
        }
        let none = Hint::default();
        let track = self.tracks.entry(name.to_owned()).or_default();
        let verdict = track.step(entry, hint.unwrap_or(&none), started, &self.timing);
        let (bytes, digest) = match verdict {
            Verdict::Again(due) => {
                let hint = self.hints.entry(name.to_owned());
                hint.or_insert_with(|| Hint::of_look(due)).due = due;
                return true;
            }
            Verdict::Settled => {
                self.hints.remove(name);
                return true;
            }
            Verdict::Gone => {
                self.hints.remove(name);
                if let Some(Entry::Other(kind)) = entry {
                    self.ignored.insert(name.to_owned(), kind);
                }
                self.forget(name, keys);
                return true;
            }
            Verdict::Judge(bytes, digest) => (bytes, digest),
        };
        self.hints.remove(name);
        let origin = self.path.join(name);
        let outcome = decoder.file(&origin, bytes).map(|pod| {
            Arc::new(InForce {
                origin,
                name: pod.full_name(),
                digest,
                accepted: now.wall,
                pod,
                bytes: Arc::clone(bytes),
            })
        });
        if let Ok(good) = &outcome {
            let before = track.good.as_ref().map(|good| good.name.clone());
            keys.insert(good.name.clone());
            let after = good.name.clone();
            track.judged(digest, outcome);
            if let Some(before) = before {
                self.disclaim(name, &before);
                keys.insert(before);
            }
            self.claim(name, &after);
            self.unkept.insert(name.to_owned());
        } else {
            track.judged(digest, outcome);
        }
        true
    }

    fn forget(&mut self, name: &OsStr, keys: &mut BTreeSet<String>) {
        let Some(track) = self.tracks.remove(name) else {
            return;
        };
        if let Some(good) = &track.good {
            self.disclaim(name, &good.name);
            keys.insert(good.name.clone());
        }
        if track.good.is_some() || track.spared.is_some() {
            self.unkept.insert(name.to_owned());
        }
    }

    fn claim(&mut self, name: &OsStr, pod: &str) {
        let files = self.claims.entry(pod.to_owned()).or_default();
        files.insert(name.to_owned());
    }

    fn disclaim(&mut self, name: &OsStr, pod: &str) {
        if let Some(files) = self.claims.get_mut(pod) {
            files.remove(name);
            if files.is_empty() {
                self.claims.remove(pod);
            }
        }
    }

    /// Decides anew which file each of these pods comes from, and reports what is different.
    fn settle_winners(
        &mut self,
        keys: &BTreeSet<String>,
        mut touched: BTreeSet<OsString>,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for key in keys {
            let files = self.claims.get(key);
            touched.extend(files.into_iter().flatten().cloned());
            let after = files.and_then(BTreeSet::first).and_then(|name| {
                let good = self.tracks.get(name)?.good.as_ref()?;
                Some((name.clone(), good.digest))
            });
            let before = match &after {
                Some(after) => self.winners.insert(key.clone(), after.clone()),
                None => self.winners.remove(key),
            };
            changes.extend(self.change(key.clone(), before, after));
        }
        for name in touched {
            changes.extend(self.report(&name));
        }
        changes
    }

    fn change(
        &self,
        pod: String,
        before: Option<(OsString, Digest)>,
        after: Option<(OsString, Digest)>,
    ) -> Option<Change> {
        let origin = |(name, _): &(OsString, Digest)| self.path.join(name);
        match (before, after) {
            (before, after) if before == after => None,
            (None, Some(after)) => Some(Change::Added {
                pod,
                origin: origin(&after),
            }),
            (Some(_), Some(after)) => Some(Change::Replaced {
                pod,
                origin: origin(&after),
            }),
            (Some(before), None) => Some(Change::Removed {
                pod,
                origin: origin(&before),
            }),
            (None, None) => None,
        }
    }

    /// Renews the report of one file, and tells of another status or error.
    fn report(&mut self, name: &OsStr) -> Option<Change> {
        let Some(track) = self.tracks.get(name) else {
            self.reports.remove(name);
            return None;
        };
        let good = track.good.as_ref();
        let winner = good.and_then(|good| self.winners.get(&good.name));
        let first = winner.filter(|(winner, _)| winner != name);
        let first = first.map(|(winner, _)| self.path.join(winner));
        let report = track.report(&self.path.join(name), first.as_deref());
        let before = self.reports.get(name);
        if before.is_some_and(|before| **before == report) {
            return None;
        }
        let told = before.map_or(report.status != Status::Ok, |before| {
            (before.status, &before.error) != (report.status, &report.error)
        });
        let report = Arc::new(report);
        self.reports.insert(name.to_owned(), Arc::clone(&report));
        told.then_some(Change::File(report))
    }

    fn source_trouble(&mut self, trouble: Option<String>) -> Vec<Change> {
        if self.trouble == trouble {
            return Vec::new();
        }
        self.trouble.clone_from(&trouble);
        vec![Change::Source {
            trouble,
            loud: true,
        }]
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests;
