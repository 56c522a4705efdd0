//! What happened to each pod lately, for `describe`.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use agent::Event;
use manifests::view::{Change, Status};
use pace::Clock;
use plan::{Action, Cause, Outcome, PodKey};

/// Of one pod; the oldest go first.
const EVENTS: usize = 20;
/// Pods that are remembered; those that nothing happens to go first.
const PODS: usize = 500;

/// Something that happened, perhaps several times in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Happening {
    pub(crate) is_warning: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) count: u32,
    /// Wall clock, Unix seconds.
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// By `namespace/name`.
type Book = BTreeMap<String, VecDeque<Happening>>;

/// A small and bounded memory.
pub(crate) struct Annals {
    clock: Arc<dyn Clock>,
    book: Mutex<Book>,
}

impl Annals {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            book: Mutex::default(),
        }
    }

    /// Notes an event of the agent, if people would ask for it.
    pub(crate) fn note(&self, event: &Event) {
        let Some((pod, happening)) = told(event, self.clock.now().wall) else {
            return;
        };
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        enter(&mut book, pod, happening);
    }

    /// Of one pod, the oldest first.
    pub(crate) fn of(&self, pod: &PodKey) -> Vec<Happening> {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let pages = book.get(&pod.to_string());
        pages.into_iter().flatten().cloned().collect()
    }
}

fn enter(book: &mut Book, pod: String, happening: Happening) {
    let latest = |page: &VecDeque<Happening>| page.back().map(|last| last.last);
    if book.len() >= PODS && !book.contains_key(&pod) {
        let forgotten = book.iter().min_by_key(|(_, page)| latest(page));
        if let Some(forgotten) = forgotten.map(|(pod, _)| pod.clone()) {
            let _ = book.remove(&forgotten);
        }
    }
    let page = book.entry(pod).or_default();
    let same = |old: &Happening| old.reason == happening.reason && old.message == happening.message;
    let known = page.iter().position(same);
    if let Some(mut old) = known.and_then(|at| page.remove(at)) {
        old.count = old.count.saturating_add(1);
        old.last = happening.last;
        page.push_back(old);
        return;
    }
    if page.len() >= EVENTS {
        let _ = page.pop_front();
    }
    page.push_back(happening);
}

/// The pod and what to say of it.
fn told(event: &Event, wall: i64) -> Option<(String, Happening)> {
    let normal = |reason: &str, message: String| (false, reason.to_owned(), message);
    let warning = |reason: &str, message: String| (true, reason.to_owned(), message);
    let (pod, (is_warning, reason, message)) = match event {
        Event::Source { change, .. } => of_change(change)?,
        Event::Overruled { pod, source } => (
            pod.to_string(),
            warning(
                "ManifestOverruled",
                format!("{source} has a manifest of this pod too, which is not used"),
            ),
        ),
        Event::Unclear { pod, error } => {
            (pod.to_string(), warning("RuntimeUnclear", error.clone()))
        }
        Event::Ordered {
            pod: Some(pod),
            action: Action::KillContainer { name, cause, .. },
        } => {
            let why = why(*cause);
            (
                pod.to_string(),
                normal("Killing", format!("Stopping container {name}: {why}")),
            )
        }
        Event::Ended {
            pod: Some(pod),
            action,
            outcome,
            ..
        } => (pod.to_string(), of_order(action, outcome)?),
        Event::Probe {
            pod,
            container,
            kind,
            message,
        } => {
            let mut kind = (*kind).to_owned();
            if let Some(first) = kind.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            (
                pod.to_string(),
                warning(
                    "Unhealthy",
                    format!("{kind} probe of container {container} failed: {message}"),
                ),
            )
        }
        _ => return None,
    };
    let happening = Happening {
        is_warning,
        reason,
        message,
        count: 1,
        first: wall,
        last: wall,
    };
    Some((pod, happening))
}

type Said = (bool, String, String);

fn of_change(change: &Change) -> Option<(String, Said)> {
    let said = |pod: &String, reason: &str, message: String| {
        Some((pod.clone(), (false, reason.to_owned(), message)))
    };
    match change {
        Change::Added { pod, origin } => {
            said(pod, "ManifestAdded", format!("Read {}", origin.display()))
        }
        Change::Replaced { pod, origin } => said(
            pod,
            "ManifestReplaced",
            format!("{} has other content", origin.display()),
        ),
        Change::Removed { pod, origin } => said(
            pod,
            "ManifestRemoved",
            format!("{} is gone, or gives another pod", origin.display()),
        ),
        Change::File(report) => {
            let refused = matches!(
                report.status,
                Status::Refused | Status::Unreadable | Status::Duplicate
            );
            let pod = report.pod.clone().filter(|_| refused)?;
            let error = report.error.clone().unwrap_or_default();
            let first = error.lines().next().unwrap_or_default();
            let message = format!(
                "{} is {}, and its last good content stays in force: {first}",
                report.origin.display(),
                report.status.as_str()
            );
            Some((pod, (true, "ManifestRefused".to_owned(), message)))
        }
        _ => None,
    }
}

