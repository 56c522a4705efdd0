//! A URL with a Pod or a PodList, over time. Decides; connects to nothing.
//!
//! Only an answer that came whole and whose every item is fine changes anything, and only a list
//! that says it is empty takes every pod away. A body is remembered, to be told as unchanged,
//! once it was accepted and not before: a bad body is told again each time.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use pace::Now;

use crate::{
    facts::Digest,
    view::{Change, Decoder, InForce, Named, Report, Status, View},
};

/// An answer without an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 304: what was remembered is still right.
    Unchanged,
    /// 200.
    Body {
        /// All of it.
        bytes: Arc<[u8]>,
        /// The entity tag, as it came.
        tag: Option<Vec<u8>>,
    },
}

/// Failures in a row that are worth a line each.
const LOUD: u32 = 3;

/// What is kept of a body over a restart of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBody {
    /// When it was accepted, Unix seconds.
    pub accepted: i64,
    /// Names of its pods, `namespace/name`.
    pub pods: Vec<String>,
    /// All of it.
    pub bytes: Arc<[u8]>,
}

/// The last body that was accepted.
struct Accepted<P> {
    digest: Digest,
    tag: Option<Vec<u8>>,
    at: i64,
    bytes: Arc<[u8]>,
    pods: Vec<Arc<InForce<P>>>,
}

/// The state machine.
pub struct Remote<P> {
    url: String,
    period: Duration,
    accepted: Option<Accepted<P>>,
    /// Pods of a kept body that is not understood any more.
    spared: Vec<String>,
    duplicates: Vec<String>,
    failures: u32,
    trouble: Option<String>,
    due: Duration,
    ready: bool,
    unkept: bool,
}

impl<P: Named> Remote<P> {
    /// Nothing known; the first fetch is due at once. `url` is shown to people and handed to
    /// the decoder; `period` counts from the end of a fetch.
    #[must_use]
    pub fn new(url: String, period: Duration) -> Self {
        Self {
            url,
            period,
            accepted: None,
            spared: Vec::new(),
            duplicates: Vec::new(),
            failures: 0,
            trouble: None,
            due: Duration::ZERO,
            ready: false,
            unkept: false,
        }
    }

    /// Puts in force what was kept from before; to be called before the first fetch.
    pub fn restore(&mut self, kept: KeptBody, decoder: &impl Decoder<Pod = P>) -> Vec<Change> {
        let KeptBody {
            accepted,
            pods,
            bytes,
        } = kept;
        match decoder.list(&self.url, &bytes) {
            Ok(list) => self.take(list, bytes, None, accepted),
            Err(_) => {
                self.spared = pods;
                Vec::new()
            }
        }
    }

    /// Monotonic time of the next fetch.
    #[must_use]
    pub fn next(&self) -> Duration {
        self.due
    }

    /// The entity tag to ask with.
    #[must_use]
    pub fn tag(&self) -> Option<&[u8]> {
        self.accepted.as_ref()?.tag.as_deref()
    }

    /// A fetch has ended at `now`; an error is one sentence part, for people.
    pub fn fetched(
        &mut self,
        outcome: Result<Answer, String>,
        now: Now,
        decoder: &impl Decoder<Pod = P>,
    ) -> Vec<Change> {
        self.due = now.mono + self.period;
        let outcome = outcome.and_then(|answer| match answer {
            Answer::Unchanged if self.accepted.is_some() => Ok(Vec::new()),
            Answer::Unchanged => {
                Err("answered 304 though nothing was asked about; nothing changes".into())
            }
            Answer::Body { bytes, tag } => self.body(bytes, tag, now.wall, decoder),
        });
        match outcome {
            Ok(mut changes) => {
                self.failures = 0;
                if self.trouble.take().is_some() {
                    changes.push(Change::Source {
                        trouble: None,
                        loud: true,
                    });
                }
                if !self.ready {
                    self.ready = true;
                    changes.push(Change::Ready);
                }
                changes
            }
            Err(trouble) => self.failed(trouble),
        }
    }

