//! All sources together: which pods are wanted, and what changed about that.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use plan::{Planner, PodKey};

use crate::{event::Event, loaded::Loaded, source::Said};

/// What every source said last.
pub(crate) struct Roll {
    said: Vec<(String, Said)>,
    in_force: BTreeMap<PodKey, Loaded>,
    overruled: BTreeSet<(PodKey, String)>,
}

/// What a change of the sources changed.
#[derive(Debug, Default)]
pub(crate) struct Turned {
    pub(crate) touched: BTreeSet<PodKey>,
    pub(crate) events: Vec<Event>,
}

impl Roll {
    pub(crate) fn new(names: impl Iterator<Item = String>) -> Self {
        Self {
            said: names.map(|name| (name, Said::default())).collect(),
            in_force: BTreeMap::new(),
            overruled: BTreeSet::new(),
        }
    }

    pub(crate) fn said(&self) -> &[(String, Said)] {
        &self.said
    }

    /// The version of a pod that is wanted.
    pub(crate) fn loaded(&self, key: &PodKey) -> Option<&Loaded> {
        self.in_force.get(key)
    }

    /// A source has spoken: tells the planner what is wanted now. The first source that names a
    /// pod wins, and so does the first manifest in it.
    pub(crate) fn hear(&mut self, source: usize, said: Said, planner: &mut Planner) -> Turned {
        if let Some((_, before)) = self.said.get_mut(source) {
            *before = said;
        }
        let mut turned = Turned::default();
        let mut wanted: BTreeMap<PodKey, (usize, Loaded)> = BTreeMap::new();
        let mut overruled = BTreeSet::new();
        for (at, (name, said)) in self.said.iter().enumerate() {
            for loaded in &said.pods {
                let key = &loaded.wanted.key;
                match wanted.get(key) {
                    None => {
                        let _ = wanted.insert(key.clone(), (at, loaded.clone()));
                    }
                    Some((first, _)) if *first != at => {
                        let _ = overruled.insert((key.clone(), name.clone()));
                    }
                    Some(_) => {}
                }
            }
        }
        for (pod, source) in overruled.difference(&self.overruled) {
            turned.events.push(Event::Overruled {
                pod: pod.clone(),
                source: source.clone(),
            });
        }
        self.overruled = overruled;
        let gone: Vec<PodKey> = self.in_force.keys().cloned().collect();
        for key in gone.into_iter().filter(|key| !wanted.contains_key(key)) {
            let _ = self.in_force.remove(&key);
            planner.unwant(&key);
            let _ = turned.touched.insert(key);
        }
        for (key, (_, loaded)) in wanted {
            let before = self.in_force.get(&key);
            if before.is_some_and(|before| same(before, &loaded)) {
                continue;
            }
            planner.want(Arc::clone(&loaded.wanted));
            let _ = self.in_force.insert(key.clone(), loaded);
            let _ = turned.touched.insert(key);
        }
        // Last: what is wanted by now is not taken for gone in between.
        for (name, said) in &self.said {
            planner.source(name, said.complete);
        }
        turned
    }
}

/// Whether the planner would see no difference.
fn same(one: &Loaded, other: &Loaded) -> bool {
    Arc::ptr_eq(&one.wanted, &other.wanted) || one.wanted == other.wanted
}
