//! Which files of a log go, are compressed and are renamed. Decides; touches nothing.

use jiff::{Timestamp, ToSpan as _, civil::DateTime, tz::TimeZone};

pub(crate) const PACKED: &str = ".gz";
pub(crate) const UNFINISHED: &str = ".tmp";
const STAMP: &str = "%Y%m%d-%H%M%S";

/// When a log is rotated, and how many files of it there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A log of this size or more is rotated.
    pub bytes: u64,
    /// With the one that is written to; at least 2.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 10 * 1024 * 1024,
            files: 5,
        }
    }
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) remove: Vec<String>,
    pub(crate) rename_to: String,
    /// All that was rotated away before.
    pub(crate) compress: Vec<String>,
}

/// A file that was rotated away, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rotated {
    pub(crate) at: DateTime,
    pub(crate) is_packed: bool,
}

impl Rotated {
    /// `None` for what is not a rotated file of `log`.
    pub(crate) fn read(log: &str, file: &str) -> Option<Self> {
        let stamp = file.strip_prefix(log)?.strip_prefix('.')?;
        let (stamp, is_packed) = match stamp.strip_suffix(PACKED) {
            Some(stamp) => (stamp, true),
            None => (stamp, false),
        };
        let at = DateTime::strptime(STAMP, stamp).ok()?;
        // Only what the agent would have written itself.
        (at.strftime(STAMP).to_string() == stamp).then_some(Self { at, is_packed })
    }

    fn name(self, log: &str) -> String {
        let packed = if self.is_packed { PACKED } else { "" };
        format!("{log}.{}{packed}", self.at.strftime(STAMP))
    }
}

/// What a compression that was interrupted leaves behind.
pub(crate) fn is_litter(log: &str, file: &str) -> bool {
    file.strip_suffix(UNFINISHED)
        .is_some_and(|file| Rotated::read(log, file).is_some())
}

/// For a log that is full. A clock that was set back changes nothing in the order of files: a
/// new name is always later than all others.
pub(crate) fn plan(log: &str, files: &[&str], limits: Limits, now: Timestamp) -> Plan {
    let mut remove: Vec<String> = Vec::new();
    let mut rotated: Vec<Rotated> = Vec::new();
    for file in files {
        if is_litter(log, file) {
            remove.push((*file).to_owned());
        }
        rotated.extend(Rotated::read(log, file));
    }
    rotated.sort_unstable();
    let latest = rotated.last().map(|rotated| rotated.at);
    // Both of one time: the plain one was compressed completely, and not yet removed.
    let packed: Vec<DateTime> = rotated
        .iter()
        .filter(|rotated| rotated.is_packed)
        .map(|rotated| rotated.at)
        .collect();
    rotated.retain(|rotated| {
        let is_double = !rotated.is_packed && packed.contains(&rotated.at);
        if is_double {
            remove.push(rotated.name(log));
        }
        !is_double
    });
    // The one that is written to and the one that is rotated now.
    let room = limits.files.saturating_sub(2);
    let excess = rotated.len().saturating_sub(room);
    remove.extend(rotated.drain(..excess).map(|rotated| rotated.name(log)));
    let now = TimeZone::UTC.to_datetime(now);
    let after = |latest: DateTime| latest.saturating_add(1.second());
    let at = latest.map_or(now, |latest| now.max(after(latest)));
    let new = Rotated {
        at,
        is_packed: false,
    };
    Plan {
        remove,
        rename_to: new.name(log),
        compress: rotated
            .iter()
            .filter(|rotated| !rotated.is_packed)
            .map(|rotated| rotated.name(log))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const LOG: &str = "0.log";

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + seconds).unwrap()
    }

    #[test]
    fn only_what_the_agent_wrote_is_taken_for_a_rotated_log() {
        for (file, packed) in [
            ("0.log.20260102-030405", Some(false)),
            ("0.log.20260102-030405.gz", Some(true)),
            ("0.log", None),
            ("0.log.", None),
            ("0.log.bak", None),
            ("0.log.20260102-0304", None),
            ("0.log.2026012-030405", None),
            ("0.log.20261302-030405", None),
            ("0.log.20260102-030405.gz.gz", None),
            ("10.log.20260102-030405", None),
        ] {
            let read = Rotated::read(LOG, file).map(|rotated| rotated.is_packed);
            assert_eq!(read, packed, "{file}");
        }
        assert!(is_litter(LOG, "0.log.20260102-030405.tmp"));
        assert!(!is_litter(LOG, "0.log.tmp"));
    }

    #[test]
    fn the_fifth_file_goes_and_all_but_the_latest_are_compressed() {
        let files = [
            "0.log",
            "0.log.20260101-000001.gz",
            "0.log.20260101-000002.gz",
            "0.log.20260101-000003.gz",
            "0.log.20260101-000004",
            "1.log.20250101-000000",
            "notes",
        ];
        let plan = plan(LOG, &files, Limits::default(), time(9));
        assert_eq!(
            plan,
            Plan {
                remove: vec!["0.log.20260101-000001.gz".to_owned()],
                rename_to: "0.log.20260101-000009".to_owned(),
                compress: vec!["0.log.20260101-000004".to_owned()],
            }
        );
    }

    #[test]
    fn what_a_crash_left_is_cleared_away() {
        let files = [
            "0.log",
            "0.log.20260101-000001",
            "0.log.20260101-000001.gz",
            "0.log.20260101-000002",
            "0.log.20260101-000002.tmp",
        ];
        let plan = plan(LOG, &files, Limits::default(), time(9));
        assert_eq!(
            plan.remove,
            ["0.log.20260101-000002.tmp", "0.log.20260101-000001"]
        );
        assert_eq!(plan.compress, ["0.log.20260101-000002"]);
    }

    proptest! {
        #[test]
        fn over_any_time_files_stay_few_and_the_newest_stay(
            clock in prop::collection::vec(-100_i64..100, 1..30),
            keep in 0_usize..8,
        ) {
            let limits = Limits { bytes: 1, files: keep };
            let mut files = BTreeSet::from([LOG.to_owned(), "foreign".to_owned()]);
            let mut written = Vec::new();
            for now in clock {
                let listed: Vec<&str> = files.iter().map(String::as_str).collect();
                let plan = plan(LOG, &listed, limits, time(now));
                for file in &plan.remove {
                    prop_assert!(files.remove(file));
                    prop_assert!(Rotated::read(LOG, file).is_some());
                }
                // A name that is taken would cost the log that has it.
                prop_assert!(files.insert(plan.rename_to.clone()));
                for file in &plan.compress {
                    prop_assert!(files.remove(file));
                    let is_new = files.insert(format!("{file}{PACKED}"));
                    prop_assert!(is_new);
                }
                written.push(plan.rename_to);
                let rotated: Vec<Rotated> =
                    files.iter().filter_map(|file| Rotated::read(LOG, file)).collect();
                prop_assert!(rotated.len() < keep.max(2));
                prop_assert_eq!(rotated.iter().filter(|rotated| !rotated.is_packed).count(), 1);
                for newest in written.iter().rev().take(keep.max(2) - 1) {
                    let packed = format!("{newest}{PACKED}");
                    prop_assert!(files.contains(newest) || files.contains(&packed));
                }
            }
            prop_assert!(files.contains("foreign"));
        }
    }
}
