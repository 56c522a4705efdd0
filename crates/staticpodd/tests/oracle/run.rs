//! Plays all scenarios at once on one node.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    facts,
    ground::{Agent, Ground, pause},
    scenario::{Scenario, Step},
    scenarios::ALL,
    spec,
    watch::{Seen, Watch, What},
};

/// For all of them together, on a machine that does other things besides.
const PATIENCE: Duration = Duration::from_secs(180);
/// What should not happen has not happened by then, once all that was there at first runs.
const QUIET: Duration = Duration::from_secs(6);
/// A kubelet is slower, and what it was once seen to do is kept.
const QUIET_OF_KUBELET: Duration = Duration::from_secs(20);

/// A scenario that is played.
struct Play {
    scenario: &'static Scenario,
    next: usize,
    since: Instant,
    facts: Option<Value>,
}

/// The facts of every scenario, by name.
pub(crate) fn observe(agent: Agent) -> Value {
    let mut ground = Ground::new(agent);
    let mut watch = Watch::new(&ground.rig);
    ground.start();
    let began = Instant::now();
    let mut plays: Vec<Play> = ALL
        .iter()
        .map(|scenario| Play {
            scenario,
            next: 0,
            since: began,
            facts: None,
        })
        .collect();
    let mut settled = None;
    while plays.iter().any(|play| play.facts.is_none()) {
        watch.look(&ground.home);
        for play in &mut plays {
            play.advance(&watch, &ground, settled);
        }
        let is_simple = |step: &Step| matches!(step, Step::Put(..) | Step::Linked(_));
        let mut simple = plays
            .iter()
            .filter(|play| play.scenario.steps.iter().all(is_simple));
        if settled.is_none() && simple.all(|play| play.facts.is_some()) {
            settled = Some(Instant::now());
        }
        if ground.has_ended() || began.elapsed() > PATIENCE {
            let waiting = plays.iter().filter(|play| play.facts.is_none());
            let waiting: Vec<String> = waiting
                .map(|play| format!("{}: {:?}", play.scenario.name, play.step()))
                .collect();
            let said = ground.said();
            panic!("it goes no further: {waiting:?}; the agent says:\n{said}");
        }
        pause();
    }
    let facts = plays.into_iter().filter_map(|play| {
        let name = play.scenario.name.to_owned();
        Some((name, play.facts?))
    });
    shortened(facts.collect())
}

/// Of most pods little is special: what is as in the first one is only said to be so.
fn shortened(mut facts: Map<String, Value>) -> Value {
    let first = ALL.first().map_or("", |scenario| scenario.name);
    let base = facts.get(first).cloned().unwrap_or_default();
    for (name, facts) in &mut facts {
        for (kind, usual) in [("sandboxes", "sandbox.0"), ("containers", "main.0")] {
            let base = &base[kind][usual];
            let made = facts[kind].as_object_mut().into_iter().flatten();
            for (_, made) in made.filter(|(label, _)| name != first || *label != usual) {
                spec::shorten(made, base);
            }
        }
    }
    facts.into()
}

impl Play {
    fn step(&self) -> Option<&'static Step> {
        self.scenario.steps.get(self.next)
    }

    /// Does what can be done now. `settled`: since when what was there at first runs.
    fn advance(&mut self, watch: &Watch, ground: &Ground, settled: Option<Instant>) {
        while self.facts.is_none() {
            let Some(step) = self.step() else {
                self.facts = Some(facts::gather(self.scenario, watch, ground));
                return;
            };
            if !self.done(*step, watch, ground, settled) {
                return;
            }
            self.next += 1;
            self.since = Instant::now();
        }
    }

    fn done(&self, step: Step, watch: &Watch, ground: &Ground, settled: Option<Instant>) -> bool {
        let pod = self.scenario.name;
        let find = |label: &str| watch.find(pod, label);
        let has = |label: &str, test: &dyn Fn(What) -> bool| {
            find(label).is_some_and(|seen| watch.has(&seen.id, test))
        };
        match step {
            Step::Put(manifest, file) => ground.put(manifest, file),
            Step::Remove(manifest) => ground.remove(manifest),
            Step::Mkdir(name) => ground.mkdir(name),
            Step::Kill(label) => {
                let seen = find(label);
                return seen.is_some_and(|seen| ground.rig.kill_task(&seen.id).is_ok());
            }
            Step::Started(label) => return has(label, &|what| what == What::Started),
            Step::Ended(label) => return has(label, &|what| matches!(what, What::Ended(_))),
            Step::Linked(label) => {
                let started = has(label, &|what| what == What::Started);
                return started && find(label).is_some_and(|seen| is_linked(seen, ground));
            }
            Step::Gone => {
                let mut sandboxes = watch.of(pod).filter(|seen| seen.is_sandbox());
                return sandboxes.all(|sandbox| !watch.there.contains(&sandbox.id));
            }
            Step::Clean => return ground.left(&watch.pods(pod)).is_empty(),
            Step::Quiet => {
                let quiet = match ground.agent {
                    Agent::Ours => QUIET,
                    Agent::Kubelet(_) => QUIET_OF_KUBELET,
                };
                let now = Timestamp::now();
                let last = watch
                    .last(pod)
                    .map(|time| now.duration_since(time).unsigned_abs());
                let settled = settled.is_some_and(|since| since.elapsed() >= quiet);
                let own = self.since.elapsed() >= quiet;
                return settled && own && last.is_none_or(|last| last >= quiet);
            }
        }
        true
    }
}

fn is_linked(seen: &Seen, ground: &Ground) -> bool {
    let mut links = std::fs::read_dir(ground.links())
        .into_iter()
        .flatten()
        .flatten();
    let end = format!("{}.log", seen.id);
    links.any(|link| link.file_name().to_string_lossy().ends_with(&end))
}
