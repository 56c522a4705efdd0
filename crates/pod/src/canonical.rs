//! The canonical form of a manifest and the hashes over it.
//!
//! The form is the JSON of everything that the manifest says, typed by the API, without
//! whitespace, keys sorted by their bytes, and without what is `null`. It knows neither defaults,
//! nor the node, nor the version of this program, so that an upgrade restarts nothing. A hash is
//! the first half of SHA-256, in 32 lower-case hexadecimal digits:
//!
//! - revision: over `staticpodd revision 1`, a zero byte, and the form;
//! - uid, unless the manifest names one: over `staticpodd uid 1`, a zero byte, `file` or `http`,
//!   a zero byte, the path or URL, a zero byte, and the form.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::identity::Origin;

const DIGITS: usize = 32;

/// The canonical form.
pub(crate) fn form(content: &Value) -> String {
    let mut text = String::new();
    write(&mut text, content);
    text
}

pub(crate) fn revision(form: &str) -> String {
    digest(&["staticpodd revision 1", form])
}

pub(crate) fn uid(form: &str, origin: &Origin) -> String {
    let place = match origin {
        Origin::File(path) => path,
        Origin::Url(url) => url,
    };
    digest(&["staticpodd uid 1", origin.source(), place, form])
}

fn digest(parts: &[&str]) -> String {
    let hash = Sha256::digest(parts.join("\0"));
    let mut text = String::with_capacity(2 * DIGITS);
    for byte in hash {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.truncate(DIGITS);
    text
}

fn write(text: &mut String, value: &Value) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .collect();
            fields.sort_by_key(|(name, _)| name.as_bytes());
            text.push('{');
            for (at, (name, value)) in fields.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                let _ = write!(text, "{}:", Value::from(name.as_str()));
                write(text, value);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write(text, item);
            }
            text.push(']');
        }
        scalar => {
            let _ = write!(text, "{scalar}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_form_is_sorted_and_bare() {
        let content = json!({"b": [1, null, true], "a": {"é": "\n\"", "z": null}, "B": ""});
        assert_eq!(
            form(&content),
            r#"{"B":"","a":{"é":"\n\""},"b":[1,null,true]}"#
        );
    }

    /// These values are on disks and in runtimes: a change here restarts every pod of every node.
    #[test]
    fn the_hashes_never_change() {
        let form = form(&json!({"metadata": {"name": "web"}}));
        let file = Origin::File("/etc/kubernetes/manifests/web.yaml".into());
        let url = Origin::Url("https://example.org/pods".into());
        assert_eq!(revision(&form), "85e4856c517b9e635963299d6ed477b9");
        assert_eq!(uid(&form, &file), "c095675fe42852cfede11674c12bd4e6");
        assert_eq!(uid(&form, &url), "fe2bda045df7145c51888ad0411e87b2");
    }

    #[test]
    fn a_path_and_a_url_of_the_same_text_are_different_sources() {
        let (file, url) = (Origin::File("/a".into()), Origin::Url("/a".into()));
        assert_ne!(uid("{}", &file), uid("{}", &url));
        assert_ne!(uid("{}", &file), uid("{}", &Origin::File("/b".into())));
    }
}
