//! What happens, chapter by chapter. Every sentence about a result is checked first.

use std::time::Instant;

use pod_rig::Watch;

use crate::{backend::Backend, seal::Seal, tale::Tale};

/// Its title, its name in the table, and what happens.
pub(crate) type Chapter = (&'static str, &'static str, fn(&mut Tale<'_>));

pub(crate) const CHAPTERS: &[Chapter] = &[
    (
        "Drop a web server into the directory of manifests",
        "a manifest appears",
        web,
    ),
    (
        "Run the provider as a static pod, with an OpenBao for development",
        "the provider's pod",
        provider,
    ),
    (
        "Kill the provider's process",
        "its process is killed",
        kill_container,
    ),
    (
        "Kill the agent, and the web server while nobody looks",
        "the agent is killed",
        kill_agent,
    ),
    ("Kill containerd", "containerd is killed", kill_containerd),
    ("Break the manifest", "a manifest is broken", break_manifest),
    ("Upgrade the provider by its digest", "an upgrade", upgrade),
    ("Go back", "a rollback", go_back),
    ("Pull the plug", "a power cut", power_cut),
    (
        "Take the manifests away",
        "the manifests are removed",
        remove,
    ),
];

fn web(tale: &mut Tale<'_>) {
    tale.node.put("web", &Tale::web("hello"));
    let began = Instant::now();
    tale.until("the web server answers", |tale| tale.web_says("hello"));
    tale.well(began, "it answers");
    tale.node.put("web", &Tale::web("good evening"));
    tale.until("the edit is carried out", |tale| {
        tale.web_says("good evening")
    });
    tale.checked("an edit of the file replaces the pod; two at once would not fit on its port");
    tale.show_pods();
}

fn provider(tale: &mut Tale<'_>) {
    tale.build_images();
    let backend = Backend::start(&tale.node, &tale.programs.bao_dev);
    tale.until("OpenBao is up", |_| backend.is_up());
    backend.install(&tale.host());
    tale.backend = Some(backend);
    let manifest = tale.manifest(0);
    assert!(tale.is_sound(&manifest), "staticpodd check has objections");
    tale.checked("staticpodd check has nothing to say against its manifest");
    let began = Instant::now();
    tale.put_provider(&manifest);
    let _ = tale.until_serves(0);
    tale.well(began, "it is ready");
    let socket = tale.host().join("run/openbao-kms/kms.sock");
    let seal = Seal::new(socket).unwrap_or_else(|error| panic!("it does not seal: {error}"));
    let length = seal.length();
    tale.seal = Some(seal);
    assert!(tale.opens(), "it does not open what it has sealed");
    tale.checked(format!(
        "on the node's socket it seals a seed into {length} bytes, and opens it"
    ));
    tale.show_pods();
}

/// The web server, which nothing has happened to, is the same one.
fn web_is(tale: &Tale<'_>, id: &str) -> bool {
    tale.web_says("good evening")
        && tale
            .node
            .runs("web", "main")
            .is_some_and(|web| web.id == id)
}

fn web_id(tale: &Tale<'_>) -> String {
    tale.node.runs("web", "main").expect("it runs").id
}

fn kill_container(tale: &mut Tale<'_>) {
    let (before, web) = (tale.provider().expect("it runs"), web_id(tale));
    tale.node.rig().kill_task(&before.id).expect("it runs");
    let began = Instant::now();
    tale.until("it is restarted", |tale| {
        tale.provider()
            .is_some_and(|now| now.restarts == before.restarts + 1)
    });
    let now = tale.until_serves(0);
    assert_eq!(now.sandbox, before.sandbox);
    tale.well(began, "it is ready again, restarted in the same pod");
    assert!(tale.opens(), "it does not open what was sealed before");
    tale.checked("it opens what was sealed before");
    assert!(web_is(tale, &web), "the web server changed");
    tale.checked("the web server has noticed nothing");
}

fn kill_agent(tale: &mut Tale<'_>) {
    let (before, web) = (tale.provider(), web_id(tale));
    tale.node.kill();
    assert!(tale.opens(), "the provider needs the agent");
    assert!(web_is(tale, &web), "the web server needs the agent");
    tale.checked("without the agent, both pods go on");
    tale.node.rig().kill_task(&web).expect("it runs");
    let began = Instant::now();
    tale.node.start();
    tale.until("the web server is back", |tale| {
        tale.web_says("good evening")
    });
    tale.well(began, "with a new agent, what died meanwhile is back");
    assert_eq!(tale.provider(), before);
    tale.checked("the provider was taken over as it runs, and not restarted");
}

fn kill_containerd(tale: &mut Tale<'_>) {
    let before = tale.node.running();
    tale.node.rig().kill_containerd();
    tale.until("the agent notices", |tale| tale.node.has("runtime.down"));
    assert!(tale.opens(), "the provider needs containerd");
    assert!(tale.web_says("good evening"), "the web server needs it");
    tale.checked("without containerd, both pods go on, and the agent says what is wrong");
    let began = Instant::now();
    tale.node
        .rig()
        .start_containerd()
        .expect("containerd starts");
    tale.until("the agent sees it", |tale| {
        let mut events = tale.node.lines().into_iter().filter_map(|line| {
            let event = line.get("message")?.as_str()?.to_owned();
            event.starts_with("runtime.").then_some(event)
        });
        events.next_back().as_deref() == Some("runtime.up")
    });
    tale.well(began, "with a new containerd, the agent is content");
    tale.until("the same containers run", |tale| {
        tale.node.running() == before
    });
    tale.checked("every container is the same one");
}

fn break_manifest(tale: &mut Tale<'_>) {
    let before = tale.node.running();
    let broken = tale.manifest(1).replace("    args:", "    agrs:");
    tale.put_provider(&broken);
    tale.until("it is refused", |tale| tale.node.has("manifest.refused"));
    let lines = tale.node.lines();
    let mut refused = lines.iter().filter(|line| {
        line.get("message")
            .is_some_and(|it| it == "manifest.refused")
    });
    let reason = refused.next().and_then(|line| line.get("reason"));
    let reason = reason.and_then(|reason| reason.as_str());
    tale.paper.quote(reason.unwrap_or_default());
    tale.checked("the agent says where the mistake is");
    assert_eq!(tale.node.running(), before);
    assert!(tale.opens(), "the provider does not work any more");
    tale.checked("the pod of the last good manifest goes on");
    tale.put_provider(&tale.manifest(0));
}

fn upgrade(tale: &mut Tale<'_>) {
    change(tale, 1);
}

fn go_back(tale: &mut Tale<'_>) {
    change(tale, 0);
}

/// Another version of the provider, looked at all the time.
fn change(tale: &mut Tale<'_>, version: usize) {
    let web = web_id(tale);
    let watch = Watch::begin(tale.node.rig());
    let began = Instant::now();
    tale.put_provider(&tale.manifest(version));
    let _ = tale.until_serves(version);
    tale.well(began, format!("version {} is ready", version + 1));
    let looks = watch.end();
    tale.checked(format!(
        "the old one was gone before the new one came: {looks} looks saw no two"
    ));
    assert!(tale.opens(), "it does not open what was sealed before");
    tale.checked("it opens what was sealed at first");
    assert!(web_is(tale, &web), "the web server changed");
}

fn power_cut(tale: &mut Tale<'_>) {
    let before = tale.provider().expect("it runs");
    tale.node.reboot();
    tale.checked("every process, and everything in memory, is gone; OpenBao is elsewhere");
    let began = Instant::now();
    tale.node.start();
    tale.until("the web server is back", |tale| {
        tale.web_says("good evening")
    });
    let now = tale.until_serves(0);
    tale.well(
        began,
        "with containerd and the agent back, both pods are ready",
    );
    assert_eq!(now.uid, before.uid);
    assert!(tale.opens(), "it does not open what was sealed before");
    tale.checked("the provider is the same pod, and opens what was sealed at first");
    tale.show_pods();
}

fn remove(tale: &mut Tale<'_>) {
    tale.node.remove("web");
    tale.remove_provider();
    let began = Instant::now();
    let _ = tale.node.until_empty();
    tale.well(began, "no container, volume, log or cgroup of them is left");
    tale.node.stop();
    tale.checked("the agent ends when it is told to");
}
