//! YAML text to a tree that remembers where everything stood.
//!
//! A typed decoder stops at its first complaint. This reader keeps going: it takes the parser's
//! events, keeps duplicate keys and whether a scalar was quoted, and leaves judgement to the
//! walk against the schema. Of YAML it accepts what a configuration needs: one document of
//! mappings, lists and scalars. Anchors, aliases, tags, merge keys and directives are faults.

use granit_parser::{Event, Options, Parser, ScalarStyle, Span};

use crate::{
    fault::{Fault, Show},
    source::{Place, Source, Spot},
};

/// A value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
}

/// What a value is, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// Text, not yet typed.
    Scalar {
        /// After unescaping.
        text: String,
        /// Neither quoted nor a block scalar, so that it may also be a number or a boolean.
        plain: bool,
    },
    /// `- a` or `[a]`.
    List(Vec<Node>),
    /// `a: 1` or `{a: 1}`; in the order of the text, duplicates included.
    Map(Vec<Entry>),
    /// Something that was reported already.
    Broken,
}

/// One pair of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// After unescaping.
    pub key: String,
    /// Where the key stands.
    pub key_place: Place,
    /// What stands behind the key.
    pub value: Node,
}

/// Deeper than any configuration; bounds the work on hostile input.
const NESTING: usize = 32;

/// The document's root, or nothing when the text holds none; complaints go to `faults`.
pub fn read(source: &Source, faults: &mut Vec<Fault>) -> Option<Node> {
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        flow_nesting_limit: NESTING,
        block_nesting_limit: NESTING,
    };
    Reader {
        faults,
        open: Vec::new(),
        root: None,
    }
    .read(source.text(), options)
}

/// A collection whose end has not come yet.
enum Open {
    List(Place, Vec<Node>),
    /// The third part is the key whose value is next; its text is missing when it was reported.
    Map(Place, Vec<Entry>, Option<(Option<String>, Place)>),
}

struct Reader<'a> {
    faults: &'a mut Vec<Fault>,
    open: Vec<Open>,
    root: Option<Node>,
}

impl Reader<'_> {
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
        }
        self.root
    }

    fn take(&mut self, event: Event<'_>, span: &Span) {
        let place = place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let kind = if self.refuse_decoration(&place, anchor, tag.is_some()) {
                    Kind::Broken
                } else if plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
                    Kind::Null
                } else {
                    Kind::Scalar {
                        text: text.into_owned(),
                        plain,
                    }
                };
                self.place_node(Node { place, kind });
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.fault(
                    place.clone(),
                    "uses an alias (*name), which this file may not".into(),
                    "write the value out",
                );
                self.place_node(Node {
                    place,
                    kind: Kind::Broken,
                });
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_decoration(&place, anchor, tag.is_some());
                self.open.push(Open::List(place, Vec::new()));
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_decoration(&place, anchor, tag.is_some());
                self.open.push(Open::Map(place, Vec::new(), None));
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(place, items)) => self.place_node(Node {
                    place,
                    kind: Kind::List(items),
                }),
                Some(Open::Map(place, entries, _)) => self.place_node(Node {
                    place,
                    kind: Kind::Map(entries),
                }),
                None => {}
            },
            _ => {}
        }
    }

    /// Puts a finished node where it belongs: into a list, behind or as a key, or at the root.
    fn place_node(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(_, entries, pending)) => match pending.take() {
                Some((Some(key), key_place)) => entries.push(Entry {
                    key,
                    key_place,
                    value: node,
                }),
                Some((None, _)) => {}
                None => {
                    let key = self.key_text(&node);
                    if let Some(Open::Map(_, _, pending)) = self.open.last_mut() {
                        *pending = Some((key, node.place));
                    }
                }
            },
            None if self.root.is_none() => self.root = Some(node),
            None => self.fault(
                node.place,
                "starts a second document".into(),
                "keep one document: remove the line '---' and what follows",
            ),
        }
    }

    fn key_text(&mut self, node: &Node) -> Option<String> {
        match &node.kind {
            Kind::Scalar { text, plain: true } if text == "<<" => {
                self.fault(
                    node.place.clone(),
                    "merges another mapping (<<), which this file may not".into(),
                    "write the fields out",
                );
                None
            }
            Kind::Scalar { text, .. } => Some(text.clone()),
            Kind::Broken => None,
            Kind::Null | Kind::List(_) | Kind::Map(_) => {
                self.fault(
                    node.place.clone(),
                    "has a key that is no text".into(),
                    "write 'name: value'",
                );
                None
            }
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
