//! JSON exactly as Go's encoding/json writes it with HTML escaping on.
//!
//! Hashes and AAD are taken over these bytes, and nodes that run the Go program must get
//! the same ones: member order, spacing and escapes are frozen.

/// A value to write. Members keep their order; nothing sorts or drops them.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Integer(i128),
    List(Vec<Self>),
    Object(Vec<(&'static str, Self)>),
}

impl Value<'_> {
    /// Without any white space: the form that is hashed.
    pub(crate) fn compact(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, None);
        out
    }

    /// With two spaces per level and a final newline: the form of files.
    pub(crate) fn indented(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, Some(0));
        out.push('\n');
        out
    }

    fn write(&self, out: &mut String, level: Option<usize>) {
        match self {
            Self::Text(text) => quote(text, out),
            Self::Integer(number) => out.push_str(&number.to_string()),
            Self::List(items) => block(out, level, ('[', ']'), items, |item, out, level| {
                item.write(out, level);
            }),
            Self::Object(members) => {
                block(
                    out,
                    level,
                    ('{', '}'),
                    members,
                    |(name, value), out, level| {
                        quote(name, out);
                        out.push_str(if level.is_some() { ": " } else { ":" });
                        value.write(out, level);
                    },
                );
            }
        }
    }
}

/// Writes the brackets, commas and indentation of a list or an object.
fn block<T>(
    out: &mut String,
    level: Option<usize>,
    (open, close): (char, char),
    items: &[T],
    mut write: impl FnMut(&T, &mut String, Option<usize>),
) {
    let inner = level.map(|level| level + 1);
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        new_line(out, inner);
        write(item, out, inner);
    }
    if !items.is_empty() {
        new_line(out, level);
    }
    out.push(close);
}

fn new_line(out: &mut String, level: Option<usize>) {
    if let Some(level) = level {
        out.push('\n');
        for _ in 0..level {
            out.push_str("  ");
        }
    }
}

/// Appends `text` as a JSON string, quotes included.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Value;

    fn compact(text: &str) -> String {
        Value::Text(text).compact()
    }

    #[test]
    fn every_escape_has_the_form_that_go_gives_it() {
        let table = [
            ("plain", r#""plain""#),
            ("\"\\", r#""\"\\""#),
            ("\n\r\t\u{8}\u{c}", r#""\n\r\t\b\f""#),
            ("\0\u{1}\u{b}\u{1f}", r#""\u0000\u0001\u000b\u001f""#),
            ("<a>&", r#""\u003ca\u003e\u0026""#),
            ("\u{2028}\u{2029}", r#""\u2028\u2029""#),
            ("/'\u{7f}é集\u{1f511}", "\"/'\u{7f}é集\u{1f511}\""),
        ];
        for (text, expected) in table {
            assert_eq!(compact(text), expected);
        }
    }

    #[test]
    fn members_keep_their_order_and_indentation_is_two_spaces() {
        let value = Value::Object(vec![
            ("z", Value::Integer(-1)),
            (
                "a",
                Value::List(vec![Value::Object(vec![("k", Value::Text("v"))])]),
            ),
            ("empty", Value::List(Vec::new())),
        ]);
        assert_eq!(value.compact(), r#"{"z":-1,"a":[{"k":"v"}],"empty":[]}"#);
        let lines = [
            "{",
            "  \"z\": -1,",
            "  \"a\": [",
            "    {",
            "      \"k\": \"v\"",
            "    }",
            "  ],",
            "  \"empty\": []",
            "}",
            "",
        ];
        assert_eq!(value.indented(), lines.join("\n"));
    }

    proptest! {
        #[test]
        fn plain_ascii_is_written_as_serde_writes_it(text in "[ -~&&[^<>&]]{0,64}") {
            prop_assert_eq!(compact(&text), serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn whatever_is_written_reads_back_the_same(text in any::<String>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&compact(&text)).unwrap(), text);
        }
    }
}
