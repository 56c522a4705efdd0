//! Random seas: writers in pieces, editors, swaps, mounts and lost events, against a model.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const FILES: [&str; 4] = ["a.yaml", "b.yaml", "c.json", "d.yml"];

#[derive(Debug, Clone)]
enum Deed {
    /// Opens and truncates, or creates.
    Open(usize),
    /// The writer writes the next piece.
    Piece,
    Close,
    RenameIn(usize),
    /// A whole file that no decoder takes.
    BadIn(usize),
    Delete(usize),
    /// Rename to a backup, new file, close: vim.
    Backup(usize),
    Chmod(usize),
    Litter,
    /// The mount goes: an empty directory is seen.
    Unmount,
    Mount,
    Vanish,
    Return,
    /// The queue overflows: events so far are lost.
    Overflow,
    /// The store takes what it has not got yet.
    Keep,
    /// The agent is killed and starts again, after a reboot or not.
    Restart(bool),
    Wait(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let file = 0..FILES.len();
    prop_oneof![
        3 => file.clone().prop_map(Deed::Open),
        4 => Just(Deed::Piece),
        3 => Just(Deed::Close),
        3 => file.clone().prop_map(Deed::RenameIn),
        1 => file.clone().prop_map(Deed::BadIn),
        2 => file.clone().prop_map(Deed::Delete),
        2 => file.clone().prop_map(Deed::Backup),
        1 => file.prop_map(Deed::Chmod),
        1 => Just(Deed::Litter),
        1 => Just(Deed::Unmount),
        1 => Just(Deed::Mount),
        1 => Just(Deed::Vanish),
        1 => Just(Deed::Return),
        1 => Just(Deed::Overflow),
        2 => Just(Deed::Keep),
        1 => any::<bool>().prop_map(Deed::Restart),
        8 => (0_u64..600).prop_map(Deed::Wait),
        1 => (600_u64..30_000).prop_map(Deed::Wait),
    ]
}

/// What really is, beside what the machine was told.
struct Sea {
    bench: Bench,
    /// File and text of the one writer.
    writer: Option<(&'static str, String)>,
    waited: u64,
    /// Every content that was ever whole.
    whole: BTreeSet<String>,
    mounted: bool,
    hidden: BTreeMap<OsString, Entry>,
    queue: Vec<Event>,
    store: BTreeMap<OsString, Memory>,
    place: Option<Identity>,
    versions: u32,
}

impl Sea {
    fn new() -> Self {
        Self {
            bench: Bench::new(),
            writer: None,
            waited: 0,
            whole: BTreeSet::new(),
            mounted: true,
            hidden: BTreeMap::new(),
            queue: Vec::new(),
            store: BTreeMap::new(),
            place: None,
            versions: 0,
        }
    }

    fn text(&mut self, file: &str) -> String {
        self.versions += 1;
        let version = self.versions;
        format!("pod d/{} v{version} with a tail of {version}", &file[..1])
    }

    fn act(&mut self, deed: &Deed) {
        let here = self.mounted && !self.bench.away;
        match *deed {
            Deed::Wait(time) => self.wait(time),
            Deed::Overflow if self.writer.is_none() => {
                self.queue = vec![Event::Lost];
            }
            Deed::Vanish if self.writer.is_none() => {
                self.bench.away = true;
                self.queue.push(Event::Lost);
            }
            Deed::Return => self.bench.away = false,
            Deed::Keep => self.keep(),
            Deed::Restart(reboot) if self.writer.is_none() => self.restart(reboot),
            Deed::Unmount if here && self.writer.is_none() => {
                self.mounted = false;
                self.hidden = std::mem::take(&mut self.bench.entries);
                self.bench.identity = ELSEWHERE;
            }
            Deed::Mount if !self.mounted => {
                self.mounted = true;
                self.bench.entries = std::mem::take(&mut self.hidden);
                self.bench.identity = HOME;
            }
            _ if here => self.act_on_files(deed),
            _ => {}
        }
    }

    fn keep(&mut self) {
        self.place = self.bench.machine.identity().or(self.place);
        for Keep { file, manifest } in self.bench.machine.take_unkept() {
            match manifest {
                None => self.store.remove(&file),
                Some(good) => self.store.insert(
                    file.clone(),
                    Memory {
                        file,
                        pod: good.name.clone(),
                        accepted: good.accepted,
                        bytes: Arc::clone(&good.bytes),
                    },
                ),
            };
        }
    }

    /// What was kept is in force again before anything is read.
    fn restart(&mut self, reboot: bool) {
        self.queue.clear();
        let path = self.bench.machine.path().to_owned();
        self.bench.machine = Directory::new(path, Filter::Manifests, Timing::default());
        let before = self.place.map(|identity| Before {
            identity,
            same_boot: !reboot,
        });
        let memories = self.store.values().cloned().collect();
        let machine = &mut self.bench.machine;
        machine.restore(memories, before, &PlainDecoder);
        let kept = self.store.values().map(|memory| memory.bytes.to_vec());
        let view = self.bench.machine.view();
        let in_force = view
            .in_force
            .iter()
            .map(|good| good.pod.text.clone().into_bytes());
        assert!(in_force.eq(kept));
    }

