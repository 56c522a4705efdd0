//! What a set of policies allows on a path.

use std::cmp::Ordering;

use super::Policy;

/// One thing a policy can grant; `Deny` takes everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Capability {
    /// Make what is not there.
    Create,
    /// Remove.
    Delete,
    /// Nothing at all.
    Deny,
    /// See names.
    List,
    /// Change in part.
    Patch,
    /// Read.
    Read,
    /// See names at every depth.
    Scan,
    /// Use protected paths.
    Sudo,
    /// Change.
    Update,
}

const WORDS: [(Capability, &str); 9] = [
    (Capability::Create, "create"),
    (Capability::Delete, "delete"),
    (Capability::Deny, "deny"),
    (Capability::List, "list"),
    (Capability::Patch, "patch"),
    (Capability::Read, "read"),
    (Capability::Scan, "scan"),
    (Capability::Sudo, "sudo"),
    (Capability::Update, "update"),
];

impl Capability {
    /// From the word of a policy.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        WORDS
            .iter()
            .find(|(_, known)| *known == word)
            .map(|(capability, _)| *capability)
    }

    /// The word of a policy.
    pub(crate) fn word(self) -> &'static str {
        WORDS
            .iter()
            .find(|(capability, _)| *capability == self)
            .map_or("", |(_, word)| word)
    }
}

/// The union of a token's policies.
#[derive(Debug, Default)]
pub(crate) struct Acl {
    root: bool,
    /// Full patterns and their capabilities; empty after a deny.
    rules: Vec<(String, Vec<Capability>)>,
}

impl Acl {
    /// A token that may do everything.
    pub(crate) fn root() -> Self {
        Self {
            root: true,
            rules: Vec::new(),
        }
    }

    /// The union of `policies`; `prefix` is the path of their namespace.
    ///
    /// Rules for one pattern add up, unless one of them denies. Which pattern decides about
    /// a path is a question of its own.
    pub(crate) fn new<'a>(policies: impl IntoIterator<Item = &'a Policy>, prefix: &str) -> Self {
        let mut acl = Self::default();
        for rule in policies.into_iter().flat_map(|policy| &policy.rules) {
            let pattern = format!("{prefix}{}", rule.pattern);
            let merged = match acl.rules.iter_mut().find(|(known, _)| *known == pattern) {
                Some((_, merged)) => merged,
                None => {
                    acl.rules.push((pattern, Vec::new()));
                    let Some((_, merged)) = acl.rules.last_mut() else {
                        continue;
                    };
                    merged
                }
            };
            merged.extend(&rule.capabilities);
        }
        for (_, merged) in &mut acl.rules {
            merged.sort_unstable();
            merged.dedup();
            if merged.contains(&Capability::Deny) {
                merged.clear();
            }
        }
        acl
    }

    /// Whether `capability` is granted on `path`.
    pub(crate) fn allows(&self, path: &str, capability: Capability) -> bool {
        self.root || self.granted(path).contains(&capability)
    }

    /// The capabilities on `path` as the server lists them: sorted words, `root` or `deny`.
    pub(crate) fn words(&self, path: &str) -> Vec<&'static str> {
        if self.root {
            return vec!["root"];
        }
        match self.granted(path) {
            [] => vec!["deny"],
            granted => granted.iter().map(|capability| capability.word()).collect(),
        }
    }

    /// The capabilities of the one pattern that decides about `path`.
    fn granted(&self, path: &str) -> &[Capability] {
        let exact = |path: &str| {
            self.rules
                .iter()
                .find(|(pattern, _)| pattern == path && !is_wild(pattern))
        };
        let listed = path.strip_suffix('/').and_then(exact);
        if let Some((_, capabilities)) = exact(path).or(listed) {
            return capabilities;
        }
        let matching = self
            .rules
            .iter()
            .filter(|(pattern, _)| is_wild(pattern) && matches(pattern, path));
        matching
            .max_by(|(a, _), (b, _)| more_specific(a, b))
            .map_or(&[], |(_, capabilities)| capabilities)
    }
}

