//! What discovery knows: derived versions, refused ids, and how many refreshes are left.
//! All bounded, all without IO; the time is passed in.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use registry::{
    confirm::{ANSWERS, APART},
    key_id::KeyId,
    reading::KeyMetadata,
    scope::Scope,
    snapshot::Snapshot,
};

/// Refreshes per window, whatever is asked for.
pub(super) const REFRESHES: usize = 4;
/// Refused ids that are remembered; the oldest makes room. The budget of refreshes protects
/// OpenBao also when more are asked for.
pub(super) const REFUSED_MAX: usize = 4096;
/// Derived versions that are kept; of a key with more, the newest.
pub(super) const DERIVED_MAX: usize = 16_384;

/// How often a version must have been seen before it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sighting {
    /// By one refresh.
    Once,
    /// By two refreshes, each on a new connection and at least two seconds apart, or by an
    /// accepted metadata probe. It is not what the registry calls confirmed, which takes
    /// three answers: here it only opens what was sealed, and Transit has the last word.
    Confirmed,
}

struct Derived {
    key_id: KeyId,
    sighting: Sighting,
    /// When a refresh saw it first.
    first: Duration,
    /// How many accepted probes in a row did not list it, each well apart from the last.
    absent: u32,
    last_absent: Option<Duration>,
    /// Made when first asked for: few of the versions of a long-lived key ever are.
    snapshot: Option<Arc<Snapshot>>,
}

/// The memory of one process. Nothing of it is written anywhere.
pub(super) struct Memory {
    scope: Arc<Scope>,
    plugin_version: String,
    window: Duration,
    /// By version and creation second.
    derived: BTreeMap<(u64, i64), Derived>,
    index: HashMap<KeyId, (u64, i64)>,
    /// Until when each is refused; the deque holds them in the order of that time.
    refused: HashMap<KeyId, Duration>,
    refused_order: VecDeque<(Duration, KeyId)>,
    /// When the last refreshes began, oldest first.
    refreshes: VecDeque<Duration>,
}

impl Derived {
    /// An accepted probe lists no such version. Returns whether that is to be believed: a
    /// standby that lags behind says the same, and its answer is accepted where the records
    /// end before the version.
    fn is_gone(&mut self, now: Duration) -> bool {
        let apart = |last: Duration| now.saturating_sub(last) >= APART;
        if self.last_absent.is_none_or(apart) {
            self.absent = self.absent.saturating_add(1);
            self.last_absent = Some(now);
        }
        self.absent >= ANSWERS
    }
}

impl Memory {
    pub(super) fn new(scope: Arc<Scope>, plugin_version: String, window: Duration) -> Self {
        Self {
            scope,
            plugin_version,
            window,
            derived: BTreeMap::new(),
            index: HashMap::new(),
            refused: HashMap::new(),
            refused_order: VecDeque::new(),
            refreshes: VecDeque::new(),
        }
    }

    /// The version that `key_id` names, if it was seen at least as well as `enough`.
    pub(super) fn find(&mut self, key_id: &KeyId, enough: Sighting) -> Option<Arc<Snapshot>> {
        let at = self.index.get(key_id)?;
        let derived = self.derived.get_mut(at)?;
        if derived.sighting < enough {
            return None;
        }
        let (version, created) = *at;
        let make = || Snapshot::new(&self.scope, &self.plugin_version, version, created);
        let snapshot = derived.snapshot.get_or_insert_with(|| Arc::new(make()));
        Some(Arc::clone(snapshot))
    }

    /// Whether `key_id` was seen at all.
    pub(super) fn has_seen(&self, key_id: &KeyId) -> bool {
        self.index.contains_key(key_id)
    }

    /// How long until a second sighting of `key_id` counts; `None` when it counts already, or
    /// when there was no first one.
    pub(super) fn counts_in(&self, key_id: &KeyId, now: Duration) -> Option<Duration> {
        let derived = self.derived.get(self.index.get(key_id)?)?;
        let left = derived.first.saturating_add(APART).saturating_sub(now);
        Some(left).filter(|left| !left.is_zero())
    }