    fn act_on_files(&mut self, deed: &Deed) {
        let busy = self.writer.as_ref().map(|(file, _)| *file);
        match *deed {
            Deed::Open(file) if busy.is_none() => {
                let file = FILES[file];
                let text = self.text(file);
                let old = self.bench.entries.contains_key(OsStr::new(file));
                self.bench.put(file, "");
                self.queue.push(if old {
                    Event::Written(file.into())
                } else {
                    Event::Created(file.into())
                });
                self.writer = Some((file, text));
                self.waited = 0;
            }
            Deed::Piece => {
                if let Some((file, text)) = self.writer.take() {
                    let old = self.content(file);
                    let next = text.len().min(old.len() + 9);
                    self.bench.put(file, &text[..next]);
                    self.queue.push(Event::Written(file.into()));
                    self.writer = Some((file, text));
                }
            }
            Deed::Close => self.close(),
            Deed::RenameIn(file) if busy != Some(FILES[file]) => {
                let text = self.text(FILES[file]);
                self.finish(FILES[file], &text);
            }
            Deed::BadIn(file) if busy != Some(FILES[file]) => {
                self.finish(FILES[file], "broken !");
            }
            Deed::Delete(file) if busy != Some(FILES[file]) => {
                let gone = self.bench.entries.remove(OsStr::new(FILES[file]));
                self.queue
                    .extend(gone.map(|_| Event::Left(FILES[file].into())));
            }
            Deed::Backup(file) if busy != Some(FILES[file]) => {
                let text = self.text(FILES[file]);
                self.queue.push(Event::Left(FILES[file].into()));
                self.queue
                    .push(Event::Completed(format!("{}~", FILES[file]).into()));
                self.queue.push(Event::Created(FILES[file].into()));
                self.queue.push(Event::Written(FILES[file].into()));
                self.finish(FILES[file], &text);
            }
            Deed::Chmod(file) if self.bench.entries.contains_key(OsStr::new(FILES[file])) => {
                let text = self.content(FILES[file]);
                self.bench.put(FILES[file], &text);
                self.queue.push(Event::Attributes(FILES[file].into()));
            }
            Deed::Litter => {
                self.bench.put("a.yaml~", "pod d/a litter");
                self.queue.push(Event::Completed("a.yaml~".into()));
            }
            _ => {}
        }
    }

    fn content(&self, file: &str) -> String {
        match self.bench.entries.get(OsStr::new(file)) {
            Some(Entry::Read { bytes, .. }) => String::from_utf8(bytes.to_vec()).unwrap(),
            _ => String::new(),
        }
    }

    /// A whole content, by close or rename.
    fn finish(&mut self, file: &str, text: &str) {
        self.bench.put(file, text);
        self.whole.insert(text.to_owned());
        self.queue.push(Event::Completed(file.into()));
    }

    fn close(&mut self) {
        if let Some((file, text)) = self.writer.take() {
            self.bench.put(file, &text);
            self.queue.push(Event::Written(file.into()));
            self.finish(file, &text);
        }
    }

    /// A writer does not hold a file open for longer than is waited for.
    fn wait(&mut self, time: u64) {
        self.waited += time;
        if self.waited > 55_000 {
            self.close();
        }
        for event in std::mem::take(&mut self.queue) {
            self.bench.heard(event);
        }
        let end = self.bench.now + ms(time);
        while self.bench.machine.next() <= end {
            self.bench.now = self.bench.now.max(self.bench.machine.next());
            let changes = self.bench.look();
            self.check(&changes);
        }
        self.bench.now = self.bench.now.max(end);
    }

    fn check(&self, changes: &[Change]) {
        for good in self.bench.machine.view().in_force {
            assert!(
                self.whole.contains(&good.pod.text),
                "half: {}",
                good.pod.text
            );
        }
        for change in changes {
            if let Change::Removed { origin, .. } = change {
                let name = origin.file_name().unwrap();
                assert!(
                    self.mounted && !self.bench.away,
                    "{name:?} from a lost directory"
                );
                assert!(!self.bench.entries.contains_key(name), "{name:?} is there");
            }
        }
    }

    /// Everything in its place, and long enough for a rescan.
    fn calm(&mut self) {
        self.act(&Deed::Return);
        self.act(&Deed::Mount);
        self.close();
        self.wait(120_000);
        let view = self.bench.machine.view();
        assert!(view.ready && view.trouble.is_none(), "{:?}", view.trouble);
        for file in FILES {
            let name = format!("d/{}", &file[..1]);
            let good = view.in_force.iter().find(|good| good.name == name);
            let good = good.map(|good| good.pod.text.clone());
            let there = self.bench.entries.contains_key(OsStr::new(file));
            match self.content(file).as_str() {
                // What is broken keeps what was good before, if anything was.
                "broken !" => {}
                _ if !there => assert_eq!(good, None, "{file} is gone"),
                text => assert_eq!(good.as_deref(), Some(text), "{file}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn in_any_sea_nothing_half_is_in_force_nothing_is_lost_and_calm_brings_the_truth(
        deeds in proptest::collection::vec(deed(), 1..60),
    ) {
        let mut sea = Sea::new();
        for deed in &deeds {
            sea.act(deed);
        }
        sea.calm();
    }
}
