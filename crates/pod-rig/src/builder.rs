//! How a node is made.

use std::{
    cell::RefCell,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use fake_cri::containerd::{Network, Rig};

use crate::{
    mounts::share,
    node::{Node, mode, write_boot},
};

/// How a node is made.
pub struct Builder {
    program: PathBuf,
    name: String,
    flags: Vec<OsString>,
    rig: Option<Arc<Rig>>,
    network: Network,
    outside: bool,
    boots: bool,
}

impl Builder {
    /// A node named `n1` on a containerd of its own, whose agent is this `staticpodd`.
    #[must_use]
    pub fn new(program: &Path) -> Self {
        Self {
            program: program.to_owned(),
            name: "n1".to_owned(),
            flags: Vec::new(),
            rig: None,
            network: Network::Own,
            outside: false,
            boots: false,
        }
    }

    /// Under this name, which ends the names of its pods.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// On a network other than [`Network::Own`].
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// On a containerd that others use, too.
    #[must_use]
    pub fn on(mut self, rig: &Arc<Rig>) -> Self {
        self.rig = Some(Arc::clone(rig));
        self
    }

    /// The agent lives in the machine's network, not in that of the pods.
    #[must_use]
    pub fn outside(mut self) -> Self {
        self.outside = true;
        self
    }

    /// The agent sees a boot id of this node's own, so that [`Node::reboot`] is a reboot.
    #[must_use]
    pub fn boots(mut self) -> Self {
        self.boots = true;
        self
    }

    /// One more word on the agent's command line.
    #[must_use]
    pub fn flag(mut self, flag: impl Into<OsString>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Starts containerd, where there is none yet, and makes the directories.
    ///
    /// # Panics
    /// Where that is impossible.
    #[must_use]
    pub fn build(self) -> Node {
        let shared = self.rig.is_some();
        let rig = self
            .rig
            .unwrap_or_else(|| Arc::new(Rig::start(self.network).expect("containerd")));
        let home = rig.scratch().join(&self.name);
        for folder in ["manifests", "log"] {
            let folder = home.join(folder);
            fs::create_dir_all(&folder).unwrap();
            mode(&folder, 0o755);
        }
        if self.boots {
            write_boot(&home, 1);
            share(&home);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = {
            let _inside = runtime.enter();
            rig.client()
        };
        Node {
            program: self.program,
            name: self.name,
            flags: RefCell::new(self.flags),
            agent: None,
            starts: 0,
            home,
            shared,
            outside: self.outside,
            boots: u32::from(self.boots),
            client,
            runtime,
            rig,
        }
    }
}

impl Node {
    /// A node on a containerd and a network of its own.
    ///
    /// # Panics
    /// Where that is impossible; ask [`crate::can_run`] first.
    #[must_use]
    pub fn new(program: &Path) -> Self {
        Builder::new(program).build()
    }

    /// A node on a containerd that others use, too. Its ports are the others' ports.
    ///
    /// # Panics
    /// Where its directories cannot be made.
    #[must_use]
    pub fn on(rig: &Arc<Rig>, program: &Path, name: &str) -> Self {
        Builder::new(program).on(rig).name(name).build()
    }
}
