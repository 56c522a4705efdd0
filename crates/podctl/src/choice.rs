//! Which pod and which container people mean.

use pod::api;
use yaml::spelling::closest;

use crate::{
    document::{PodState, State},
    fault::Fault,
};

/// At most so many names in a hint.
const NAMES: usize = 10;

impl PodState {
    /// The pod's namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The pod's whole name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    fn full_name(&self) -> String {
        format!("{}/{}", self.namespace(), self.name())
    }
}

/// The pod of a name, with or without the node at its end, `pod/` before it, or its namespace.
/// Without a namespace it is looked for in all.
///
/// # Errors
/// [`Fault::NoPod`] with names that are near, [`Fault::ManyPods`].
pub fn pod<'a>(
    state: &'a State,
    namespace: Option<&str>,
    name: &str,
) -> Result<&'a PodState, Fault> {
    let (namespace, bare) = match name.split_once('/') {
        Some(("pod" | "pods" | "po", bare)) => (namespace, bare),
        Some((of_name, bare)) => (namespace.or(Some(of_name)), bare),
        None => (namespace, name),
    };
    let there = |pod: &&PodState| namespace.is_none_or(|wanted| wanted == pod.namespace());
    let with_node = format!("{bare}-{}", state.node);
    for wanted in [bare, &with_node] {
        let mut found = state.pods.iter().filter(there);
        let mut found = found.by_ref().filter(|pod| pod.name() == wanted);
        match (found.next(), found.next()) {
            (None, _) => {}
            (Some(pod), None) => return Ok(pod),
            (Some(first), Some(second)) => {
                let all = [first, second].into_iter().chain(found);
                return Err(Fault::ManyPods {
                    name: name.to_owned(),
                    pods: all.map(PodState::full_name).collect(),
                });
            }
        }
    }
    Err(Fault::NoPod {
        name: bare.to_owned(),
        namespace: namespace.map(str::to_owned),
        hint: hint(state, bare),
    })
}

fn hint<'a>(state: &'a State, name: &str) -> String {
    if state.pods.is_empty() {
        return ": there are no pods; staticpodd get manifests shows what was read".to_owned();
    }
    let bare = |pod: &'a PodState| {
        let without = pod.name().strip_suffix(&state.node);
        without
            .and_then(|name| name.strip_suffix('-'))
            .unwrap_or(pod.name())
    };
    let names: Vec<&str> = state.pods.iter().map(bare).collect();
    let asked = name.strip_suffix(&state.node).unwrap_or(name);
    let asked = asked.trim_end_matches('-');
    let closest = closest(asked, &names);
    let is_near = |pod: &&'a PodState| {
        Some(bare(pod)) == closest
            || letters(bare(pod)) == letters(asked)
            || (asked.len() > 2 && pod.name().contains(asked))
    };
    let near = state.pods.iter().filter(is_near).take(NAMES);
    let near: Vec<String> = near.map(PodState::full_name).collect();
    if !near.is_empty() {
        return format!(": did you mean {}?", near.join(" or "));
    }
    let mut all: Vec<String> = state.pods.iter().map(PodState::full_name).collect();
    let more = all.len().saturating_sub(NAMES);
    all.truncate(NAMES);
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(": there are {}{more}", all.join(", "))
}

/// Letters change places easily.
fn letters(name: &str) -> Vec<char> {
    let mut letters: Vec<char> = name.chars().collect();
    letters.sort_unstable();
    letters
}

/// The container of a name, or the one that is meant where none is named; and what to tell people
/// about that.
///
/// # Errors
/// [`Fault::NoContainer`], [`Fault::Going`].
pub fn container(pod: &PodState, name: Option<&str>) -> Result<(String, Option<String>), Fault> {
    let spec = pod.pod.spec.as_ref();
    let spec = spec.ok_or_else(|| Fault::Going(pod.name().to_owned()))?;
    let names = |all: &[api::Container], note: &str| -> Vec<String> {
        all.iter().map(|c| format!("{}{note}", c.name)).collect()
    };
    let init = spec.init_containers.as_deref().unwrap_or_default();
    let mut has = names(&spec.containers, "");
    has.extend(names(init, " (init)"));
    if let Some(name) = name {
        let known = spec.containers.iter().chain(init).any(|c| c.name == name);
        return match known {
            true => Ok((name.to_owned(), None)),
            false => Err(Fault::NoContainer {
                container: name.to_owned(),
                pod: pod.name().to_owned(),
                has,
            }),
        };
    }
    let annotations = pod.pod.metadata.annotations.as_ref();
    let usual = annotations.and_then(|all| all.get("kubectl.kubernetes.io/default-container"));
    let usual = usual.filter(|usual| spec.containers.iter().any(|c| c.name == **usual));
    if let Some(usual) = usual {
        return Ok((usual.clone(), None));
    }
    let first = spec.containers.first().map(|c| c.name.clone());
    let first = first.unwrap_or_default();
    let note = (has.len() > 1)
        .then(|| format!("Defaulted container \"{first}\" out of: {}", has.join(", ")));
    Ok((first, note))
}
