//! One file over time: when its content is believed, and when it is gone.

use std::{path::Path, sync::Arc, time::Duration};

use super::{Timing, hint::Hint};
use crate::{
    facts::{Digest, Entry, Stamp},
    view::{InForce, Report, Status},
};

/// A content that was read once and is not believed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    stamp: Stamp,
    digest: Digest,
    /// Start of the look that found it.
    seen: Duration,
}

/// What is known of one file.
pub(super) struct Track<P> {
    /// Last good content.
    pub(super) good: Option<Arc<InForce<P>>>,
    /// The content that is there, believed to be whole, and not good.
    pub(super) refused: Option<(Digest, String)>,
    candidate: Option<Candidate>,
    /// Why the content that is there is not known.
    trouble: Option<(Status, String)>,
    /// Start of the first look of a row that did not find it.
    absent: Option<Duration>,
    /// Its pod of before, when the bytes kept of it are not understood any more.
    pub(super) spared: Option<String>,
    /// Only remembered; not seen since the agent started.
    kept: bool,
    /// A symlink when last seen.
    pub(super) link: bool,
}

/// What a look says about one file.
#[derive(Debug)]
pub(super) enum Verdict<'a> {
    /// Nothing more to find out until something happens.
    Settled,
    /// Look again at this time.
    Again(Duration),
    /// Truly gone.
    Gone,
    /// A whole content that was not judged yet.
    Judge(&'a Arc<[u8]>, Digest),
}

impl<P> Default for Track<P> {
    fn default() -> Self {
        Self {
            good: None,
            refused: None,
            candidate: None,
            trouble: None,
            absent: None,
            spared: None,
            kept: false,
            link: false,
        }
    }
}

impl<P> Track<P> {
    /// Remembered from before the agent started.
    pub(super) fn kept(good: Option<Arc<InForce<P>>>, spared: Option<String>) -> Self {
        Self {
            good,
            spared,
            kept: true,
            ..Self::default()
        }
    }

    /// One look at this file, which began at `started`; no event about it came since then.
    pub(super) fn step<'a>(
        &mut self,
        entry: Option<&'a Entry>,
        hint: &Hint,
        started: Duration,
        timing: &Timing,
    ) -> Verdict<'a> {
        let Some(entry) = entry else {
            return self.missed(hint, started, timing);
        };
        self.absent = None;
        self.kept = false;
        let (status, text) = match entry {
            Entry::Read { stamp, bytes, link } => {
                self.link = *link;
                return self.read(*stamp, bytes, hint, started, timing);
            }
            Entry::Torn => {
                self.candidate = None;
                self.trouble = Some((
                    Status::HalfWritten,
                    "changed while it was read; it is read again".into(),
                ));
                return Verdict::Again(started + timing.debounce);
            }
            Entry::Unreadable(why) => (Status::Unreadable, why.clone()),
            Entry::Refused(why) => (Status::Refused, why.clone()),
            Entry::Other(kind) => {
                if self.good.is_none() && self.spared.is_none() {
                    return Verdict::Gone;
                }
                let text = format!("{kind} now; put the file back, or remove the name");
                (Status::Refused, text)
            }
        };
        self.candidate = None;
        self.trouble = Some((status, text));
        Verdict::Settled
    }

    /// Absent: gone at once after an event that says so, else at the second look in a row.
    fn missed(&mut self, hint: &Hint, started: Duration, timing: &Timing) -> Verdict<'static> {
        self.candidate = None;
        let first = *self.absent.get_or_insert(started);
        if hint.left || started >= first + timing.debounce {
            return Verdict::Gone;
        }
        Verdict::Again(first + timing.debounce)
    }

    fn read<'a>(
        &mut self,
        stamp: Stamp,
        bytes: &'a Arc<[u8]>,
        hint: &Hint,
        started: Duration,
        timing: &Timing,
    ) -> Verdict<'a> {
        self.trouble = None;
        let digest = Digest::of(bytes);
        let good = self.good.as_ref().is_some_and(|good| good.digest == digest);
        if good {
            // Known to be whole since it was accepted.
            self.candidate = None;
            self.refused = None;
            return Verdict::Settled;
        }
        if self.refused.as_ref().is_some_and(|(old, _)| *old == digest) {
            self.candidate = None;
            return Verdict::Settled;
        }
        let now = Candidate {
            stamp,
            digest,
            seen: started,
        };
        let seen = match self.candidate {
            Some(before) if before.digest == digest && before.stamp == stamp => before.seen,
            _ => started,
        };
        self.candidate = Some(Candidate { seen, ..now });
        if let Some(until) = hint.held_until(started, timing) {
            let text = "a process that wrote to it still has it open; it is read when that process closes it";
            self.trouble = Some((Status::HalfWritten, text.into()));
            return Verdict::Again(until);
        }
        let whole = hint.complete && !self.link;
        if whole || started >= seen + timing.debounce {
            self.candidate = None;
            return Verdict::Judge(bytes, digest);
        }
        Verdict::Again(seen + timing.debounce)
    }

    /// The outcome of a [`Verdict::Judge`].
    pub(super) fn judged(&mut self, digest: Digest, outcome: Result<Arc<InForce<P>>, String>) {
        match outcome {
            Ok(good) => {
                self.good = Some(good);
                self.refused = None;
                self.spared = None;
            }
            Err(error) => self.refused = Some((digest, error)),
        }
    }

    /// A look that did not succeed stands between two that miss the file.
    pub(super) fn doubt_absence(&mut self) {
        self.absent = None;
    }

    /// Everything that there is to know of it is known.
    pub(super) fn is_settled(&self) -> bool {
        let known = self.good.is_some() || self.spared.is_some();
        let unknown = |(status, _): &(Status, String)| *status != Status::Refused && !known;
        self.candidate.is_none()
            && self.absent.is_none()
            && !self.kept
            && !self.trouble.as_ref().is_some_and(unknown)
    }

    /// For people. `first` is the file that has the same pod and comes first, if there is one.
    pub(super) fn report(&self, origin: &Path, first: Option<&Path>) -> Report {
        let (status, error) = self.status(first);
        let good = self.good.as_deref();
        Report {
            origin: origin.to_owned(),
            status,
            pod: good.map(|good| good.name.clone()).or(self.spared.clone()),
            digest: good.map(|good| good.digest),
            accepted: good.map(|good| good.accepted),
            error,
        }
    }

    fn status(&self, first: Option<&Path>) -> (Status, Option<String>) {
        if let Some((status, why)) = &self.trouble {
            return (*status, Some(why.clone()));
        }
        if self.candidate.is_some() {
            let text = "is not known to be whole yet; it is read again";
            return (Status::HalfWritten, Some(text.into()));
        }
        if let Some((_, why)) = &self.refused {
            return (Status::Refused, Some(why.clone()));
        }
        if let Some(first) = first {
            let text = format!(
                "describes the same pod as {}, which comes first; remove one of them",
                first.display()
            );
            return (Status::Duplicate, Some(text));
        }
        if self.kept {
            let text = "what was kept of it is not understood by this version; its pod is left as it is until the file is mended";
            return (Status::Kept, self.spared.as_ref().map(|_| text.into()));
        }
        (Status::Ok, None)
    }
}
