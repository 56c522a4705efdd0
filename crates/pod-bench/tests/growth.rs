//! An agent does not grow with the edits of its manifests: every byte and every descriptor is
//! counted, on a runtime of memory and a host on which nothing has to be prepared. The manifests
//! are files, and the clock is the machine's.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::{
    alloc::System,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use agent::{
    Agent, ContainerRequest, Handle, Launch, Launched, Manifests, Refused, SandboxRequest,
    Settings, Source,
};
use cri::v1::{
    ContainerConfig, ContainerStatus, LinuxPodSandboxConfig, LinuxSandboxSecurityContext,
    NamespaceMode, NamespaceOption, PodSandboxConfig,
};
use fake_cri::fake::{Fake, FakeImage};
use futures_util::future::BoxFuture;
use manifests::{directory::Timing, folder, folder::Folder};
use pace::{Clock, SystemClock};
use pod::{Node, Pod};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const IMAGE: &str = "registry.local/plain:1";
const PODS: u32 = 25;
/// The first ones fill what is filled once.
const WARM: u32 = 5;
const ROUNDS: u32 = 20;
/// Of bytes, 64 for each edit: trees and lists are not always equally full.
const SLACK: i64 = 32 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);

/// A host on which nothing has to be prepared.
struct Plain;

impl Launch for Plain {
    fn sandbox(
        &self,
        _: SandboxRequest,
    ) -> BoxFuture<'_, Result<Launched<PodSandboxConfig>, Refused>> {
        let mut options = NamespaceOption::default();
        options.set_network(NamespaceMode::Node);
        let security = LinuxSandboxSecurityContext {
            namespace_options: Some(options),
            ..LinuxSandboxSecurityContext::default()
        };
        let config = PodSandboxConfig {
            linux: Some(LinuxPodSandboxConfig {
                security_context: Some(security),
                ..LinuxPodSandboxConfig::default()
            }),
            ..PodSandboxConfig::default()
        };
        let launched = Launched {
            config,
            handler: String::new(),
        };
        Box::pin(async move { Ok(launched) })
    }

    fn container(
        &self,
        request: ContainerRequest,
    ) -> BoxFuture<'_, Result<Launched<ContainerConfig>, Refused>> {
        let spec = request.pod.api.spec.clone().unwrap_or_default();
        let container = spec.containers.into_iter().next().unwrap_or_default();
        let config = ContainerConfig {
            args: container.args.unwrap_or_default(),
            ..ContainerConfig::default()
        };
        let launched = Launched {
            config,
            handler: String::new(),
        };
        Box::pin(async move { Ok(launched) })
    }

    fn started(&self, _: ContainerRequest, _: String) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn last_words(&self, _: ContainerStatus, _: usize) -> BoxFuture<'_, String> {
        Box::pin(async { String::new() })
    }

    fn clean(&self, _: String, _: bool) -> BoxFuture<'_, Result<(), Refused>> {
        Box::pin(async { Ok(()) })
    }

    fn logged(&self, _: Arc<Pod>) -> BoxFuture<'_, BTreeMap<String, u32>> {
        Box::pin(async { BTreeMap::new() })
    }

    fn leftovers(&self) -> BoxFuture<'_, BTreeSet<String>> {
        Box::pin(async { BTreeSet::new() })
    }
}

/// What is held at one moment.
#[derive(Debug, Clone, Copy)]
struct Held {
    bytes: i64,
    descriptors: usize,
    files: usize,
}

fn held(home: &Path) -> Held {
    let stats = COUNTED.stats();
    let bytes = i64::try_from(stats.bytes_allocated).unwrap()
        - i64::try_from(stats.bytes_deallocated).unwrap();
    Held {
        bytes,
        descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
        files: count(&home.join("root")),
    }
}

fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => 1 + count(&entry.path()),
            false => 1,
        })
        .sum()
}

