//! Probes, statuses and answers: what follows when something about a pod has changed.

use pace::Now;
use plan::{PodKey, Wait};
use podstatus::Place;
use probe::outcome::Outcome;
use tokio::task::Id;

use crate::{
    event::Event,
    handle::{Ask, Overview, PodView, SourceView, Waiting},
    office::Office,
    probing,
    source::Said,
};
use manifests::{folder::Order, view::Change};

impl Office {
    /// Brings probes and statuses of pods that changed up to date, and begins what is due.
    pub(crate) fn refresh(&mut self, now: Now) {
        let touched = std::mem::take(&mut self.touched);
        if !touched.is_empty() {
            self.changes.send_modify(|count| *count += 1);
        }
        for key in &touched {
            let view = self.planner.view(key);
            let pod = self.roll.loaded(key).map(|loaded| &*loaded.pod);
            self.probing.see(key, view, pod, now);
            self.status(key, now);
        }
        self.probing.begin(now.mono);
    }

    /// The status of a pod as it is now.
    fn status(&mut self, key: &PodKey, now: Now) {
        let (Some(view), Some(loaded)) = (self.planner.view(key), self.roll.loaded(key)) else {
            let _ = self.statuses.remove(key);
            return;
        };
        let uid = &loaded.pod.uid;
        let before = self.statuses.get(key);
        let before = before.filter(|(of, _)| of == uid).map(|(_, status)| status);
        let place = Place {
            host_ips: &self.settings.host_ips,
            runtime: &self.settings.runtime_name,
            since: loaded.since,
        };
        let status = podstatus::status(&loaded.pod.api, view, before, place, now.wall);
        let _ = self.statuses.insert(key.clone(), (uid.clone(), status));
    }

    /// A round of a probe has ended.
    pub(crate) fn probed(&mut self, id: Id, outcome: Outcome) {
        let now = self.now();
        let Some(finding) = self.probing.finish(id, outcome, now.mono) else {
            return;
        };
        self.say(&Event::Probed {
            kind: finding.kind.as_str(),
            success: finding.success,
        });
        if let Some(message) = finding.message {
            self.say(&Event::Probe {
                pod: finding.key.clone(),
                container: finding.container,
                kind: finding.kind.as_str(),
                message,
            });
        }
        let Some(verdict) = finding.verdict else {
            return;
        };
        let before = self.planner.view(&finding.key);
        let before = before.and_then(|view| view.verdict(&finding.id));
        let before = before.unwrap_or_default();
        let verdict = probing::merged(before, finding.kind, verdict);
        if verdict != before {
            self.planner.verdict(&finding.key, &finding.id, verdict);
            let _ = self.touched.insert(finding.key);
        }
    }

    /// A source has said something.
    pub(crate) fn heard(&mut self, source: usize, changes: Vec<Change>, said: Said) {
        if let Some((name, _)) = self.roll.said().get(source) {
            let name = name.clone();
            for change in changes {
                let name = name.clone();
                self.say(&Event::Source { name, change });
            }
        }
        let turned = self.roll.hear(source, said, &mut self.planner);
        for event in &turned.events {
            self.say(event);
        }
        self.touched.extend(turned.touched);
    }

    /// Answers a question, or does what was asked for; what is left to the sources is given back.
    pub(crate) fn answer(&mut self, ask: Ask) -> Option<Order> {
        match ask {
            Ask::View(answer) => {
                let _ = answer.send(self.overview());
            }
            Ask::Restart(key, container, answer) => {
                let known = self.planner.restart(&key, container.as_deref());
                let _ = answer.send(known);
            }
            Ask::StopAll(grace, answer) => {
                self.planner.stop_all(grace);
                self.stopping.push(answer);
            }
            Ask::StartAll(answer) => {
                // Who waits for the end of the stop waits for nothing any more.
                for waiting in self.stopping.drain(..) {
                    let _ = waiting.send(false);
                }
                let _ = answer.send(self.planner.start_all());
            }
            Ask::Sources(order) => return Some(order),
        }
        None
    }

    fn overview(&mut self) -> Overview {
        let now = self.now();
        let keys: Vec<PodKey> = self.planner.views().map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.status(key, now);
        }
        let pods = keys.into_iter().filter_map(|key| {
            let view = self.planner.view(&key)?;
            let loaded = self.roll.loaded(&key);
            let status = self.statuses.get(&key);
            Some(PodView {
                pod: loaded.map(|loaded| std::sync::Arc::clone(&loaded.pod)),
                status: status.map(|(_, status)| status.clone()).unwrap_or_default(),
                ready: view.ready(),
                stopping: view.ending().is_some(),
                seen: view.seen().cloned(),
                waits: view.waits().iter().map(|wait| waiting(wait, now)).collect(),
                source: view.wanted().map(|wanted| wanted.source.clone()),
                key,
            })
        });
        let sources = self.roll.said().iter().map(|(name, said)| SourceView {
            name: name.clone(),
            complete: said.complete,
            trouble: said.trouble.clone(),
            files: said.files.clone(),
        });
        Overview {
            pods: pods.collect(),
            sources: sources.collect(),
            runtime_down: self.down.clone(),
            store_trouble: self.store_trouble.clone(),
            passes: self.passes,
            halted: self.planner.halted(),
            wall: now.wall,
        }
    }
}

fn waiting(wait: &Wait, now: Now) -> Waiting {
    let left = wait.until.map(|until| until.saturating_sub(now.mono));
    let left = left.map(|left| i64::try_from(left.as_secs()).unwrap_or(i64::MAX));
    Waiting {
        container: wait.container.clone(),
        why: wait.why.clone(),
        until: left.map(|left| now.wall.saturating_add(left)),
    }
}
