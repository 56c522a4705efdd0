//! A node whose reboots a test decides.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use pod_rig::{Builder, Node};
use tempfile::TempDir;

/// Names a boot to the agent where the kernel does, in a mount namespace of the agent's own:
/// there is no other way to tell it, and none that an attacker could use.
const SCRIPT: &str = r#"#!/bin/sh
exec unshare --mount --propagation unchanged sh -c '
    mount --make-private /proc &&
    mount --bind "$1" /proc/sys/kernel/random/boot_id &&
    shift && exec "$@"' sh "$(dirname "$0")/boot_id" PROGRAM "$@"
"#;

/// A node, and which boot it is in.
pub(crate) struct Machine {
    pub(crate) node: Node,
    boot: u32,
    tools: TempDir,
}

impl Machine {
    /// In its first boot, and without an agent.
    pub(crate) fn new() -> Self {
        let tools = tempfile::tempdir().unwrap();
        let script = tools.path().join("staticpodd");
        let program = crate::staticpodd().to_string_lossy();
        fs::write(&script, SCRIPT.replace("PROGRAM", &program)).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let node = Builder::new(&script).build();
        // What the agent mounts in its namespace is seen in the runtime's, and the other way round.
        let home = node.home();
        run(Command::new("mount").arg("--bind").args([home, home]));
        run(Command::new("mount").arg("--make-shared").arg(home));
        let machine = Self {
            node,
            boot: 1,
            tools,
        };
        machine.name_boot();
        machine
    }

    /// Power off and on: no process, no mount and nothing in memory survives, and the disk does.
    /// No agent is started.
    pub(crate) fn reboot(&mut self) {
        self.node.kill();
        self.node.rig().power_off();
        let root = self.node.home().join("root");
        let mut mounts = mounts_below(&root);
        mounts.reverse();
        for mount in mounts {
            run(Command::new("umount").arg("-l").arg(mount));
        }
        self.boot += 1;
        self.name_boot();
        self.node.rig().start_containerd().unwrap();
    }

    fn name_boot(&self) {
        let id = format!("00000000-0000-4000-8000-{:012}\n", self.boot);
        fs::write(self.tools.path().join("boot_id"), id).unwrap();
    }
}

fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let places = table.lines().filter_map(|line| line.split(' ').nth(4));
    let places = places.map(PathBuf::from);
    places.filter(|place| place.starts_with(folder)).collect()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
