//! Where a cause is brought about: a state directory and the process that writes in it.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    super::{
        child::Provider,
        stage::{mode, put},
        world::World,
    },
    tracer::Tracer,
};

/// Who is nobody, on every system.
const NOBODY: u32 = 65_534;

/// How the provider is started for a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    /// As always.
    Plain,
    /// In a namespace of its own, with a tmpfs of these options as its state directory.
    Volume(&'static str),
    /// As a user whom permissions bind, where the test is run by root.
    User,
    /// With strace to come.
    Traced,
}

/// What a cause may touch: the state directory as the provider sees it, and the provider.
pub(super) struct Place {
    pub(super) directory: PathBuf,
    pub(super) away: PathBuf,
    kept: PathBuf,
    provider: u32,
    /// Whether the directory is in the mount namespace of the provider, not of the machine.
    is_apart: bool,
    tracer: RefCell<Option<Tracer>>,
}

impl Place {
    /// Starts the provider.
    pub(super) fn start(world: &mut World, setting: Setting) -> (Provider, Self) {
        let directory = world.stage.state_file().parent().unwrap().to_owned();
        let provider = match setting {
            Setting::Plain | Setting::Traced => Provider::start(&world.stage),
            Setting::Volume(options) => on_volume(world, options, &directory),
            Setting::User => as_nobody(world),
        };
        let place = Self {
            directory,
            away: world.aside().join("away"),
            kept: world.aside().join("kept"),
            provider: provider.id(),
            is_apart: matches!(setting, Setting::Volume(_)),
            tracer: RefCell::default(),
        };
        (provider, place)
    }

    /// The same directory by a path that leads there from outside.
    pub(super) fn seen_from_here(&self) -> PathBuf {
        if !self.is_apart {
            return self.directory.clone();
        }
        let root = PathBuf::from(format!("/proc/{}/root", self.provider));
        root.join(self.directory.strip_prefix("/").unwrap())
    }

    pub(super) fn file(&self) -> PathBuf {
        self.seen_from_here().join("key-registry.json")
    }

    fn checkpoint(&self) -> PathBuf {
        self.seen_from_here().join("key-registry.json.checkpoint")
    }

    /// Runs a script in the namespace; `$1` is the directory.
    pub(super) fn script(&self, script: &str) {
        let process = self.provider.to_string();
        let mut enter = Command::new("nsenter");
        enter.args(["--mount", "--target", &process, "sh", "-c", script, "sh"]);
        let output = enter.arg(&self.directory).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
    }

    /// From now on such system calls fail, or take long.
    pub(super) fn trace(&self, calls: &str, path: Option<&Path>, fault: &str) {
        let tracer = Tracer::attach(self.provider, calls, path, fault);
        *self.tracer.borrow_mut() = Some(tracer.unwrap());
    }

    pub(super) fn untrace(&self) {
        drop(self.tracer.take().unwrap());
    }

    /// Remembers the pair under a name.
    pub(super) fn keep(&self, name: &str) {
        let kept = self.kept.join(name);
        fs::create_dir_all(&kept).unwrap();
        fs::copy(self.file(), kept.join("state")).unwrap();
        fs::copy(self.checkpoint(), kept.join("checkpoint")).unwrap();
    }

    /// The state file as it was under a name, alone: no checkpoint contradicts it.
    pub(super) fn put_state_back(&self, name: &str) {
        fs::remove_file(self.checkpoint()).unwrap();
        let state = fs::read(self.kept.join(name).join("state")).unwrap();
        put(&self.file(), state, 0o640);
    }

    /// The state file last: with the wrong one there nothing is written before all is right.
    pub(super) fn put_pair_back(&self, name: &str) {
        let kept = |file| fs::read(self.kept.join(name).join(file)).unwrap();
        put(&self.checkpoint(), kept("checkpoint"), 0o640);
        put(&self.file(), kept("state"), 0o640);
    }

    /// Everything that lies in the directory, by name; `None` when it cannot be listed. What
    /// vanishes meanwhile is not there.
    pub(super) fn content(&self) -> Option<Vec<(String, Vec<u8>)>> {
        let entries = fs::read_dir(self.seen_from_here()).ok()?;
        let mut files: Vec<_> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_name()?.to_str()?.to_owned();
                Some((name, fs::read(path).ok()?))
            })
            .collect();
        files.sort();
        Some(files)
    }
}

fn on_volume(world: &World, options: &str, directory: &Path) -> Provider {
    let script = r#"mount -t tmpfs -o "$1,mode=0750" tmpfs "$2" && shift 2 && exec "$@""#;
    let mut wrapper = Command::new("unshare");
    wrapper
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .args(["--mount", "--propagation", "private"])
        .args(["sh", "-c", script, "sh", options])
        .arg(directory);
    Provider::start_through(wrapper, &world.stage)
}

/// Root may write wherever it likes. So does nobody else, which needs a program that it can reach
/// and files that are its own.
fn as_nobody(world: &mut World) -> Provider {
    if !nix::unistd::geteuid().is_root() {
        return Provider::start(&world.stage);
    }
    let aside = world.aside();
    mode(&aside, 0o755);
    let program = aside.join("provider");
    // By a process of its own: a child of another test could inherit a descriptor that still
    // writes to it, and what is written to cannot be executed.
    let mut copy = Command::new("cp");
    copy.arg(env!("CARGO_BIN_EXE_bao-kms-provider"))
        .arg(&program);
    assert!(copy.status().unwrap().success());
    world.stage.set("server.socketGroup", NOBODY.to_string());
    let config = world.stage.write_config();
    world.stage.give_to(NOBODY);
    let mut command = Command::new("setpriv");
    let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
    command.env_clear().args(ids).arg("--clear-groups");
    command.arg(program).args(["serve", "--config"]).arg(config);
    Provider::run_with(command, &world.stage, Stdio::null())
}
