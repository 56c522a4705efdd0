use pace::Now;

use super::*;
use crate::{
    facts::{Entry, Event, Listing, Look, Scope, Stamp},
    testing::{Plain, PlainDecoder},
};

mod believing;
mod changing;
mod places;
mod seas;

const HOME: Identity = Identity {
    device: 1,
    inode: 10,
};
const ELSEWHERE: Identity = Identity {
    device: 2,
    inode: 10,
};

/// A directory that exists only as values, and a clock that is turned by hand.
struct Bench {
    machine: Directory<Plain>,
    now: Duration,
    entries: BTreeMap<OsString, Entry>,
    identity: Identity,
    away: bool,
    stamps: u64,
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn pod(name: &str, text: &str) -> String {
    format!("pod d/{name} {text}")
}

impl Bench {
    fn new() -> Self {
        Self::of(Filter::Manifests)
    }

    fn of(filter: Filter) -> Self {
        Self {
            machine: Directory::new("/m".into(), filter, Timing::default()),
            now: ms(1_000),
            entries: BTreeMap::new(),
            identity: HOME,
            away: false,
            stamps: 0,
        }
    }

    fn now(&self) -> Now {
        Now {
            wall: 5_000 + i64::try_from(self.now.as_secs()).unwrap(),
            mono: self.now,
        }
    }

    fn entry(&mut self, text: &str, link: bool) -> Entry {
        self.stamps += 1;
        Entry::Read {
            stamp: Stamp {
                identity: HOME,
                size: u64::try_from(text.len()).unwrap(),
                modified: (0, self.stamps),
                changed: (0, self.stamps),
            },
            bytes: Arc::from(text.as_bytes()),
            link,
        }
    }

    /// Changes the content and says nothing.
    fn put(&mut self, name: &str, text: &str) {
        let entry = self.entry(text, false);
        self.entries.insert(name.into(), entry);
    }

    fn heard(&mut self, event: Event) {
        self.machine.heard(event, self.now());
    }

    /// A file renamed into place.
    fn rename_in(&mut self, name: &str, text: &str) {
        self.put(name, text);
        self.heard(Event::Completed(name.into()));
    }

    fn delete(&mut self, name: &str) {
        self.entries.remove(OsStr::new(name));
        self.heard(Event::Left(name.into()));
    }

    fn take(&self, scope: Scope) -> Look {
        let found = if self.away {
            Err("/m does not exist".to_owned())
        } else {
            let mut entries = self.entries.clone();
            if let Scope::Names(names) = &scope {
                entries.retain(|name, _| names.contains(name));
            }
            entries.retain(|name, _| self.machine.filter.ignored(name).is_none());
            let names = self.entries.keys().filter(|_| scope == Scope::All);
            let ignored = names.filter_map(|name| {
                let why = self.machine.filter.ignored(name)?;
                Some((name.clone(), why))
            });
            Ok(Listing {
                identity: self.identity,
                entries,
                ignored: ignored.collect(),
            })
        };
        Look {
            started: self.now,
            scope,
            found,
        }
    }

    /// The look that is wanted now, a millisecond long.
    fn look(&mut self) -> Vec<Change> {
        let scope = self.machine.wanted(self.now()).expect("a look is due");
        let look = self.take(scope);
        self.now += ms(1);
        self.machine.observe(&look, self.now(), &PlainDecoder)
    }

    /// Lets time pass, with the looks that come due in it.
    fn pass(&mut self, time: Duration) -> Vec<Change> {
        let end = self.now + time;
        let mut changes = Vec::new();
        while self.machine.next() <= end {
            self.now = self.now.max(self.machine.next());
            changes.extend(self.look());
        }
        self.now = self.now.max(end);
        changes
    }

    /// `d/a=text d/b=text`, by file.
    fn in_force(&self) -> String {
        let view = self.machine.view();
        let shown = view.in_force.iter().map(|good| {
            assert_eq!(good.name, good.pod.name);
            good.pod.text.strip_prefix("pod ").unwrap().to_owned()
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    fn status(&self, name: &str) -> (Status, String) {
        let path = Path::new("/m").join(name);
        let files = self.machine.view().files;
        let report = files.iter().find(|report| report.origin == path);
        let report = report.unwrap_or_else(|| panic!("{name} is not reported"));
        (report.status, report.error.clone().unwrap_or_default())
    }

    fn is_ready(&self) -> bool {
        self.machine.view().ready
    }
}

fn removed(changes: &[Change]) -> Vec<&str> {
    let pods = changes.iter().filter_map(|change| match change {
        Change::Removed { pod, .. } => Some(pod.as_str()),
        _ => None,
    });
    pods.collect()
}