fn is_wild(pattern: &str) -> bool {
    pattern.ends_with('*') || pattern.split('/').any(|segment| segment == "+")
}

/// `+` stands for one whole segment, a final `*` for any rest.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, open) = match pattern.strip_suffix('*') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let patterns: Vec<_> = pattern.split('/').collect();
    let segments: Vec<_> = path.split('/').collect();
    let (Some((last, firsts)), true) = (patterns.split_last(), segments.len() >= patterns.len())
    else {
        return false;
    };
    let same = |pattern: &str, segment: &str| pattern == "+" || pattern == segment;
    if !firsts
        .iter()
        .zip(&segments)
        .all(|(pattern, segment)| same(pattern, segment))
    {
        return false;
    }
    let Some(segment) = segments.get(firsts.len()) else {
        return false;
    };
    if open {
        segment.starts_with(last)
    } else {
        segments.len() == patterns.len() && same(last, segment)
    }
}

/// Which of two matching wildcard patterns wins: the one with the later first wildcard, then
/// the one that is no prefix, with fewer `+`, the longer, the lexically greater.
fn more_specific(a: &str, b: &str) -> Ordering {
    let first_wildcard = |pattern: &str| pattern.find(['+', '*']).unwrap_or(usize::MAX);
    let pluses = |pattern: &str| pattern.split('/').filter(|segment| *segment == "+").count();
    first_wildcard(a)
        .cmp(&first_wildcard(b))
        .then_with(|| b.ends_with('*').cmp(&a.ends_with('*')))
        .then_with(|| pluses(b).cmp(&pluses(a)))
        .then_with(|| a.len().cmp(&b.len()))
        .then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patterns, each with one capability.
    type Rules<'a> = &'a [(&'a str, &'a str)];

    fn acl(policies: &[Rules<'_>]) -> Acl {
        let policies: Vec<_> = policies
            .iter()
            .map(|rules| {
                let text = rules.iter().map(|(path, word)| {
                    format!("path \"{path}\" {{ capabilities = [\"{word}\"] }}\n")
                });
                Policy::read(&text.collect::<String>()).unwrap()
            })
            .collect();
        Acl::new(&policies, "")
    }

    #[test]
    fn the_most_specific_pattern_decides() {
        let table: [(Rules<'_>, &str, &str); 8] = [
            (&[("a/*", "deny"), ("a/b", "update")], "a/b", "update"),
            (&[("a/*", "update"), ("a/b/*", "deny")], "a/b/c", "deny"),
            (&[("a/+/c", "update")], "a/b/c", "update"),
            (&[("a/+/c", "update")], "a/b/d/c", "deny"),
            (&[("a/*", "read"), ("a/+/c", "update")], "a/b/c", "update"),
            (&[("a/+/c", "update"), ("a/b*", "read")], "a/b/c", "read"),
            (&[("a/b*", "read")], "a/bcd/e", "read"),
            (&[("a/keys", "list")], "a/keys/", "list"),
        ];
        for (rules, path, word) in table {
            assert_eq!(acl(&[rules]).words(path), [word], "{rules:?} on {path}");
        }
    }

    #[test]
    fn deny_wins_within_one_pattern_and_other_rules_add_up() {
        let both = acl(&[&[("a", "read")], &[("a", "update")]]);
        assert_eq!(both.words("a"), ["read", "update"]);
        let denied = acl(&[&[("a", "read")], &[("a", "deny")]]);
        assert!(!denied.allows("a", Capability::Read));
        assert!(Acl::root().allows("anything", Capability::Sudo));
    }

    #[test]
    fn rules_are_relative_to_their_namespace() {
        let policy = Policy::read("path \"a\" { capabilities = [\"read\"] }").unwrap();
        let acl = Acl::new([&policy], "ns1/");
        assert!(acl.allows("ns1/a", Capability::Read));
        assert!(!acl.allows("a", Capability::Read));
    }
}
