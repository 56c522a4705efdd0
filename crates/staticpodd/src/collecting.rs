//! Which images go when their disk is full. Decides; touches nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// When images are collected, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Per cent of the disk in use from which images go; 100 is never.
    pub(crate) high: u8,
    /// Per cent of the disk in use until which they go.
    pub(crate) low: u8,
    /// So long an image is known before it may go.
    pub(crate) least_age: Duration,
    /// An image that nothing has used for so long goes whatever the disk says; zero is never.
    pub(crate) most_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            high: 85,
            low: 80,
            least_age: Duration::from_secs(120),
            most_idle: Duration::ZERO,
        }
    }
}

/// The file system of the images, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) capacity: u64,
    pub(crate) available: u64,
}

impl Disk {
    fn used_per_cent(self) -> u64 {
        let capacity = u128::from(self.capacity).max(1);
        let free = u128::from(self.available.min(self.capacity)) * 100 / capacity;
        100_u64.saturating_sub(u64::try_from(free).unwrap_or(100))
    }

    /// How much has to go, if anything has.
    fn excess(self, limits: Limits) -> u64 {
        if limits.high >= 100 || self.used_per_cent() < u64::from(limits.high) {
            return 0;
        }
        let free = u64::from(100_u8.saturating_sub(limits.low));
        let wanted = u128::from(self.capacity) * u128::from(free) / 100;
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
        wanted.saturating_sub(self.available)
    }
}

/// An image of the runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) id: String,
    pub(crate) bytes: u64,
    /// A container uses it, a manifest names it, or the runtime keeps it.
    pub(crate) is_kept: bool,
}

/// What goes, in this order, and how much should have gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) images: Vec<String>,
    /// In bytes; 0 where the disk is not full.
    pub(crate) wanted: u64,
    /// In bytes, as far as the runtime knows the sizes of images.
    pub(crate) found: u64,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    first: Duration,
    used: Option<Duration>,
}

/// Since when images are known, and when they were used last. Begins with nothing at each start
/// of the agent: what was there before counts as new.
#[derive(Debug, Default)]
pub(crate) struct Memory(BTreeMap<String, Record>);

impl Memory {
    /// Notes what there is.
    pub(crate) fn see(&mut self, images: &[Image], now: Duration) {
        let there: BTreeSet<&str> = images.iter().map(|image| image.id.as_str()).collect();
        self.0.retain(|id, _| there.contains(id.as_str()));
        for image in images {
            let record = self.0.entry(image.id.clone()).or_insert(Record {
                first: now,
                used: None,
            });
            if image.is_kept {
                record.used = Some(now);
            }
        }
    }

    /// What goes now: first what was not used for the longest time, as long as the disk is
    /// too full, and whatever was not used for too long.
    pub(crate) fn choose(
        &self,
        images: &[Image],
        disk: Disk,
        limits: Limits,
        now: Duration,
    ) -> Choice {
        let mut free: Vec<(Record, &Image)> = images
            .iter()
            .filter(|image| !image.is_kept)
            .filter_map(|image| Some((*self.0.get(&image.id)?, image)))
            .filter(|(record, _)| now.saturating_sub(record.first) >= limits.least_age)
            .collect();
        free.sort_by_key(|(record, image)| (record.used, record.first, &image.id));
        let mut choice = Choice {
            wanted: disk.excess(limits),
            ..Choice::default()
        };
        for (record, image) in free {
            let idle = now.saturating_sub(record.used.unwrap_or(record.first));
            let too_long = !limits.most_idle.is_zero() && idle > limits.most_idle;
            if too_long || choice.found < choice.wanted {
                choice.found = choice.found.saturating_add(image.bytes);
                choice.images.push(image.id.clone());
            }
        }
        choice
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIB: u64 = 1 << 30;

    fn image(id: &str, bytes: u64, is_kept: bool) -> Image {
        Image {
            id: id.into(),
            bytes,
            is_kept,
        }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn disk(percent: u64) -> Disk {
        Disk {
            capacity: 100 * GIB,
            available: (100 - percent) * GIB,
        }
    }

    /// `b` was used later than `a`, `c` never, `d` is in use.
    fn history() -> (Memory, Vec<Image>) {
        let mut memory = Memory::default();
        let mut images = ["a", "b", "c", "d"].map(|id| image(id, 3 * GIB, id == "a" || id == "b"));
        memory.see(&images, seconds(0));
        images[0].is_kept = false;
        memory.see(&images, seconds(100));
        images[1].is_kept = false;
        images[3].is_kept = true;
        memory.see(&images, seconds(200));
        (memory, images.to_vec())
    }

    #[test]
    fn a_full_disk_is_freed_of_what_was_not_used_for_the_longest_time() {
        let (memory, images) = history();
        let now = seconds(1000);
        for (percent, expected) in [
            (84, vec![]),
            (85, vec!["c", "a"]),
            (87, vec!["c", "a", "b"]),
            (99, vec!["c", "a", "b"]),
        ] {
            let choice = memory.choose(&images, disk(percent), Limits::default(), now);
            assert_eq!(choice.images, expected, "{percent}");
        }
        let short = memory.choose(&images, disk(99), Limits::default(), now);
        assert_eq!((short.wanted, short.found), (19 * GIB, 9 * GIB));
    }

    #[test]
    fn what_is_new_stays_and_a_limit_of_100_collects_nothing() {
        let (memory, images) = history();
        let limits = Limits::default();
        let young = memory.choose(&images, disk(99), limits, seconds(119));
        assert_eq!(young.images, [""; 0]);
        let off = Limits {
            high: 100,
            ..limits
        };
        let full = memory.choose(&images, disk(100), off, seconds(1000));
        assert_eq!(full, Choice::default());
    }

    #[test]
    fn what_nothing_used_for_too_long_goes_from_an_empty_disk_too() {
        let (memory, images) = history();
        let limits = Limits {
            most_idle: seconds(950),
            ..Limits::default()
        };
        let choice = memory.choose(&images, disk(1), limits, seconds(1000));
        assert_eq!(choice.images, ["c", "a"]);
        assert_eq!(choice.wanted, 0);
    }

    #[test]
    fn an_image_that_came_back_is_new() {
        let (mut memory, images) = history();
        memory.see(&images[..1], seconds(300));
        memory.see(&images, seconds(990));
        let choice = memory.choose(&images, disk(99), Limits::default(), seconds(1000));
        assert_eq!(choice.images, ["a"]);
    }

    proptest! {
        #[test]
        fn nothing_that_is_kept_goes_and_no_more_than_is_needed(
            sizes in prop::collection::vec((0_u64..20, any::<bool>()), 0..20),
            percent in 0_u64..=100,
            high in 0_u8..=100,
            low in 0_u8..=100,
        ) {
            let images: Vec<Image> = sizes
                .iter()
                .enumerate()
                .map(|(nth, (size, kept))| image(&nth.to_string(), size * GIB, *kept))
                .collect();
            let mut memory = Memory::default();
            memory.see(&images, seconds(0));
            let limits = Limits { high, low, ..Limits::default() };
            let choice = memory.choose(&images, disk(percent), limits, seconds(1000));
            let size = |id: &String| images.iter().find(|image| image.id == *id).unwrap().bytes;
            prop_assert!(choice.images.iter().all(|id| !images.iter().any(|i| i.id == *id && i.is_kept)));
            let all: u64 = choice.images.iter().map(size).sum();
            prop_assert_eq!(all, choice.found);
            let but_last = choice.images.iter().rev().skip(1).map(size).sum::<u64>();
            prop_assert!(choice.images.is_empty() || but_last < choice.wanted);
        }
    }
}
