//! What happened: counts, times, the diary on disk, and everything that must not have happened.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write as _},
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{latency::Latency, sky::Call};

/// More faults than this explain nothing.
const TOLD: usize = 40;

/// The books of one run.
pub(crate) struct Ledger {
    began: Instant,
    books: Mutex<Books>,
    diary: Mutex<File>,
    over: AtomicBool,
}

/// What the summary is made of.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// Calls by kind and outcome.
    pub(crate) outcomes: BTreeMap<(Call, &'static str), u64>,
    /// Times of answers while nothing was wrong.
    pub(crate) calm: BTreeMap<Call, Latency>,
    /// Times of all answers.
    pub(crate) all: BTreeMap<Call, Latency>,
    /// Bad weather by name.
    pub(crate) weather: BTreeMap<&'static str, Toll>,
    /// The one that came last.
    pub(crate) newest: Option<&'static str>,
    /// Rotations, restarts and the like.
    pub(crate) tallies: BTreeMap<&'static str, u64>,
    /// What must not have happened; the first ones in words.
    pub(crate) faults: Vec<String>,
    /// How many in all.
    pub(crate) faults_in_all: u64,
    /// The weather that had come last before the last of them.
    pub(crate) fault_after: Option<&'static str>,
    /// Answers with wrong bytes.
    pub(crate) wrong: u64,
    /// Ciphertexts that did not decrypt at the end.
    pub(crate) lost: u64,
}

/// What one kind of weather did.
#[derive(Debug, Default)]
pub(crate) struct Toll {
    /// How often it came.
    pub(crate) times: u64,
    /// Failures that it excused.
    pub(crate) excused: BTreeMap<(Call, &'static str), u64>,
    /// The longest time between its end and the last failure it excused.
    pub(crate) well_after: BTreeMap<Call, Duration>,
}

impl Ledger {
    /// A new one; the diary is written to `diary`.
    pub(crate) fn open(diary: &Path) -> io::Result<Self> {
        Ok(Self {
            began: Instant::now(),
            books: Mutex::default(),
            diary: Mutex::new(File::create(diary)?),
            over: AtomicBool::new(false),
        })
    }

    /// Since when.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// The books. Not to be held across an await.
    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line into the diary.
    pub(crate) fn note(&self, line: &str) {
        let at = self.began.elapsed().as_secs_f64();
        let mut diary = self.diary.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk must not end the run; the summary goes elsewhere.
        let _ = writeln!(diary, "{at:10.3} {line}");
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, call: Call, outcome: &'static str, took: Duration, calm: bool) {
        let mut books = self.books();
        *books.outcomes.entry((call, outcome)).or_default() += 1;
        books.all.entry(call).or_default().add(took);
        if calm {
            books.calm.entry(call).or_default().add(took);
        }
    }

    /// Counts something.
    pub(crate) fn tally(&self, what: &'static str) {
        *self.books().tallies.entry(what).or_default() += 1;
    }

    /// Bad weather came.
    pub(crate) fn came(&self, weather: &'static str) {
        let mut books = self.books();
        books.weather.entry(weather).or_default().times += 1;
        books.newest = Some(weather);
    }

    /// Bad weather, which ended `after` ago, excuses a failure.
    pub(crate) fn excused(
        &self,
        weather: &'static str,
        call: Call,
        class: &'static str,
        after: Duration,
    ) {
        let mut books = self.books();
        let toll = books.weather.entry(weather).or_default();
        *toll.excused.entry((call, class)).or_default() += 1;
        let longest = toll.well_after.entry(call).or_default();
        *longest = after.max(*longest);
    }

    /// Something that must not happen has happened.
    pub(crate) fn fault(&self, what: &str) {
        self.note(&format!("FAULT {what}"));
        let at = self.began.elapsed().as_secs_f64();
        let mut books = self.books();
        books.faults_in_all += 1;
        books.fault_after = books.newest;
        if books.faults.len() < TOLD {
            books.faults.push(format!("{at:.1} s: {what}"));
        }
    }

    /// Data was wrong: there is no use in going on.
    pub(crate) fn wrong_answer(&self, what: &str) {
        self.fault(what);
        self.books().wrong += 1;
        self.finish();
    }

    /// A ciphertext is lost.
    pub(crate) fn lost(&self, what: &str) {
        self.fault(what);
        self.books().lost += 1;
    }

    /// Whether an answer was wrong.
    pub(crate) fn is_broken(&self) -> bool {
        self.books().wrong > 0
    }

    /// No more calls.
    pub(crate) fn finish(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether everybody should stop.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}
