//! What is wrong or unwise in texts, one after the other, and between them.

use std::{cell::RefCell, collections::BTreeMap, collections::BTreeSet, path::Path};

use pod::{
    Item, Manifest, Node, PodKey, Report, Warning,
    advice::{self, Found},
    api,
    fields::Verdict,
};
use yaml::{
    fault::{Fault, Show},
    source::Source,
};

use crate::{
    finding::{Checked, Finding, Level, Status, show, sort},
    host::Sight,
    input::{Content, Input},
    rules,
};

/// What is judged beside what is wrong in any case.
pub(crate) struct Settings {
    /// Also what is allowed and unwise.
    pub(crate) advice: bool,
    /// The node whose name the pods get, where it is known.
    pub(crate) node: Option<Node>,
    /// What lies at paths of the machine on which the pods will run, if it is this one.
    pub(crate) look: Option<fn(&Path) -> Sight>,
}

/// Judges texts, and remembers whose pods they hold.
pub(crate) struct Checker {
    settings: Settings,
    /// The text that came first.
    known: BTreeMap<PodKey, String>,
    unreadable: bool,
}

impl Checker {
    /// Nothing seen yet.
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            known: BTreeMap::new(),
            unreadable: false,
        }
    }

    /// Whether an argument could not be read.
    pub(crate) fn missed_an_argument(&self) -> bool {
        self.unreadable
    }

    /// Judges one text.
    pub(crate) fn check(&mut self, input: Input) -> Checked {
        let Input {
            name,
            origin,
            content,
            distrust,
        } = input;
        let mut findings: Vec<Finding> = distrust
            .map(|(level, what, advice)| Finding::whole(level, rules::UNTRUSTED, what, advice))
            .into_iter()
            .collect();
        let is_text = matches!(content, Content::Text(_));
        let mut pods = Vec::new();
        let mut source = Source::new(&*name, "");
        let mut status = Status::Ok;
        match content {
            Content::Text(bytes) => {
                let reading = pod::read(&origin, &name, &bytes);
                findings.extend(
                    reading
                        .faults
                        .iter()
                        .map(|fault| found(Level::Error, rules::DOCUMENT, fault)),
                );
                let listed = reading.items.len() > 1 || is_list(&reading.items);
                for (number, item) in reading.items.iter().enumerate() {
                    let prefix = listed.then(|| format!("items[{number}]"));
                    self.item(&name, item, prefix.as_deref(), &mut findings);
                    if !item.key.name.is_empty() {
                        pods.push(item.key.clone());
                    }
                }
                source = reading.source;
            }
            Content::Ignored(why, advice) => {
                status = Status::Ignored;
                findings.push(Finding::whole(
                    Level::Note,
                    rules::IGNORED,
                    format!("is ignored: {why}"),
                    advice,
                ));
            }
            Content::Unreadable(why, argument) => {
                status = Status::Unreadable;
                self.unreadable |= argument;
                let advice = "correct the name, or whatever keeps it from being read";
                findings.push(Finding::whole(Level::Error, rules::UNREADABLE, why, advice));
            }
            Content::Directory(0) if self.settings.advice => findings.push(Finding::whole(
                Level::Warning,
                rules::EMPTY,
                "holds no manifest",
                "name the directory that does, or put one there",
            )),
            Content::Directory(_) => {}
        }
        let refused = findings.iter().any(|finding| finding.level == Level::Error);
        if refused && status == Status::Ok {
            status = Status::Refused;
        }
        sort(&mut findings);
        Checked {
            shown: show(&source, &findings),
            name,
            status,
            is_text,
            pods,
            findings,
        }
    }

    fn item(&mut self, name: &str, item: &Item, prefix: Option<&str>, into: &mut Vec<Finding>) {
        let from = into.len();
        match &item.manifest {
            Ok(manifest) => self.manifest(manifest, into),
            Err(faults) => {
                let faults = faults.iter();
                into.extend(faults.map(|fault| found(Level::Error, broken(fault), fault)));
            }
        }
        if let Some(duplicate) = self.duplicate(name, item) {
            into.push(duplicate);
        }
        // The reader has done that for what it found itself.
        if let Some(prefix) = prefix {
            for finding in into.iter_mut().skip(from) {
                let field = &mut finding.fault.field;
                if !field.starts_with(prefix) {
                    *field = pod::places::join(prefix, field);
                }
            }
        }
        if self.settings.advice {
            into.extend(item.warnings.iter().map(advised));
        }
    }

    /// What is wrong with a sound manifest on its node.
    fn manifest(&self, manifest: &Manifest, into: &mut Vec<Finding>) {
        let epoch = api::Time(jiff::Timestamp::UNIX_EPOCH);
        if let Some(node) = &self.settings.node
            && let Err(error) = pod::name(manifest, node, &epoch)
        {
            let (place, show) = manifest.places.find("metadata.name");
            let why = error.to_string();
            let (message, advice) = why.rsplit_once(": ").unwrap_or((&why, "shorten it"));
            let fault = Fault {
                field: "metadata.name".to_owned(),
                place,
                message: format!("makes no name on {}: {message}", node.name),
                advice: advice.to_owned(),
                show,
            };
            into.push(found(Level::Error, rules::NAME, &fault));
        }
        if let Some(look) = self.settings.look
            && self.settings.advice
        {
            into.extend(host_paths(manifest, look).iter().map(advised));
        }
    }

    /// Whether this pod was in a text before, or earlier in this one.
    fn duplicate(&mut self, name: &str, item: &Item) -> Option<Finding> {
        if item.key.name.is_empty() {
            return None;
        }
        let Some(first) = self.known.get(&item.key) else {
            let _ = self.known.insert(item.key.clone(), name.to_owned());
            return None;
        };
        let (place, show) = match &item.manifest {
            Ok(manifest) => manifest.places.find("metadata.name"),
            Err(_) => (yaml::source::Place::Nowhere, Show::Key),
        };
        let fault = Fault {
            field: "metadata.name".to_owned(),
            place,
            message: format!("makes this pod {}, which {first} holds already", item.key),
            advice: "give one of them another name or namespace: only the first would run".into(),
            show,
        };
        Some(found(Level::Error, rules::DUPLICATE, &fault))
    }
}

