//! Random weather over a small world, and what must hold after every step and once it is calm.

use plan::{AtLimit, HostPort, Kind, Owner, PodKey, RestartPolicy, Wanted};
use proptest::prelude::*;

use crate::{
    build::{key, pod, running, sandbox, seconds, seen},
    world::{How, World},
};

const NAMES: [&str; 4] = ["one", "two", "three", "four"];

#[derive(Debug, Clone)]
enum Step {
    Want {
        pod: usize,
        shape: usize,
        revision: u8,
    },
    Remove(usize),
    Restart(usize),
    Finish(usize, How),
    FinishAll,
    Pass(u64),
    Exit(usize, i32),
    Calm,
    KillSandbox(usize),
    RemoveDead(usize),
    Probe(usize, bool),
    Source(bool),
    Paths(bool),
    Runtime(bool),
    Clock(i64),
    Late,
    StrangerLeaves,
    AgentRestart(bool),
    Reboot,
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        6 => Just(How::Done),
        1 => Just(How::Failed),
        1 => Just(How::PullFailed),
        1 => Just(How::PostStartFailed),
        1 => Just(How::Lost),
        1 => Just(How::DoneLost),
        1 => Just(How::Late),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let nth = 0..8_usize;
    prop_oneof![
        6 => (0..NAMES.len(), 0..SHAPES, 0..3_u8)
            .prop_map(|(pod, shape, revision)| Step::Want { pod, shape, revision }),
        3 => (0..NAMES.len()).prop_map(Step::Remove),
        1 => (0..NAMES.len()).prop_map(Step::Restart),
        16 => (nth.clone(), how()).prop_map(|(nth, how)| Step::Finish(nth, how)),
        6 => Just(Step::FinishAll),
        6 => (0..400_u64).prop_map(Step::Pass),
        6 => (nth.clone(), prop_oneof![3 => Just(0), 2 => Just(1)])
            .prop_map(|(nth, code)| Step::Exit(nth, code)),
        3 => Just(Step::Calm),
        2 => nth.clone().prop_map(Step::KillSandbox),
        2 => nth.clone().prop_map(Step::RemoveDead),
        3 => (nth, any::<bool>()).prop_map(|(nth, good)| Step::Probe(nth, good)),
        2 => any::<bool>().prop_map(Step::Source),
        1 => any::<bool>().prop_map(Step::Paths),
        2 => any::<bool>().prop_map(Step::Runtime),
        1 => (-100_000..100_000_i64).prop_map(Step::Clock),
        2 => Just(Step::Late),
        1 => Just(Step::StrangerLeaves),
        2 => any::<bool>().prop_map(Step::AgentRestart),
        1 => Just(Step::Reboot),
    ]
}

const SHAPES: usize = 10;

/// The pods of this world. Shapes 8 and 9 keep their uid when they are edited.
fn shaped(name: &str, shape: usize, revision: u8) -> Wanted {
    let (restart, containers): (_, &[&str]) = match shape {
        0 => (RestartPolicy::Always, &["a"]),
        1 => (RestartPolicy::Always, &["i1", "i2", "a", "b"]),
        2 => (RestartPolicy::Always, &["i1", "s1", "i2", "a"]),
        3 => (RestartPolicy::Never, &["i1", "a", "b"]),
        4 => (RestartPolicy::OnFailure, &["i1", "a", "b"]),
        5 => (RestartPolicy::OnFailure, &["s1", "a"]),
        6 => (RestartPolicy::Always, &["a"]),
        7 => (RestartPolicy::Always, &["s1", "s2", "a"]),
        8 => (RestartPolicy::Always, &["i1", "a"]),
        _ => (RestartPolicy::Never, &["s1", "a"]),
    };
    let mut wanted = pod(restart, containers);
    wanted.key = key(name);
    wanted.revision = format!("{name}-{shape}-{revision}");
    wanted.uid = if shape >= 8 {
        name.to_owned()
    } else {
        wanted.revision.clone()
    };
    wanted.host_network = shape == 1;
    if shape == 1 {
        wanted.host_ports = vec![HostPort {
            ip: None,
            port: 80,
            protocol: "TCP".into(),
        }];
    }
    wanted.once_per_boot = shape == 5 && revision == 1;
    if shape == 6 {
        wanted.gates.paths = vec!["/ready".into()];
        wanted.gates.at_limit = AtLimit::Fail;
        if name != NAMES[0] {
            wanted.gates.pods = vec![key(NAMES[0])];
        }
    }
    if shape == 0 && revision == 2 {
        wanted.active_deadline = Some(seconds(500));
    }
    for container in wanted.init.iter_mut().chain(&mut wanted.mains) {
        container.has.readiness_probe = shape == 2;
        container.has.startup_probe = shape == 7;
    }
    wanted
}