fn of_order(action: &Action, outcome: &Outcome) -> Option<Said> {
    let normal = |reason: &str, message: String| Some((false, reason.to_owned(), message));
    match (outcome, action) {
        (Outcome::Done, Action::CreateSandbox { attempt: 0, .. }) => {
            normal("SandboxCreated", "Made the pod sandbox".to_owned())
        }
        (Outcome::Done, Action::CreateSandbox { .. }) => {
            normal("SandboxChanged", "Made a new pod sandbox".to_owned())
        }
        (Outcome::Done, Action::StartContainer { name, .. }) => {
            normal("Started", format!("Started container {name}"))
        }
        (Outcome::Done, Action::StopSandbox { cause, .. }) => {
            normal("Stopped", format!("Stopped the pod: {}", why(*cause)))
        }
        (Outcome::Failed(failure), Action::StartContainer { name, .. }) => Some((
            true,
            failure.reason.clone(),
            format!("Container {name}: {}", failure.message),
        )),
        (Outcome::Failed(failure), _) => {
            Some((true, failure.reason.clone(), failure.message.clone()))
        }
        _ => None,
    }
}

/// In words, as the end of a sentence.
pub(crate) fn why(cause: Cause) -> &'static str {
    match cause {
        Cause::Removed => "its manifest is gone",
        Cause::Edited => "its manifest has changed",
        Cause::RestartRequested => "a restart was asked for",
        Cause::StopAll => "everything was told to stop",
        Cause::Superseded => "there is a newer sandbox",
        Cause::SandboxChanged => "its sandbox is dead or does not fit",
        Cause::Finished => "nothing of the pod is left to run",
        Cause::DeadlineExceeded => "it ran longer than activeDeadlineSeconds",
        Cause::TakenOver => "a kubelet made it, and this agent takes over",
        Cause::Liveness => "the liveness probe failed",
        Cause::Startup => "the startup probe failed",
        Cause::PostStart => "the postStart hook failed",
        Cause::Unlisted => "the manifest does not name it",
        Cause::StateUnknown => "the runtime does not know what it is doing",
        Cause::RestartAll => "an exit code restarts the whole pod",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening(message: &str, wall: i64) -> Happening {
        Happening {
            is_warning: false,
            reason: "Started".into(),
            message: message.into(),
            count: 1,
            first: wall,
            last: wall,
        }
    }

    #[test]
    fn what_happens_again_is_counted_and_stands_last() {
        let mut book = Book::new();
        for (message, wall) in [("a", 1), ("b", 2), ("a", 3)] {
            enter(&mut book, "p".into(), happening(message, wall));
        }
        let mut again = happening("a", 1);
        again.count = 2;
        again.last = 3;
        assert_eq!(book["p"], [happening("b", 2), again]);
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_what_is_young() {
        let mut book = Book::new();
        for wall in 0..100 {
            enter(&mut book, "p".into(), happening(&wall.to_string(), wall));
        }
        assert_eq!(book["p"].len(), EVENTS);
        assert_eq!(book["p"].back().unwrap().message, "99");
        for pod in 0..2 * PODS {
            let wall = 100 + i64::try_from(pod).unwrap();
            enter(&mut book, format!("q{pod}"), happening("a", wall));
        }
        assert_eq!(book.len(), PODS);
        assert!(!book.contains_key("p"));
        assert!(book.contains_key(&format!("q{}", 2 * PODS - 1)));
    }

    #[test]
    fn orders_and_failures_are_told_as_people_know_them() {
        let key = PodKey::new("default", "web-n1");
        let start = Action::StartContainer {
            sandbox: "s".into(),
            name: "web".into(),
            kind: plan::Kind::Main,
            attempt: 0,
            sidecar: None,
        };
        let ended = |outcome| Event::Ended {
            pod: Some(key.clone()),
            action: start.clone(),
            outcome,
            took: std::time::Duration::ZERO,
        };
        let (pod, said) = told(&ended(Outcome::Done), 7).unwrap();
        assert_eq!(pod, "default/web-n1");
        assert_eq!(said, happening("Started container web", 7));
        let failure = plan::Failure {
            class: plan::FailureClass::Other,
            reason: "CreateContainerConfigError".into(),
            message: "no such path".into(),
        };
        let (_, said) = told(&ended(Outcome::Failed(failure)), 7).unwrap();
        assert!(said.is_warning);
        assert_eq!(said.reason, "CreateContainerConfigError");
        assert_eq!(said.message, "Container web: no such path");
        assert_eq!(told(&ended(Outcome::Lost), 7), None);
        let probe = Event::Probe {
            pod: key,
            container: "web".into(),
            kind: "liveness",
            message: "503".into(),
        };
        let (_, said) = told(&probe, 7).unwrap();
        assert_eq!(said.message, "Liveness probe of container web failed: 503");
    }
}
