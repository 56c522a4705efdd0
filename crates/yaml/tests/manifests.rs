//! The dialect of manifests: what it reads, what it refuses, and that nothing breaks it.

use proptest::prelude::*;
use yaml::{
    fault::Fault,
    source::{Place, Source},
    tree::{Kind, Node, read_manifest},
};

fn read(text: &str) -> (Option<Node>, Vec<Fault>) {
    let mut faults = Vec::new();
    let root = read_manifest(&Source::new("/m", text), &mut faults);
    (root, faults)
}

/// The tree without places, in a short notation; plain scalars bare, others in quotes.
fn shown(node: &Node) -> String {
    match &node.kind {
        Kind::Null => "null".into(),
        Kind::Broken => "?".into(),
        Kind::Scalar { text, plain: true } => text.clone(),
        Kind::Scalar { text, plain: false } => format!("{text:?}"),
        Kind::List(items) => format!(
            "[{}]",
            items.iter().map(shown).collect::<Vec<_>>().join(",")
        ),
        Kind::Map(entries) => format!(
            "{{{}}}",
            entries
                .iter()
                .map(|entry| format!("{}:{}", entry.key, shown(&entry.value)))
                .collect::<Vec<_>>()
                .join(",")
        ),
    }
}

fn sound(text: &str) -> String {
    let (root, faults) = read(text);
    assert_eq!(faults, [], "{text}");
    root.as_ref().map(shown).unwrap_or_default()
}

fn first_fault(text: &str) -> String {
    let (_, faults) = read(text);
    let fault = faults.first().unwrap_or_else(|| panic!("{text}"));
    match &fault.place {
        Place::Text(spot) => format!("{}:{}: {}", spot.line, spot.column, fault.message),
        _ => fault.message.clone(),
    }
}

#[test]
fn anchors_aliases_and_merge_keys_are_written_out() {
    for (text, tree) in [
        ("a: &x 1\nb: *x\n", "{a:1,b:1}"),
        ("a: &x [1, 2]\nb: *x\n", "{a:[1,2],b:[1,2]}"),
        ("a: &x {p: 1}\nb: {<<: *x, q: 2}\n", "{a:{p:1},b:{q:2,p:1}}"),
        ("a: &x {p: 1}\nb: {<<: *x, p: 2}\n", "{a:{p:1},b:{p:2}}"),
        (
            "a: &x {p: 1}\nb: &y {p: 2, q: 2}\nc: {<<: [*x, *y]}\n",
            "{a:{p:1},b:{p:2,q:2},c:{p:1,q:2}}",
        ),
        (
            "a: &x {p: 1}\nb: &y {<<: *x, q: 2}\nc: {<<: *y}\n",
            "{a:{p:1},b:{q:2,p:1},c:{q:2,p:1}}",
        ),
        ("a: {\"<<\": 1}\n", "{a:{<<:1}}"),
        ("a: &x 1\nb: &x 2\nc: *x\n", "{a:1,b:2,c:2}"),
        ("*x : 1\n", ""),
    ] {
        if tree.is_empty() {
            assert_eq!(
                first_fault(text),
                "1:1: is an alias (*name) of nothing that stands before it"
            );
        } else {
            assert_eq!(sound(text), tree, "{text}");
        }
    }
}

#[test]
fn a_value_from_an_alias_is_shown_where_it_was_written() {
    let (root, _) = read("a: &x\n  p: 1\nb: *x\n");
    let Some(Kind::Map(entries)) = root.map(|root| root.kind) else {
        panic!("no mapping")
    };
    let Kind::Map(inner) = &entries[1].value.kind else {
        panic!("no mapping")
    };
    assert!(matches!(&inner[0].value.place, Place::Text(spot) if spot.line == 2));
}

