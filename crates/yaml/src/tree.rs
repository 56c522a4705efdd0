//! YAML text to a tree that remembers where everything stood.
//!
//! A typed decoder stops at its first complaint. This reader keeps going: it takes the parser's
//! events, keeps duplicate keys and whether a scalar was quoted, and leaves judgement to the
//! walk against the schema. There are two dialects. Of a configuration it accepts one document of
//! mappings, lists and scalars: anchors, aliases, tags, merge keys and directives are faults. A
//! manifest may use what other readers of manifests accept, within a budget.

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, Tag};

pub use crate::node::{Entry, Kind, Node};
use crate::{
    anchors::{Anchors, merge},
    fault::{Fault, Show},
    json,
    scalar::{Scalar, resolve},
    source::{Place, Source, Spot},
};

/// Deeper than any configuration; bounds the work on hostile input.
const NESTING: usize = 32;

/// Deeper than any pod.
const MANIFEST_NESTING: usize = 64;

/// More values than a thousand pods have; bounds the memory that hostile input can take.
const MANIFEST_NODES: usize = 400_000;

/// More than anybody reads.
const MANIFEST_FAULTS: usize = 1_000;

/// The root of a configuration, or nothing when the text holds none; complaints go to `faults`.
pub fn read(source: &Source, faults: &mut Vec<Fault>) -> Option<Node> {
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        flow_nesting_limit: NESTING,
        block_nesting_limit: NESTING,
    };
    Reader::new(faults, None).read(source.text(), options)
}

/// The root of a manifest, or nothing when the text holds none; complaints go to `faults`.
///
/// Anchors, aliases, merge keys and directives are allowed, empty documents do not count, and a
/// text that begins with `{` is JSON. Keys without quotes are typed and written out again, as
/// other readers do on their way to JSON: the key `yes` is `true`.
pub fn read_manifest(source: &Source, faults: &mut Vec<Fault>) -> Option<Node> {
    if source.text().trim_start().starts_with('{') {
        let limits = json::Limits {
            nesting: MANIFEST_NESTING,
            nodes: MANIFEST_NODES,
        };
        return match json::read(source.text(), limits) {
            Ok(root) => Some(root),
            Err(mistake) => {
                faults.push(Fault {
                    field: String::new(),
                    place: mistake.place,
                    message: format!("is no valid JSON here: {}", mistake.message),
                    advice: "mend the JSON; a text that begins with '{' is not read as YAML".into(),
                    show: Show::Hidden,
                });
                None
            }
        };
    }
    let options = granit_parser::options! {
        emit_unresolved_aliases: true,
        flow_nesting_limit: MANIFEST_NESTING,
        block_nesting_limit: MANIFEST_NESTING,
    };
    Reader::new(faults, Some(Anchors::new(MANIFEST_NESTING))).read(source.text(), options)
}

/// A collection whose end has not come yet, with the number of its anchor or 0.
enum Open {
    List(Place, usize, Vec<Node>),
    Map(Place, usize, Mapping),
}

#[derive(Default)]
struct Mapping {
    entries: Vec<Entry>,
    /// What `<<` names, and how many entries stand before it.
    merged: Option<(usize, Node)>,
    /// The key whose value is next.
    pending: Option<(Key, Place)>,
}

enum Key {
    Text(String),
    Merge,
    Reported,
}

