//! The forms that names and values have in the Kubernetes API.

/// At most 63 of `a-z 0-9 -`, beginning and ending with a letter or digit (RFC 1123).
pub(super) fn is_label(text: &str) -> bool {
    let edge = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

/// Labels joined by dots, at most 253 characters. As in the API, each may be longer than 63.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_unbounded_label)
}

fn is_unbounded_label(text: &str) -> bool {
    let edge = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

/// `name` or `prefix/name` as keys of labels and annotations have it.
pub(super) fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_name_part(name),
        None => is_name_part(text),
    }
}

/// The value of a label: empty, or the form of a name.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name_part(text)
}

fn is_name_part(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// The name of a port: at most 15 of `a-z 0-9 -`, one letter at least, no `--`, no `-` at an edge.
pub(super) fn is_port_name(text: &str) -> bool {
    text.len() <= 15
        && is_label(text)
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
        && !text.contains("--")
}

/// The name of an environment variable: printable ASCII without `=`.
pub(super) fn is_variable_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
}

/// The name of an HTTP header.
pub(super) fn is_header_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether one part of the path is `..`.
pub(super) fn steps_back(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

/// The name of a kernel parameter, with dots or slashes between its parts.
pub(super) fn is_sysctl(text: &str) -> bool {
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 253
        && text.split(['.', '/']).all(|part| {
            let bytes = part.as_bytes();
            bytes.first().is_some_and(|byte| edge(*byte))
                && bytes.last().is_some_and(|byte| edge(*byte))
                && bytes.iter().all(|byte| edge(*byte) || b"-_".contains(byte))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_forms_of_the_api() {
        let long = "a".repeat(63);
        let longer = "a".repeat(64);
        for (form, good, bad) in [
            (
                is_label as fn(&str) -> bool,
                vec!["a", "0", "a-b", "0a9", &long],
                vec!["", "-a", "a-", "A", "a.b", "a_b", "é", &longer],
            ),
            (
                is_subdomain,
                vec!["a", "a.b", "a-b.c0", &longer],
                vec!["", ".", "a.", ".a", "a..b", "A.b", "a_b"],
            ),
            (
                is_qualified_name,
                vec!["a", "A_b.c", "example.org/a", "a/B"],
                vec!["", "/a", "a/", "a/b/c", "A/b", "-a", "a b"],
            ),
            (is_label_value, vec!["", "a", "1.2"], vec![" ", "a/b", "-"]),
            (
                is_port_name,
                vec!["http", "a1", "probe-port", "abcdefghijklmno"],
                vec!["", "80", "a--b", "-a", "Http", "abcdefghijklmnop"],
            ),
            (
                is_variable_name,
                vec!["A", "a.b-c", "1", " "],
                vec!["", "A=B", "é", "a\tb"],
            ),
            (is_header_name, vec!["X-A", "Host"], vec!["", "a b", "a:b"]),
            (
                steps_back,
                vec!["..", "/a/../b", "a/.."],
                vec!["", "/", "/a", "a..b", "/..a"],
            ),
            (
                is_sysctl,
                vec!["net.ipv4.ip_forward", "kernel/shm-x"],
                vec!["", "net.", "Net.x", "a b", ".a"],
            ),
        ] {
            for text in good {
                assert!(form(text), "{text:?}");
            }
            for text in bad {
                assert!(!form(text), "{text:?}");
            }
        }
    }
}
