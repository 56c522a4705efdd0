//! From changes to orders: decides for each name that something changed for, and for those that
//! wait for it.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    action::{Action, Order},
    decide::decide,
    desk::{Decision, Facts, Flight, Runtime, Stop},
    outcome,
    planner::{Plan, Planner, leave},
    retries::Subject,
    seen::Seen,
    slot::{Slot, ports},
    wanted::{HostPort, PodKey},
};

impl Planner {
    /// What to do now.
    #[must_use]
    pub fn plan(&mut self, now: Duration) -> Plan {
        while let Some((due, key)) = self.timers.first().cloned() {
            if due > now {
                break;
            }
            self.timers.remove(&(due, key.clone()));
            self.dirty.insert(key);
        }
        let mut plan = Plan::default();
        loop {
            while let Some(key) = self.dirty.pop_first() {
                self.plan_one(&key, now, &mut plan);
                self.note_changes(&key, &mut plan);
            }
            if !self.next_group() {
                break;
            }
        }
        self.clean_strays(now, &mut plan);
        plan.look.extend(self.stale.iter().cloned());
        plan.next = self.timers.first().map(|(due, _)| *due);
        plan
    }

    /// Says what is to be written down: decisions, outcomes and verdicts all change it.
    fn note_changes(&mut self, key: &PodKey, plan: &mut Plan) {
        if let Some(slot) = self.slots.get_mut(key)
            && slot.written != slot.memory.kept
        {
            slot.written = slot.memory.kept.clone();
            plan.changed.insert(key.clone());
        }
    }

    fn plan_one(&mut self, key: &PodKey, now: Duration, plan: &mut Plan) {
        let Some(slot) = self.slots.get(key) else {
            return;
        };
        if !slot.fresh() {
            self.stale.insert(key.clone());
            return;
        }
        self.stale.remove(key);
        let (shut, taken) = (self.shut(slot), self.taken(key, slot));
        let (gone, stop) = (self.gone(slot), self.stop_of(slot));
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let Some(seen) = &slot.seen else {
            return;
        };
        self.work += 1 + seen.sandboxes.len() as u64;
        self.work += seen
            .sandboxes
            .iter()
            .map(|s| s.containers.len() as u64)
            .sum::<u64>();
        let facts = Facts {
            wanted: slot.wanted.as_deref(),
            gone,
            seen,
            flights: &slot.flights,
            runtime: self.runtime,
            shut: &shut,
            taken: &taken,
            stop,
            take_over: self.settings.take_over,
            now,
            boot: &self.settings.boot,
        };
        let before = slot.memory.kept.ports.clone();
        let mut decision = decide(facts, &mut slot.memory);
        let was_ready = slot.ready;
        if let Some(wake) = slot.wake {
            self.timers.remove(&(wake, key.clone()));
        }
        slot.settle(&mut decision);
        if let Some(wake) = slot.wake {
            self.timers.insert((wake, key.clone()));
        }
        if slot.ready != was_ready
            && let Some(waiting) = self.dependants.get(key)
        {
            self.dirty.extend(waiting.iter().cloned());
        }
        self.order(key, decision, now, plan);
        self.claim(key);
        let held = self.slots.get(key).map(|slot| &slot.memory.kept.ports);
        if held != Some(&before) {
            // Somebody may wait for what was let go.
            let others = ports(&before).filter_map(|port| self.claims.get(&port));
            let others = others.flatten().filter(|other| *other != key);
            self.dirty.extend(others.cloned());
        }
        let slot = self.slots.get(key);
        let over = slot.is_some_and(|slot| slot.empty(self.settings.take_over));
        if over && gone && self.runtime != Runtime::Down {
            if let Some(slot) = self.slots.remove(key) {
                for port in &slot.claimed {
                    leave(&mut self.claims, port, key);
                }
            }
            plan.changed.insert(key.clone());
        }
    }