struct Reader<'a> {
    faults: &'a mut Vec<Fault>,
    /// Those of a manifest; a configuration has none.
    anchors: Option<Anchors>,
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn new(faults: &'a mut Vec<Fault>, anchors: Option<Anchors>) -> Self {
        Self {
            faults,
            anchors,
            open: Vec::new(),
            root: None,
            nodes: 0,
        }
    }

    fn read(mut self, text: &str, options: Options) -> Option<Node> {
        for next in Parser::new_from_str_with_options(text, options) {
            match next {
                Ok((event, span)) => self.take(event, &span),
                Err(error) => {
                    let spot = Spot {
                        line: error.marker().line(),
                        column: error.marker().col() + 1,
                        width: 1,
                    };
                    // What the parser says names the rule and not the text.
                    self.fault(
                        Place::Text(spot),
                        format!("is no valid YAML here: {}", error.kind()),
                        "look for a missing quote, a tab, or wrong indentation on or above this line",
                    );
                    return None;
                }
            }
            if self.anchors.is_some() && self.is_too_much() {
                return None;
            }
        }
        self.root
    }

    /// Whether a manifest is so large or so wrong that reading on helps nobody.
    fn is_too_much(&mut self) -> bool {
        if self.nodes > MANIFEST_NODES {
            self.fault(
                Place::Nowhere,
                format!("holds more than {MANIFEST_NODES} values"),
                "split it",
            );
            return true;
        }
        self.faults.len() >= MANIFEST_FAULTS
    }

    fn take(&mut self, event: Event<'_>, span: &Span) {
        let place = place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(place, &text, style, anchor, tag.as_deref());
            }
            Event::Alias(anchor) => self.alias(place, anchor),
            Event::UnresolvedAlias(_) => self.alias(place, 0),
            Event::SequenceStart(_, anchor, tag) => {
                self.collection(&place, anchor, tag.as_deref(), "seq");
                self.open.push(Open::List(place, anchor, Vec::new()));
            }
            Event::MappingStart(_, anchor, tag) => {
                self.collection(&place, anchor, tag.as_deref(), "map");
                self.open.push(Open::Map(place, anchor, Mapping::default()));
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(place, anchor, items)) => {
                    self.finish(place, anchor, Kind::List(items));
                }
                Some(Open::Map(place, anchor, mapping)) => {
                    let entries = merge(mapping.entries, mapping.merged, self.faults);
                    self.finish(place, anchor, Kind::Map(entries));
                }
                None => {}
            },
            _ => {}
        }
    }

    fn scalar(
        &mut self,
        place: Place,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
    ) {
        let plain = style == ScalarStyle::Plain;
        let allowed = match (&self.anchors, tag) {
            (None, _) => !self.refuse_decoration(&place, anchor, tag.is_some()),
            (Some(_), None) => true,
            (Some(_), Some(tag)) => is_text(tag) || self.refuse_tag(&place),
        };
        let plain = plain && tag.is_none();
        let kind = if !allowed {
            Kind::Broken
        } else if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
            Kind::Null
        } else {
            Kind::Scalar {
                text: text.to_owned(),
                plain,
            }
        };
        self.finish(place, anchor, kind);
    }

    fn collection(&mut self, place: &Place, anchor: usize, tag: Option<&Tag>, own: &str) {
        match (&self.anchors, tag) {
            (None, _) => {
                let _ = self.refuse_decoration(place, anchor, tag.is_some());
            }
            (Some(_), Some(tag)) if !is_core(tag, own) => {
                let _ = self.refuse_tag(place);
            }
            (Some(_), _) => {}
        }
    }

    fn alias(&mut self, place: Place, anchor: usize) {
        let kind = match &mut self.anchors {
            None => {
                self.fault(
                    place.clone(),
                    "uses an alias (*name), which this file may not".into(),
                    "write the value out",
                );
                Kind::Broken
            }
            Some(anchors) => match anchors.take(anchor) {
                Ok(kind) => kind,
                Err(refused) => {
                    self.fault(place.clone(), refused.message().into(), refused.advice());
                    Kind::Broken
                }
            },
        };
        self.finish(place, 0, kind);
    }

    /// Remembers an anchored value and puts it where it belongs.
    fn finish(&mut self, place: Place, anchor: usize, kind: Kind) {
        self.nodes += 1;
        let node = Node { place, kind };
        if anchor != 0
            && let Some(anchors) = &mut self.anchors
            && let Err(refused) = anchors.keep(anchor, &node)
        {
            self.fault(
                node.place.clone(),
                refused.message().into(),
                refused.advice(),
            );
        }
        self.place_node(node);
    }

    /// Puts a finished node where it belongs: into a list, behind or as a key, or at the root.
    fn place_node(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(Open::List(_, _, items)) => items.push(node),
            Some(Open::Map(_, _, mapping)) => match mapping.pending.take() {
                Some((Key::Text(key), key_place)) => mapping.entries.push(Entry {
                    key,
                    key_place,
                    value: node,
                }),
                Some((Key::Merge, key_place)) => {
                    if mapping.merged.is_some() {
                        return self.second_merge(key_place);
                    }
                    mapping.merged = Some((mapping.entries.len(), node));
                }
                Some((Key::Reported, _)) => {}
                None => {
                    let key = self.key(&node);
                    if let Some(Open::Map(_, _, mapping)) = self.open.last_mut() {
                        mapping.pending = Some((key, node.place));
                    }
                }
            },
            None if self.anchors.is_some() && node.kind == Kind::Null => {}
            None if self.root.is_none() => self.root = Some(node),
            None => self.second_document(node.place),
        }
    }

    fn second_merge(&mut self, place: Place) {
        self.fault(
            place,
            "merges (<<) twice in one mapping".into(),
            "merge once, with a list: '<<: [*a, *b]'",
        );
    }

    fn second_document(&mut self, place: Place) {
        let advice = if self.anchors.is_some() {
            "keep one document: move what follows the line '---' to a file of its own"
        } else {
            "keep one document: remove the line '---' and what follows"
        };
        self.fault(place, "starts a second document".into(), advice);
    }

    fn key(&mut self, node: &Node) -> Key {
        let Kind::Scalar { text, plain } = &node.kind else {
            if node.kind != Kind::Broken {
                self.fault(
                    node.place.clone(),
                    "has a key that is no text".into(),
                    "write 'name: value'",
                );
            }
            return Key::Reported;
        };
        match (&self.anchors, *plain) {
            (None, true) if text == "<<" => {
                self.fault(
                    node.place.clone(),
                    "merges another mapping (<<), which this file may not".into(),
                    "write the fields out",
                );
                Key::Reported
            }
            (Some(_), true) if text == "<<" => Key::Merge,
            (Some(_), true) => match resolve(text) {
                Scalar::Bool(value) => Key::Text(value.to_string()),
                Scalar::Int(value) => Key::Text(value.to_string()),
                Scalar::Null | Scalar::Text(_) => Key::Text(text.clone()),
                Scalar::Huge | Scalar::Float(_) => {
                    self.fault(
                        node.place.clone(),
                        "has a key that is a number".into(),
                        "put the key in quotes",
                    );
                    Key::Reported
                }
            },
            (None | Some(_), _) => Key::Text(text.clone()),
        }
    }

    fn refuse_decoration(&mut self, place: &Place, anchor: usize, tagged: bool) -> bool {
        if anchor != 0 {
            self.fault(
                place.clone(),
                "defines an anchor (&name), which this file may not".into(),
                "remove the anchor and write the value out where it is needed",
            );
        }
        if tagged {
            self.fault(
                place.clone(),
                "has a tag (!name), which this file may not".into(),
                "remove the tag",
            );
        }
        anchor != 0 || tagged
    }

    /// Always false: what has this tag is not allowed.
    fn refuse_tag(&mut self, place: &Place) -> bool {
        self.fault(
            place.clone(),
            "has a tag (!name) that a manifest cannot have".into(),
            "remove the tag",
        );
        false
    }

    fn fault(&mut self, place: Place, message: String, advice: &str) {
        self.faults.push(Fault {
            field: String::new(),
            place,
            message,
            advice: advice.to_owned(),
            show: Show::Hidden,
        });
    }
}

fn is_text(tag: &Tag) -> bool {
    is_core(tag, "str") || (tag.handle().is_empty() && tag.suffix() == "!")
}

fn is_core(tag: &Tag, name: &str) -> bool {
    tag.handle() == "tag:yaml.org,2002:" && tag.suffix() == name
}

fn place(span: &Span) -> Place {
    let (start, end) = (&span.start, &span.end);
    let width = if end.line() == start.line() {
        end.col().saturating_sub(start.col()).max(1)
    } else {
        // Goes on over line ends; the renderer stops at the end of the first line.
        usize::MAX
    };
    Place::Text(Spot {
        line: start.line(),
        column: start.col() + 1,
        width,
    })
}