/// What other people run on this node: a stranger under the name of the third pod, a kubelet's
/// pod under that of the fourth.
fn strangers() -> Vec<(PodKey, plan::SeenSandbox)> {
    let owned = |id: &str, owner: Owner| {
        let mut made = sandbox(id, 0, vec![seen(&format!("{id}-c"), "a", 0, running())]);
        made.owner = owner;
        made.uid = format!("uid-{id}");
        made.revision = String::new();
        made
    };
    vec![
        (
            key(NAMES[2]),
            owned("stranger", Owner::Foreign("crictl".into())),
        ),
        (key(NAMES[3]), owned("kubelet", Owner::Kubelet)),
    ]
}

fn happen(world: &mut World, step: &Step) {
    match step {
        Step::Want {
            pod,
            shape,
            revision,
        } => world.want(shaped(NAMES[*pod], *shape, *revision)),
        Step::Remove(pod) => world.remove(&key(NAMES[*pod])),
        Step::Restart(pod) => world.request_restart(&key(NAMES[*pod])),
        Step::Finish(nth, how) => world.finish(*nth, *how),
        Step::FinishAll => {
            for _ in 0..20 {
                world.finish(0, How::Done);
            }
        }
        Step::Pass(time) => world.pass(seconds(*time)),
        Step::Exit(nth, code) => world.exit(*nth, *code),
        Step::Calm => world.fair_weather(),
        Step::KillSandbox(nth) => world.kill_sandbox(*nth),
        Step::RemoveDead(nth) => world.remove_dead(*nth),
        Step::Probe(nth, good) => world.probe(*nth, *good),
        Step::Source(complete) => world.set_source(*complete),
        Step::Paths(present) => world.set_paths(*present),
        Step::Runtime(up) => world.set_runtime(*up),
        Step::Clock(by) => world.step_clock(*by),
        Step::Late => world.late_effects(),
        Step::StrangerLeaves => world.stranger_leaves(),
        Step::AgentRestart(with_effect) => world.restart_agent(*with_effect),
        Step::Reboot => world.reboot(),
    }
}

/// Lets the world come to rest; fails when it does not.
fn settle(world: &mut World) {
    world.set_runtime(true);
    world.set_source(true);
    world.set_paths(true);
    world.stranger_leaves();
    for _ in 0..400 {
        world.late_effects();
        world.round();
        let idle = world.idle();
        while !world.idle() {
            world.finish(0, How::Done);
        }
        world.fair_weather();
        world.round();
        match world.next() {
            Some(wait) if idle && world.idle() => {
                if wait > seconds(400) {
                    return;
                }
                world.pass(wait);
            }
            None if idle && world.idle() => return,
            _ => {}
        }
    }
    panic!("the world does not come to rest");
}

fn as_wanted(world: &World) {
    let wanted: Vec<_> = world.manifests().cloned().collect();
    for pod in &wanted {
        let view = world
            .planner
            .view(&pod.key)
            .expect("a view of a wanted pod");
        let listed = world.listed(&pod.key);
        let alive: Vec<_> = listed.sandboxes.iter().filter(|s| s.alive()).collect();
        if view.terminal().is_some() {
            let may_end = pod.restart != RestartPolicy::Always || pod.active_deadline.is_some();
            assert!(may_end, "{} ended: {:?}", pod.key, view.terminal());
            assert!(alive.is_empty(), "{} ended and runs", pod.key);
            continue;
        }
        let port_taken = |wait: &plan::Wait| matches!(wait.why, plan::Why::PortTaken(_));
        if alive.is_empty() && view.waits().iter().any(port_taken) {
            continue;
        }
        let ready = |pod: &PodKey| world.planner.view(pod).is_some_and(|view| view.ready());
        if !pod.gates.pods.iter().all(ready) && alive.is_empty() {
            continue;
        }
        let [sandbox] = alive.as_slice() else {
            panic!("{}: {} sandboxes, {:?}", pod.key, alive.len(), view);
        };
        assert!(
            sandbox.is(&pod.uid, &pod.revision),
            "{}: an old version",
            pod.key
        );
        for container in pod.containers().filter(|c| c.kind != Kind::Init) {
            let runs = sandbox.newest(&container.name).is_some_and(|c| c.alive());
            let may_end = container.restart == RestartPolicy::Never
                || container.restart == RestartPolicy::OnFailure;
            assert!(
                runs || may_end,
                "{}: {} does not run: {:?}",
                pod.key,
                container.name,
                view
            );
        }
        for container in pod.containers() {
            let dead = listed.instances(&pod.uid, &container.name);
            let dead = dead.iter().filter(|(_, c)| !c.alive()).count();
            assert!(dead <= 1, "{}: {dead} dead {}", pod.key, container.name);
        }
    }
    for key in world.ours() {
        assert!(
            wanted.iter().any(|pod| pod.key == key),
            "{key} is still there"
        );
    }
    for uid in world.dirs() {
        assert!(
            wanted.iter().any(|pod| pod.uid == *uid),
            "directories of {uid} stay"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_rules_hold_and_calm_brings_what_is_wanted(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let mut world = World::new(strangers());
        world.round();
        for step in &steps {
            happen(&mut world, step);
            world.round();
        }
        settle(&mut world);
        as_wanted(&world);
    }
}
