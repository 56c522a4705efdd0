//! Where two sets of facts differ.

use std::collections::BTreeSet;

use serde_json::Value;

/// One place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Difference {
    /// `plain: containers/main.0/asked/envs`.
    pub(crate) place: String,
    pub(crate) kubelet: Option<Value>,
    pub(crate) ours: Option<Value>,
}

/// All places, in order. Lists are one thing, objects are looked into.
pub(crate) fn differences(kubelet: &Value, ours: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    descend("", Some(kubelet), Some(ours), &mut found);
    found
}

fn descend(
    place: &str,
    kubelet: Option<&Value>,
    ours: Option<&Value>,
    found: &mut Vec<Difference>,
) {
    if kubelet == ours {
        return;
    }
    if let (Some(Value::Object(theirs)), Some(Value::Object(own))) = (kubelet, ours) {
        let keys: BTreeSet<&String> = theirs.keys().chain(own.keys()).collect();
        for key in keys {
            let below = match place {
                "" => format!("{key}:"),
                place if place.ends_with(':') => format!("{place} {key}"),
                place => format!("{place} > {key}"),
            };
            descend(&below, theirs.get(key), own.get(key), found);
        }
        return;
    }
    found.push(Difference {
        place: place.to_owned(),
        kubelet: kubelet.cloned(),
        ours: ours.cloned(),
    });
}

/// Whether the place is one that the pattern stands for; `*` is any text.
pub(crate) fn is_at(place: &str, pattern: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return place == pattern;
    };
    let Some(mut left) = place.strip_prefix(first) else {
        return false;
    };
    let Some((middle, last)) = rest.rsplit_once('*') else {
        return left.ends_with(rest);
    };
    for part in middle.split('*') {
        let Some(at) = left.find(part) else {
            return false;
        };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_place_that_differs_is_told_once() {
        let theirs = json!({"a": {"same": 1, "other": [1, 2], "gone": {"x": 1}}});
        let own = json!({"a": {"same": 1, "other": [2, 1]}, "b": {}});
        let places: Vec<String> = differences(&theirs, &own)
            .into_iter()
            .map(|difference| difference.place)
            .collect();
        assert_eq!(places, ["a: gone", "a: other", "b:"]);
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (place, pattern, expected) in [
            ("a: b", "a: b", true),
            ("a: b > c", "a: b", false),
            ("a: b > c", "a: *", true),
            ("a: b > c", "*: b > c", true),
            ("a: b > c > d", "a: * > c > *", true),
            ("a: b > c > d", "*: *x*", false),
            ("a: b", "*a: b > *", false),
        ] {
            assert_eq!(is_at(place, pattern), expected, "{place} {pattern}");
        }
    }
}