    /// What the rest of the house may know.
    #[must_use]
    pub fn view(&self) -> View<P> {
        let accepted = self.accepted.as_ref();
        let pods = accepted.map(|accepted| accepted.pods.clone());
        let status = match (&self.trouble, self.ready) {
            (Some(_), _) => Status::Refused,
            (None, true) if self.duplicates.is_empty() => Status::Ok,
            (None, true) => Status::Duplicate,
            (None, false) => Status::Kept,
        };
        let duplicates = || {
            let names = self.duplicates.join(", ");
            format!("describes a pod more than once, and the first is used: {names}")
        };
        let error = match status {
            Status::Duplicate => Some(duplicates()),
            _ => self.trouble.clone(),
        };
        let names = |pods: &Vec<Arc<InForce<P>>>| {
            let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
            names.join(", ")
        };
        View {
            ready: self.ready,
            trouble: self.trouble.clone(),
            files: vec![Arc::new(Report {
                origin: PathBuf::from(&self.url),
                status,
                pod: pods.as_ref().filter(|pods| !pods.is_empty()).map(names),
                digest: accepted.map(|accepted| accepted.digest),
                accepted: accepted.map(|accepted| accepted.at),
                error,
            })],
            in_force: pods.unwrap_or_default(),
            spared: self.spared.clone(),
        }
    }

    /// The body to keep, if another one was accepted since the last call.
    pub fn take_unkept(&mut self) -> Option<KeptBody> {
        if !std::mem::take(&mut self.unkept) {
            return None;
        }
        let accepted = self.accepted.as_ref()?;
        Some(KeptBody {
            accepted: accepted.at,
            pods: accepted.pods.iter().map(|pod| pod.name.clone()).collect(),
            bytes: Arc::clone(&accepted.bytes),
        })
    }

    /// The store could not take it; it is given out again.
    pub fn not_kept(&mut self) {
        self.unkept = true;
    }

    fn body(
        &mut self,
        bytes: Arc<[u8]>,
        tag: Option<Vec<u8>>,
        wall: i64,
        decoder: &impl Decoder<Pod = P>,
    ) -> Result<Vec<Change>, String> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err("answered with an empty body; nothing changes: to remove every pod, serve a PodList with `items: []`".into());
        }
        let digest = Digest::of(&bytes);
        if let Some(accepted) = self.accepted.as_mut().filter(|old| old.digest == digest) {
            accepted.tag = tag;
            return Ok(Vec::new());
        }
        let list = decoder.list(&self.url, &bytes)?;
        self.unkept = true;
        Ok(self.take(list, bytes, tag, wall))
    }

    fn take(
        &mut self,
        list: Vec<P>,
        bytes: Arc<[u8]>,
        tag: Option<Vec<u8>>,
        at: i64,
    ) -> Vec<Change> {
        let digest = Digest::of(&bytes);
        let origin = Path::new(&self.url);
        let mut pods: Vec<Arc<InForce<P>>> = Vec::new();
        let mut names: BTreeMap<String, Digest> = BTreeMap::new();
        self.duplicates.clear();
        for pod in list {
            let name = pod.full_name();
            if names.insert(name.clone(), digest).is_some() {
                self.duplicates.push(name);
                continue;
            }
            pods.push(Arc::new(InForce {
                origin: origin.to_owned(),
                name,
                digest,
                accepted: at,
                pod,
                bytes: Arc::from([]),
            }));
        }
        let mut changes = Vec::new();
        let before = self.accepted.iter().flat_map(|accepted| &accepted.pods);
        let before: Vec<String> = before.map(|pod| pod.name.clone()).collect();
        for pod in before.iter().filter(|pod| !names.contains_key(*pod)) {
            changes.push(Change::Removed {
                pod: pod.clone(),
                origin: origin.to_owned(),
            });
        }
        for pod in &pods {
            let (pod, origin) = (pod.name.clone(), origin.to_owned());
            changes.push(if before.contains(&pod) {
                Change::Replaced { pod, origin }
            } else {
                Change::Added { pod, origin }
            });
        }
        self.spared.clear();
        self.accepted = Some(Accepted {
            digest,
            tag,
            at,
            bytes,
            pods,
        });
        changes
    }

    /// The first few failures in a row are told, and that no more will be; a server that is away
    /// for a week does not fill the log.
    fn failed(&mut self, trouble: String) -> Vec<Change> {
        self.failures = self.failures.saturating_add(1);
        let told = if self.failures == LOUD + 1 {
            format!(
                "{trouble}; it has failed {LOUD} times before, and is not told again until it works"
            )
        } else {
            trouble.clone()
        };
        self.trouble = Some(trouble);
        vec![Change::Source {
            trouble: Some(told),
            loud: self.failures <= LOUD + 1,
        }]
    }
}

#[cfg(test)]
mod tests;