    /// Gives numbers to what was decided and notes it as under way.
    fn order(&mut self, key: &PodKey, decision: Decision, now: Duration, plan: &mut Plan) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        for action in decision.actions {
            self.last_order += 1;
            let id = self.last_order;
            if let Action::Cancel { order } = action {
                let flight = slot.flights.iter_mut().find(|flight| flight.id == order);
                if let Some(flight) = flight {
                    flight.cancelled = true;
                }
            } else {
                outcome::ordered(&mut slot.memory, &action, now);
                slot.alive |= action.starts();
                slot.flights.push(Flight {
                    id,
                    action: action.clone(),
                    since: now,
                    cancelled: false,
                });
                self.orders.insert(id, key.clone());
            }
            plan.orders.push(Order {
                id,
                key: Some(key.clone()),
                action,
            });
        }
    }

    /// The gates of a pod that are shut, in words.
    fn shut(&self, slot: &Slot) -> Vec<String> {
        let Some(wanted) = &slot.wanted else {
            return Vec::new();
        };
        let pods = wanted.gates.pods.iter().filter(|pod| {
            let other = self.slots.get(*pod);
            !other.is_some_and(|other| other.ready)
        });
        let paths = wanted.gates.paths.iter();
        let paths = paths.filter(|path| !self.paths.contains(*path));
        pods.map(|pod| format!("pod {pod} to be ready"))
            .chain(paths.map(|path| format!("path {path} to exist")))
            .collect()
    }

    /// The ports of the node that a pod wants and another one holds, in words.
    fn taken(&self, key: &PodKey, slot: &Slot) -> Vec<String> {
        let mut taken = Vec::new();
        for port in slot.wanted.iter().flat_map(|wanted| &wanted.host_ports) {
            let claimants = self.claims.get(&(port.port, port.protocol.clone()));
            for other in claimants
                .into_iter()
                .flatten()
                .filter(|other| *other != key)
            {
                let held = self.slots.get(other).map(|other| &other.memory.kept.ports);
                if held.is_some_and(|held| held.iter().any(|held| held.overlaps(port))) {
                    let HostPort { port, protocol, .. } = port;
                    taken.push(format!("port {port}/{protocol}, held by pod {other}"));
                }
            }
        }
        taken
    }

    /// Whether what nobody wants is certain to be wanted no more.
    fn gone(&self, slot: &Slot) -> bool {
        let all = || !self.sources.is_empty() && self.sources.values().all(|complete| *complete);
        let complete = |source: &str| self.sources.get(source).copied().unwrap_or_else(all);
        let mut ours = slot.seen.iter().flat_map(Seen::ours).peekable();
        if slot.removed {
            return true;
        }
        if ours.peek().is_none() {
            return all();
        }
        ours.all(|sandbox| complete(&sandbox.source))
    }

    fn stop_of(&self, slot: &Slot) -> Stop {
        match self.stopping {
            None => Stop::No,
            Some(grace) if self.turn.is_some_and(|turn| slot.priority() <= turn) => {
                Stop::Now { grace }
            }
            Some(_) => Stop::Hold,
        }
    }

    /// During `stop-all`: lets the next priority go once all below have stopped.
    fn next_group(&mut self) -> bool {
        if self.stopping.is_none() {
            return false;
        }
        let alive = self.slots.values().filter(|slot| slot.alive);
        let turn = alive.map(Slot::priority).min();
        if turn.is_none() || turn <= self.turn {
            return false;
        }
        self.turn = turn;
        self.dirty.extend(self.slots.keys().cloned());
        true
    }

    /// Directories of uids that no name knows: what a crash left behind.
    fn clean_strays(&mut self, now: Duration, plan: &mut Plan) {
        let sure = self.runtime != Runtime::Down
            && !self.sources.is_empty()
            && self.sources.values().all(|complete| *complete)
            && self.stale.is_empty();
        if !sure || self.strays.is_empty() {
            return;
        }
        let flying: BTreeSet<&String> = self.stray_flights.values().collect();
        let slots = &self.slots;
        let due: Vec<String> = self
            .strays
            .iter()
            .filter(|uid| !flying.contains(uid) && !slots.values().any(|slot| slot.knows(uid)))
            .filter(|uid| {
                let subject = Subject::Clean((*uid).clone());
                self.stray_retries.until(&subject, now).is_none()
            })
            .cloned()
            .collect();
        for uid in due {
            self.last_order += 1;
            self.stray_flights.insert(self.last_order, uid.clone());
            plan.orders.push(Order {
                id: self.last_order,
                key: None,
                action: Action::CleanPod { uid, logs: true },
            });
        }
    }
}
