//! One row of the table, while it is made true.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use pod_rig::{Builder, Instance, Node, Rig};

/// A fault, and what is promised of it. The words of all columns but the last two come from here
/// and from what [`Case`] was asked to see.
pub(super) struct Row {
    /// A letter for the room, and a number.
    pub(super) id: &'static str,
    /// What is done.
    pub(super) what: &'static str,
    /// What the pods do.
    pub(super) pods: &'static str,
    /// When all is well after the cause has ended.
    pub(super) well: &'static str,
    /// Does it, and checks all of it.
    pub(super) run: fn(&mut Case),
}

/// What a row finds when it runs.
pub(super) struct Case {
    rig: Arc<Rig>,
    id: &'static str,
    ended: Option<Instant>,
    /// In the order of the asking: events of the log with words of their reason.
    pub(super) seen: Vec<String>,
    /// From the end of the cause.
    pub(super) well: Option<Duration>,
}

impl Case {
    pub(super) fn new(rig: &Arc<Rig>, id: &'static str) -> Self {
        Self {
            rig: Arc::clone(rig),
            id,
            ended: None,
            seen: Vec::new(),
            well: None,
        }
    }

    /// How to make a node of this row's name on the containerd that rows share.
    pub(super) fn builder(&self) -> Builder {
        let name = self.id.to_lowercase();
        crate::quiet(Builder::new(crate::program()).on(&self.rig).name(&name))
    }

    /// A node with an agent that has read its directory.
    pub(super) fn node(&self) -> Node {
        let mut node = self.builder().build();
        node.start();
        node
    }

    /// A node with a containerd that no other row uses, and an agent.
    pub(super) fn own_node(&self) -> Node {
        let name = self.id.to_lowercase();
        let mut node = Builder::new(crate::program()).name(&name).boots().build();
        node.start();
        node
    }

    /// Waits until the log tells of the event with these words in its reason.
    pub(super) fn sees(&mut self, node: &Node, event: &str, words: &str) {
        node.until(&format!("{event}: {words}"), |node| node.said(event, words));
        self.seen.push(match words {
            "" => format!("`{event}`"),
            words => format!("`{event}`: `{words}`"),
        });
    }

    /// Waits until `get pods` shows the pod with this word.
    pub(super) fn status(&mut self, node: &Node, pod: &str, word: &str) {
        let line = format!("{pod}-");
        node.until(&format!("{pod} is shown as {word}"), |node| {
            let mut asking = Command::new(crate::program());
            asking.args(["get", "pods", "--socket"]).arg(node.socket());
            let said = asking.output().unwrap().stdout;
            let said = String::from_utf8_lossy(&said);
            said.lines().any(|row| {
                let mut cells = row.split_whitespace();
                cells.any(|cell| cell.starts_with(&line)) && row.contains(word)
            })
        });
        self.seen.push(format!("`get pods`: `{word}`"));
    }

    /// What is seen elsewhere.
    pub(super) fn shows(&mut self, words: &str) {
        self.seen.push(words.to_owned());
    }

    /// The cause is over.
    pub(super) fn ends(&mut self) {
        self.ended = Some(Instant::now());
    }

    /// Waits until all is well; the longest wait of a row counts.
    pub(super) fn is_well(&mut self, node: &Node, test: impl FnMut(&Node) -> bool) {
        node.until("all is well", test);
        self.well = self.well.max(Some(self.ended.unwrap().elapsed()));
    }
}

/// Nothing was stopped or started: the same containers run.
pub(super) fn untouched(node: &Node, before: &[Instance]) {
    assert_eq!(node.running(), before);
    assert!(!node.has("container.stopping"), "{:?}", node.lines());
}

/// Lets the agent look again: twice its longest pause between two looks at the directory.
pub(super) fn while_it_looks() {
    std::thread::sleep(Duration::from_millis(2_500));
}

pub(super) fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