#[test]
fn bombs_of_aliases_end_in_a_fault() {
    let mut lists = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let before = format!("*a{}, ", level - 1).repeat(9);
        lists.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    assert!(
        first_fault(&lists).contains("repeats more by aliases"),
        "{}",
        first_fault(&lists)
    );

    let long = "x".repeat(900_000);
    let texts = format!("a: &a {long}\nb: [*a, *a, *a, *a]\n");
    assert!(first_fault(&texts).contains("repeats more by aliases"));

    let mut deep = "a0: &a0 [x]\n".to_owned();
    for level in 1..80 {
        deep.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(
        first_fault(&deep).contains("too many levels"),
        "{}",
        first_fault(&deep)
    );
}

#[test]
fn what_readers_would_read_differently_is_refused() {
    for (text, message) in [
        (
            "a: &x [*x]\n",
            "1:8: is an alias (*name) of nothing that stands before it",
        ),
        (
            "a: *x\n",
            "1:4: is an alias (*name) of nothing that stands before it",
        ),
        ("a: {<<: 1}\n", "1:9: is merged (<<) and no mapping"),
        ("a: {<<: [1]}\n", "1:10: is merged (<<) and no mapping"),
        (
            "x: &x {p: 1}\na: {p: 2, <<: *x}\n",
            "2:5: is set before a merge (<<) that sets it, too: readers differ on which of the two counts",
        ),
        (
            "x: &x {p: 1}\na: {<<: *x, <<: *x}\n",
            "2:13: merges (<<) twice in one mapping",
        ),
        (
            "a: !!int 1\n",
            "1:10: has a tag (!name) that a manifest cannot have",
        ),
        (
            "a: !x\n  b: 1\n",
            "2:3: has a tag (!name) that a manifest cannot have",
        ),
        ("1.5: a\n", "1:1: has a key that is a number"),
        ("? [a]\n: b\n", "1:3: has a key that is no text"),
        ("a: 1\n---\nb: 2\n", "3:1: starts a second document"),
        (
            "a: 1\n---\nb: 2\n---\nc: 2\n",
            "3:1: starts a second document",
        ),
        (
            "a: 1\n\tb: 2\n",
            "1:4: is no valid YAML here: while scanning a plain scalar, found a tab",
        ),
    ] {
        assert!(
            first_fault(text).starts_with(message),
            "{text}: {}",
            first_fault(text)
        );
    }
}

#[test]
fn one_document_is_found_among_empty_ones() {
    for text in [
        "a: 1",
        "---\na: 1\n",
        "# before\n---\na: 1\n---\n",
        "a: 1\n...\n",
        "a: 1\n---\n# after\n---\n",
        "---\n---\na: 1\n",
        "%YAML 1.1\n---\na: 1\n",
        "\u{feff}a: 1\n",
        "a: 1\r\n",
    ] {
        assert_eq!(sound(text), "{a:1}", "{text}");
    }
    for empty in ["", "# nothing\n", "---\n", "---\n...\n", "null\n", "~"] {
        assert_eq!(sound(empty), "", "{empty}");
    }
}

#[test]
fn keys_without_quotes_are_typed_and_written_out() {
    assert_eq!(
        sound("yes: a\n010: b\n\"yes\": c\n!!str 1: d\n"),
        "{true:a,8:b,yes:c,1:d}"
    );
    assert_eq!(
        sound("a: !!str 1\nb: !!map {}\nc: !!seq []\nd: ! 5\n"),
        "{a:\"1\",b:{},c:[],d:\"5\"}"
    );
}

#[test]
fn json_is_read_as_json() {
    for (text, tree) in [
        ("{}", "{}"),
        (
            " \n{\"a\": [1, -0.5e+3, true, false, null, []]}\n",
            "{a:[1,-0.5e+3,true,false,null,[]]}",
        ),
        (
            r#"{"a": "\"\\\/\b\f\n\r\tA\ud83d\ude00"}"#,
            "{a:\"\\\"\\\\/\\u{8}\\u{c}\\n\\r\\tA😀\"}",
        ),
        ("{\"a\": \"yes\", \"a\": 2}", "{a:\"yes\",a:2}"),
        ("{\"<<\": \"*x\"}", "{<<:\"*x\"}"),
    ] {
        assert_eq!(sound(text), tree, "{text}");
    }
}

#[test]
fn what_is_no_json_is_named_with_its_place() {
    for (text, message) in [
        (
            "{",
            "1:2: is no valid JSON here: expected a key in double quotes",
        ),
        (
            "{a: 1}",
            "1:2: is no valid JSON here: expected a key in double quotes",
        ),
        ("{\"a\" 1}", "1:6: is no valid JSON here: expected ':'"),
        ("{\"a\": }", "1:7: is no valid JSON here: expected a value"),
        (
            "{\"a\": 1,}",
            "1:9: is no valid JSON here: expected a key in double quotes",
        ),
        (
            "{\"a\": [1 2]}",
            "1:10: is no valid JSON here: expected ',' or ']'",
        ),
        (
            "{\"a\": 1\n \"b\": 2}",
            "2:2: is no valid JSON here: expected ',' or '}'",
        ),
        (
            "{\"a\": 1",
            "1:8: is no valid JSON here: the text ends in the middle",
        ),
        (
            "{\"a\": \"x",
            "1:9: is no valid JSON here: the text ends within quotes",
        ),
        (
            "{\"a\": \"x\n\"}",
            "1:9: is no valid JSON here: a control character within quotes",
        ),
        (
            "{\"a\": \"\\x\"}",
            "1:9: is no valid JSON here: an unknown escape",
        ),
        (
            "{\"a\": \"\\ud83d\"}",
            "1:14: is no valid JSON here: half of a surrogate pair",
        ),
        (
            "{\"a\": \"\\ude00\"}",
            "1:14: is no valid JSON here: half of a surrogate pair",
        ),
        (
            "{\"a\": \"\\ud83d\\u0041\"}",
            "1:20: is no valid JSON here: half of a surrogate pair",
        ),
        (
            "{\"a\": \"\\u12g4\"}",
            "1:12: is no valid JSON here: expected four hexadecimal digits",
        ),
        (
            "{\"a\": 01}",
            "1:9: is no valid JSON here: no number that JSON knows",
        ),
        (
            "{\"a\": 1.}",
            "1:9: is no valid JSON here: no number that JSON knows",
        ),
        (
            "{\"a\": 1e999}",
            "1:12: is no valid JSON here: no number that JSON knows",
        ),
        (
            "{\"a\": yes}",
            "1:10: is no valid JSON here: expected a value; texts stand in double quotes",
        ),
        (
            "{} {}",
            "1:4: is no valid JSON here: text after the end of the document",
        ),
        (
            "{}\n---\n{}",
            "2:1: is no valid JSON here: text after the end of the document",
        ),
    ] {
        assert_eq!(first_fault(text), message, "{text}");
    }
    let deep = format!("{{\"a\": {}", "[".repeat(100_000));
    assert!(first_fault(&deep).ends_with("too many levels"));
}

#[test]
fn hostile_sizes_end_early() {
    for text in [
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "-\n".repeat(500_000),
        "---\na\n".repeat(10_000),
        "? []\n: b\n".repeat(10_000),
        format!("{{\"a\": [{}1]}}", "1,".repeat(400_001)),
    ] {
        let (_, faults) = read(&text);
        assert!(
            !faults.is_empty() && faults.len() <= 1_001,
            "{}",
            faults.len()
        );
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in "[-a-c0{}\\[\\]:,&*!<>|\"'\\\\?%#~ \t\r\n.u\u{feff}é]{0,80}") {
        let _ = read(&text);
        let _ = read(&format!("{{\"a\": {text}"));
    }

    #[test]
    fn any_text_comes_back_from_json(texts in proptest::collection::vec(any::<String>(), 0..8)) {
        let quoted: Vec<String> = texts.iter().map(|text| {
            let units: Vec<u16> = text.encode_utf16().collect();
            units.iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>()
        }).map(|text| format!("\"{text}\"")).collect();
        let (root, faults) = read(&format!("{{\"a\": [{}]}}", quoted.join(", ")));
        prop_assert_eq!(faults, []);
        let Some(Kind::Map(entries)) = root.map(|root| root.kind) else {
            return Err(TestCaseError::fail("no mapping"));
        };
        let Kind::List(items) = &entries[0].value.kind else {
            return Err(TestCaseError::fail("no list"));
        };
        let back: Vec<Kind> = items.iter().map(|item| item.kind.clone()).collect();
        let sent: Vec<Kind> = texts.into_iter().map(|text| Kind::Scalar { text, plain: false }).collect();
        prop_assert_eq!(back, sent);
    }
}
