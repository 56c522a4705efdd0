//! inotify on one directory.

use std::{
    ffi::{OsStr, OsString},
    io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};
use tokio::io::unix::AsyncFd;

use crate::facts::Event;

const MASK: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Nothing is watched.
const NONE: i32 = -1;

/// More events than the kernel queues for one instance by default: a drain that ends here has
/// seen everything that was queued when it began.
const MOST: usize = 20_000;

/// An inotify instance that watches at most one directory.
pub(crate) struct Watch {
    descriptor: AsyncFd<Arc<OwnedFd>>,
    current: Arc<AtomicI32>,
}

/// What places the watch, from a thread that may block.
#[derive(Clone)]
pub(crate) struct Placer {
    descriptor: Arc<OwnedFd>,
    current: Arc<AtomicI32>,
}

impl Watch {
    #[expect(
        deprecated,
        reason = "its successor is unsafe, for types that may hand out another descriptor later; an OwnedFd never does"
    )]
    pub(crate) fn new() -> io::Result<Self> {
        let flags = CreateFlags::NONBLOCK | CreateFlags::CLOEXEC;
        let descriptor = Arc::new(inotify::init(flags)?);
        Ok(Self {
            descriptor: AsyncFd::new(descriptor)?,
            current: Arc::new(AtomicI32::new(NONE)),
        })
    }

    pub(crate) fn placer(&self) -> Placer {
        Placer {
            descriptor: Arc::clone(self.descriptor.get_ref()),
            current: Arc::clone(&self.current),
        }
    }

    /// Waits until there is something to drain.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        // Cleared before the queue is read to its end: what comes in between wakes again.
        self.descriptor.readable().await?.clear_ready();
        Ok(())
    }

    /// Everything that was queued when this was called, whether a wake-up told of it or not.
    pub(crate) fn drain(&self) -> io::Result<Vec<Event>> {
        let current = self.current.load(Ordering::Acquire);
        let mut events = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut reader = inotify::Reader::new(self.descriptor.get_ref(), &mut buffer);
        for _ in 0..MOST {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(Errno::WOULDBLOCK) => return Ok(events),
                Err(errno) => return Err(errno.into()),
            };
            let flags = event.events();
            if event.wd() != current && !flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                continue;
            }
            let name = event.file_name();
            let name = name.map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
            let event = meaning(flags, name);
            if events.last() != event.as_ref() {
                events.extend(event);
            }
        }
        events.push(Event::Lost);
        Ok(events)
    }
}

impl Placer {
    /// Watches the directory that `path` names now; says whether that is another one than before.
    pub(crate) fn place(&self, path: &Path) -> io::Result<bool> {
        let watch = inotify::add_watch(&self.descriptor, path, MASK)?;
        let before = self.current.swap(watch, Ordering::AcqRel);
        if before == watch {
            return Ok(false);
        }
        if before != NONE {
            // Fails where the kernel dropped it with its directory.
            let _ = inotify::remove_watch(&self.descriptor, before);
        }
        Ok(true)
    }
}

fn meaning(flags: ReadFlags, name: Option<OsString>) -> Option<Event> {
    let lost = ReadFlags::QUEUE_OVERFLOW
        | ReadFlags::IGNORED
        | ReadFlags::UNMOUNT
        | ReadFlags::DELETE_SELF
        | ReadFlags::MOVE_SELF;
    if flags.intersects(lost) {
        return Some(Event::Lost);
    }
    let Some(name) = name else {
        return flags
            .contains(ReadFlags::ATTRIB)
            .then_some(Event::Directory);
    };
    if flags.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO) {
        Some(Event::Completed(name))
    } else if flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
        Some(Event::Left(name))
    } else if flags.contains(ReadFlags::CREATE) {
        Some(Event::Created(name))
    } else if flags.contains(ReadFlags::MODIFY) {
        Some(Event::Written(name))
    } else if flags.contains(ReadFlags::ATTRIB) {
        Some(Event::Attributes(name))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_mean_what_the_machine_has_to_know() {
        let name = || Some(OsString::from("a.yaml"));
        for (flags, event) in [
            (ReadFlags::CREATE, Event::Created("a.yaml".into())),
            (ReadFlags::MODIFY, Event::Written("a.yaml".into())),
            (ReadFlags::CLOSE_WRITE, Event::Completed("a.yaml".into())),
            (ReadFlags::MOVED_TO, Event::Completed("a.yaml".into())),
            (ReadFlags::ATTRIB, Event::Attributes("a.yaml".into())),
            (ReadFlags::DELETE, Event::Left("a.yaml".into())),
            (
                ReadFlags::MOVED_FROM | ReadFlags::ISDIR,
                Event::Left("a.yaml".into()),
            ),
        ] {
            assert_eq!(meaning(flags, name()), Some(event));
        }
        for flags in [
            ReadFlags::QUEUE_OVERFLOW,
            ReadFlags::IGNORED,
            ReadFlags::UNMOUNT,
            ReadFlags::DELETE_SELF,
            ReadFlags::MOVE_SELF,
        ] {
            assert_eq!(meaning(flags, None), Some(Event::Lost));
        }
        assert_eq!(meaning(ReadFlags::ATTRIB, None), Some(Event::Directory));
        assert_eq!(meaning(ReadFlags::MODIFY, None), None);
    }

    #[tokio::test]
    async fn a_drain_sees_what_happened_before_it_without_being_woken() {
        let home = tempfile::tempdir().unwrap();
        let watch = Watch::new().unwrap();
        assert!(watch.placer().place(home.path()).unwrap());
        assert!(!watch.placer().place(home.path()).unwrap());
        std::fs::write(home.path().join("a.yaml"), "x").unwrap();
        let events = watch.drain().unwrap();
        assert_eq!(events.last(), Some(&Event::Completed("a.yaml".into())));
        assert_eq!(watch.drain().unwrap(), []);

        // A watch on another directory: the old one is not heard any more.
        let other = tempfile::tempdir().unwrap();
        assert!(watch.placer().place(other.path()).unwrap());
        std::fs::write(home.path().join("b.yaml"), "x").unwrap();
        assert_eq!(watch.drain().unwrap(), []);
        std::fs::remove_dir_all(other.path()).unwrap();
        assert!(watch.drain().unwrap().contains(&Event::Lost));
    }

    #[tokio::test]
    async fn a_queue_that_overflows_is_told() {
        let home = tempfile::tempdir().unwrap();
        let watch = Watch::new().unwrap();
        watch.placer().place(home.path()).unwrap();
        let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let limit: usize = limit.trim().parse().unwrap();
        if limit > 20_000 {
            println!("skipped: this machine queues {limit} events");
            return;
        }
        let path = home.path().join("a.yaml");
        for _ in 0..limit / 2 + 10 {
            std::fs::write(&path, "x").unwrap();
            std::fs::remove_file(&path).unwrap();
        }
        assert!(watch.drain().unwrap().contains(&Event::Lost));
    }
}
