//! All sources together: which manifests should run, and whether all of them are known.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use crate::view::{InForce, View};

/// A manifest that is not used because an earlier source has the same pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overruled {
    /// `namespace/name`.
    pub pod: String,
    /// The one that is used.
    pub by: PathBuf,
    /// The one that is not.
    pub origin: PathBuf,
}

/// What all sources say together.
#[derive(Debug)]
pub struct Roll<P> {
    /// What should run, by `namespace/name`.
    pub in_force: BTreeMap<String, Arc<InForce<P>>>,
    /// Neither to be started nor to be stopped.
    pub spared: BTreeSet<String>,
    /// Same pod in two sources.
    pub overruled: Vec<Overruled>,
    /// Every source was read completely: a pod of ours that is neither in force nor spared has
    /// no manifest any more.
    pub complete: bool,
}

/// Puts the views of all sources together, first source first.
#[must_use]
pub fn call<P>(views: &[Arc<View<P>>]) -> Roll<P> {
    let mut roll = Roll {
        in_force: BTreeMap::new(),
        spared: BTreeSet::new(),
        overruled: Vec::new(),
        complete: views.iter().all(|view| view.ready),
    };
    for manifest in views.iter().flat_map(|view| &view.in_force) {
        match roll.in_force.get(&manifest.name) {
            Some(first) => roll.overruled.push(Overruled {
                pod: manifest.name.clone(),
                by: first.origin.clone(),
                origin: manifest.origin.clone(),
            }),
            None => {
                let name = manifest.name.clone();
                roll.in_force.insert(name, Arc::clone(manifest));
            }
        }
    }
    let spared = views.iter().flat_map(|view| &view.spared).cloned();
    let absent = spared.filter(|name| !roll.in_force.contains_key(name));
    roll.spared = absent.collect();
    roll
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Digest;

    fn view(origin: &str, ready: bool, names: &[&str], spared: &[&str]) -> Arc<View<()>> {
        let manifest = |name: &&str| {
            Arc::new(InForce {
                origin: PathBuf::from(origin),
                name: (*name).to_owned(),
                digest: Digest::of(b""),
                accepted: 0,
                pod: (),
                bytes: Arc::from([]),
            })
        };
        Arc::new(View {
            ready,
            in_force: names.iter().map(manifest).collect(),
            spared: spared.iter().map(|&name| name.to_owned()).collect(),
            ..View::default()
        })
    }

    #[test]
    fn the_first_source_wins_and_the_other_is_named() {
        let roll = call(&[
            view("/m", true, &["d/a", "d/b"], &["d/s", "d/c"]),
            view("https://x/", true, &["d/b", "d/c"], &[]),
        ]);
        let names: Vec<_> = roll.in_force.keys().map(String::as_str).collect();
        assert_eq!(names, ["d/a", "d/b", "d/c"]);
        assert_eq!(roll.in_force["d/b"].origin, PathBuf::from("/m"));
        assert_eq!(
            roll.overruled,
            [Overruled {
                pod: "d/b".into(),
                by: "/m".into(),
                origin: "https://x/".into()
            }]
        );
        assert_eq!(roll.spared, BTreeSet::from(["d/s".to_owned()]));
        assert!(roll.complete);
    }

    #[test]
    fn one_source_that_was_not_read_makes_the_roll_incomplete() {
        let roll = call(&[
            view("/m", true, &[], &[]),
            view("https://x/", false, &[], &[]),
        ]);
        assert!(!roll.complete);
        assert!(call::<()>(&[]).complete);
    }
}