    /// What one refresh read. Only adds: a standby that lags behind must not take away.
    /// Returns how many versions are new.
    pub(super) fn add(&mut self, metadata: &KeyMetadata, now: Duration) -> usize {
        self.learn(metadata, false, now)
    }

    /// What an accepted metadata probe read. A version with another creation second is
    /// dropped at once, one that is merely absent after three such probes.
    pub(super) fn replace(&mut self, metadata: &KeyMetadata, now: Duration) -> usize {
        let Self { derived, index, .. } = self;
        derived.retain(|(version, created), entry| {
            let stays = match metadata.creation_times.get(version) {
                Some(found) if found == created => {
                    entry.absent = 0;
                    entry.last_absent = None;
                    true
                }
                Some(_) => false,
                None => !entry.is_gone(now),
            };
            if !stays {
                index.remove(&entry.key_id);
            }
            stays
        });
        self.learn(metadata, true, now)
    }

    fn learn(&mut self, metadata: &KeyMetadata, confirmed: bool, now: Duration) -> usize {
        let before = self.derived.len();
        let times = metadata.creation_times.iter().rev();
        let sane = |(version, created): &(&u64, &i64)| **version >= 1 && **created > 0;
        for (&version, &created) in times.filter(sane).take(DERIVED_MAX) {
            let at = (version, created);
            if let Some(known) = self.derived.get_mut(&at) {
                if confirmed || now.saturating_sub(known.first) >= APART {
                    known.sighting = Sighting::Confirmed;
                }
                continue;
            }
            if self.derived.len() >= DERIVED_MAX {
                break;
            }
            let key_id = KeyId::derive(&self.scope, version, created);
            self.refused.remove(&key_id);
            self.index.insert(key_id.clone(), at);
            let sighting = match confirmed {
                true => Sighting::Confirmed,
                false => Sighting::Once,
            };
            let derived = Derived {
                key_id,
                sighting,
                first: now,
                absent: 0,
                last_absent: None,
                snapshot: None,
            };
            self.derived.insert(at, derived);
        }
        self.derived.len() - before
    }

    /// Remembers for one window that nothing derives `key_id`.
    pub(super) fn refuse(&mut self, key_id: &KeyId, now: Duration) {
        self.forget_refusals(now);
        let until = now + self.window;
        self.refused.insert(key_id.clone(), until);
        self.refused_order.push_back((until, key_id.clone()));
        while self.refused_order.len() > REFUSED_MAX {
            self.forget_oldest();
        }
    }

    /// Whether `key_id` was refused less than a window ago.
    pub(super) fn is_refused(&self, key_id: &KeyId, now: Duration) -> bool {
        self.refused.get(key_id).is_some_and(|until| now < *until)
    }

    /// Takes one refresh of the window that ends now, if one is left.
    pub(super) fn take_refresh(&mut self, now: Duration) -> bool {
        while let Some(oldest) = self.refreshes.front() {
            if now < *oldest + self.window {
                break;
            }
            self.refreshes.pop_front();
        }
        let left = self.refreshes.len() < REFRESHES;
        if left {
            self.refreshes.push_back(now);
        }
        left
    }

    fn forget_refusals(&mut self, now: Duration) {
        while self
            .refused_order
            .front()
            .is_some_and(|(until, _)| *until <= now)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((until, key_id)) = self.refused_order.pop_front() {
            // It may have been refused again since; then a later entry answers for it.
            if self.refused.get(&key_id) == Some(&until) {
                self.refused.remove(&key_id);
            }
        }
    }

    /// Derived versions, refused ids, and entries of their order.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (
            self.derived.len(),
            self.refused.len(),
            self.refused_order.len(),
        )
    }
}