/// A list of one pod shows in what its item says of fields only.
fn is_list(items: &[Item]) -> bool {
    let prefixed = |fault: &Fault| fault.field.starts_with("items[0]");
    items.iter().any(|item| {
        let faults = item.manifest.as_ref().err().into_iter().flatten();
        let warned = item.warnings.iter().map(|warning| &warning.fault);
        faults.chain(warned).any(prefixed)
    })
}

fn found(level: Level, rule: &'static str, fault: &Fault) -> Finding {
    Finding {
        level,
        rule,
        fault: fault.clone(),
    }
}

/// The rule that a faulty manifest breaks.
fn broken(fault: &Fault) -> &'static str {
    match pod::fields::verdict(&fault.field) {
        Some(Verdict::Reference) => rules::REFERENCE,
        Some(Verdict::Refused) => rules::UNSUPPORTED,
        Some(Verdict::Supported | Verdict::Ignored) | None => rules::INVALID,
    }
}

fn advised(warning: &Warning) -> Finding {
    found(Level::Warning, warning.rule, &warning.fault)
}

/// Host paths that would keep the pod from starting on this machine. Where this user may not
/// look, that is said instead.
fn host_paths(manifest: &Manifest, look: fn(&Path) -> Sight) -> Vec<Warning> {
    let hidden = RefCell::new(BTreeSet::new());
    let seen = |path: &Path| match look(path) {
        Sight::Lies(found) => Some(found),
        Sight::Nothing => None,
        Sight::Hidden => {
            let _ = hidden.borrow_mut().insert(path.to_owned());
            Some(Found::Other)
        }
    };
    let mut report = Report::new(&manifest.places);
    advice::check_host(&manifest.pod, seen, &mut report);
    let (_, mut warnings) = report.finish();
    let volumes = manifest.pod.spec.iter().flat_map(|spec| &spec.volumes);
    for (at, volume) in volumes.flatten().enumerate() {
        let field = format!("spec.volumes[{at}].hostPath.path");
        let Some(host) = &volume.host_path else {
            continue;
        };
        if !hidden.borrow().contains(Path::new(&host.path)) {
            continue;
        }
        warnings.retain(|warning| warning.fault.field != field);
        let (place, show) = manifest.places.find(&field);
        warnings.push(Warning {
            rule: "host-path-unseen",
            fault: Fault {
                field,
                place,
                message: "cannot be looked at by this user".to_owned(),
                advice: "check as the user that the agent runs as".to_owned(),
                show,
            },
        });
    }
    warnings
}
