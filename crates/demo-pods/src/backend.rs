//! An OpenBao for development somewhere else, and what the provider's installation leaves on a
//! node.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use pod_rig::Node;
use tempfile::TempDir;

/// User and group of the provider, and the group of its socket.
const PROVIDER: u32 = 65532;
const SOCKET_GROUP: u32 = 4242;

/// bao-dev, ended with this value. Its files are not the node's, whose power may fail.
pub(crate) struct Backend {
    folder: TempDir,
    process: Child,
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Backend {
    /// Starts it in the node's network.
    pub(crate) fn start(node: &Node, program: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder for OpenBao");
        let place = |name: &str| folder.path().join(name).display().to_string();
        let log = fs::File::create(folder.path().join("log")).expect("a log of OpenBao");
        let mut command = node.rig().enter(program);
        command
            .args(["up", "--dir", &place("bao")])
            .args(["--socket", &place("unused/kms.sock")])
            .args(["--socket-group", &SOCKET_GROUP.to_string()])
            .args(["--state", &place("unused/key-registry.json")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let process = command.spawn().expect("bao-dev");
        Self { folder, process }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.file("bao-dev.json").exists()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("bao").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect("what OpenBao wrote")
    }

    /// The configuration of a provider, with the paths that its installation has.
    fn config(&self) -> String {
        let unused = |name: &str| self.folder.path().join("unused").join(name);
        let paths = [
            (self.file("ca.crt"), "/etc/openbao-kms/tls/ca.crt"),
            (
                self.file("identity.jwt"),
                "/var/lib/openbao-kms/identity.jwt",
            ),
            (unused("kms.sock"), "/run/openbao-kms/kms.sock"),
            (
                unused("key-registry.json"),
                "/var/lib/openbao-kms/state/key-registry.json",
            ),
        ];
        let text = self.read("config.yaml");
        paths.iter().fold(text, |text, (here, there)| {
            text.replace(&here.display().to_string(), there)
        })
    }

    /// Puts everything below `host` that the provider finds on a node, with owners and modes.
    pub(crate) fn install(&self, host: &Path) {
        for (folder, owner, group, mode) in [
            ("etc/openbao-kms", 0, PROVIDER, 0o750),
            ("etc/openbao-kms/tls", 0, 0, 0o755),
            ("var/lib/openbao-kms", PROVIDER, PROVIDER, 0o750),
            ("var/lib/openbao-kms/state", PROVIDER, PROVIDER, 0o750),
            ("run/openbao-kms", PROVIDER, SOCKET_GROUP, 0o2750),
        ] {
            let folder = host.join(folder);
            fs::create_dir_all(&folder).expect("a directory of the provider");
            own(&folder, owner, group, mode);
        }
        for (file, text, group, mode) in [
            (
                "etc/openbao-kms/config.yaml",
                self.config(),
                PROVIDER,
                0o640,
            ),
            ("etc/openbao-kms/tls/ca.crt", self.read("ca.crt"), 0, 0o644),
            (
                "var/lib/openbao-kms/identity.jwt",
                self.read("identity.jwt"),
                PROVIDER,
                0o640,
            ),
        ] {
            let file = host.join(file);
            fs::write(&file, text).expect("a file of the provider");
            own(&file, 0, group, mode);
        }
    }
}

fn own(path: &Path, owner: u32, group: u32, mode: u32) {
    chown(path, Some(owner), Some(group)).expect("root may give files away");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}