fn agent(home: &Path, fake: &Fake) -> Agent {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let manifests = home.join("manifests");
    let root = home.join("root");
    for folder in [&manifests, &root] {
        fs::create_dir(folder).unwrap();
        mode(folder, 0o755);
    }
    let name = manifests.to_string_lossy().into_owned();
    let node = Node {
        name: "n1".into(),
        suffix: true,
    };
    let decoder = Manifests::new(name.clone(), node, None, Arc::clone(&clock));
    let of_folder = folder::Settings {
        path: manifests,
        root: root.clone(),
        timing: Timing::default(),
        agent: rustix::process::geteuid().as_raw(),
    };
    let (folder, _) = Folder::open(&of_folder, Arc::new(decoder), Arc::clone(&clock)).unwrap();
    let (agent, _) = Agent::new(
        Settings::new(root, "unix:///fake".into(), "boot".into()),
        Arc::new(fake.clone()),
        Arc::new(Plain),
        vec![Source::Folder(name, Box::new(folder))],
        clock,
        Arc::new(|_| ()),
    )
    .unwrap();
    agent
}

fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Every pod is of another version, as long as the one before.
fn write(home: &Path, round: u32) {
    let manifests = home.join("manifests");
    for pod in 0..PODS {
        let text = format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: p{pod:02}, namespace: many}}
spec:
  hostNetwork: true
  containers:
  - {{name: main, image: {IMAGE}, args: [out={round:04}, hang]}}
"
        );
        let temporary = manifests.join(".new");
        fs::write(&temporary, text).unwrap();
        mode(&temporary, 0o644);
        fs::rename(temporary, manifests.join(format!("p{pod:02}.yaml"))).unwrap();
    }
}

async fn settled(handle: &Handle, fake: &Fake, round: u32) {
    let expected = format!("out={round:04}");
    let began = Instant::now();
    loop {
        let view = handle.view().await.unwrap();
        let sandboxes = cri::Runtime::list_pod_sandbox(fake, None).await.unwrap();
        let fresh = view.pods.iter().filter(|pod| {
            let spec = pod.pod.as_ref().and_then(|pod| pod.api.spec.as_ref());
            let args = spec.and_then(|spec| spec.containers.first()?.args.as_ref());
            pod.ready && args.and_then(|args| args.first()) == Some(&expected)
        });
        let pods = usize::try_from(PODS).unwrap();
        if fresh.count() == pods && sandboxes.len() == pods {
            break;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "round {round}: {} sandboxes",
            sandboxes.len()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What the last order leaves behind is taken away meanwhile.
    tokio::time::sleep(Duration::from_millis(100)).await;
    fake.forget_calls();
}

#[test]
fn five_hundred_edits_leave_no_byte_no_descriptor_and_no_file_behind() {
    // In memory where there is such a place: thousands of small files are synced.
    let home = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    mode(home.path(), 0o755);
    let fake = Fake::new(Arc::new(SystemClock::new())).without_logs();
    fake.add_image(FakeImage::workload(IMAGE, &["hang"]));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let held = runtime.block_on(async {
        let agent = agent(home.path(), &fake);
        let handle = agent.handle();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(agent.run(async move {
            let _ = stopped.await;
        }));
        let mut helds = Vec::new();
        for round in 0..WARM + ROUNDS {
            write(home.path(), round);
            settled(&handle, &fake, round).await;
            if round >= WARM {
                helds.push(held(home.path()));
            }
        }
        stop.send(()).unwrap();
        running.await.unwrap().unwrap();
        helds
    });
    // A moment at which nothing was under way: the least of several.
    let least = |held: &[Held]| {
        let bytes = held.iter().map(|held| held.bytes).min().unwrap();
        let descriptors = held.iter().map(|held| held.descriptors).min().unwrap();
        let files = held.iter().map(|held| held.files).min().unwrap();
        (bytes, descriptors, files)
    };
    let (first, last) = (least(&held[..5]), least(&held[held.len() - 5..]));
    assert!(last.0 - first.0 < SLACK, "bytes: {held:#?}");
    assert!(last.1 <= first.1, "descriptors: {held:#?}");
    assert!(last.2 <= first.2, "files: {held:#?}");
}
