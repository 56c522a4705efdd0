//! References to images: `registry:5000/path/name:tag@sha256:...`.

use thiserror::Error;

/// A reference, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Registry and path as written, without tag and digest.
    pub name: String,
    /// Without the colon.
    pub tag: Option<String>,
    /// `sha256:` and its digits.
    pub digest: Option<String>,
}

/// Why a text refers to no image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ImageError {
    /// Empty, too long, or with letters that names do not have.
    #[error("the image's name may hold lower-case letters, digits, and single separators . _ -")]
    Name,
    /// Letters, digits, `_`, `.` and `-`, at most 128, not beginning with `.` or `-`.
    #[error("the image's tag is no tag")]
    Tag,
    /// An algorithm, a colon, and at least 32 hexadecimal digits; 64 of sha256.
    #[error("the image's digest is no digest")]
    Digest,
}

/// The longest name, without tag and digest.
const LONGEST_NAME: usize = 255;

impl std::str::FromStr for Reference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(ImageError::Digest);
        }
        // A colon before the last slash belongs to a port.
        let path_begins = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest.get(path_begins..).and_then(|last| last.find(':')) {
            Some(at) => {
                let (name, tag) = rest.split_at(path_begins + at);
                (name, tag.strip_prefix(':'))
            }
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ImageError::Tag);
        }
        if !is_name(name) {
            return Err(ImageError::Name);
        }
        Ok(Self {
            name: name.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }
}

impl Reference {
    /// Whether what it names may change from pull to pull: `latest`, or neither tag nor digest.
    #[must_use]
    pub fn is_latest(&self) -> bool {
        self.digest.is_none() && self.tag.as_deref().is_none_or(|tag| tag == "latest")
    }

    /// What a runtime is asked for: `latest` where there is neither tag nor digest.
    #[must_use]
    pub fn for_pull(&self) -> String {
        let tag = match (&self.tag, &self.digest) {
            (Some(tag), _) => format!(":{tag}"),
            (None, None) => ":latest".to_owned(),
            (None, Some(_)) => String::new(),
        };
        let digest = self
            .digest
            .as_ref()
            .map(|digest| format!("@{digest}"))
            .unwrap_or_default();
        format!("{}{tag}{digest}", self.name)
    }
}

fn is_name(name: &str) -> bool {
    let bare_id = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if name.is_empty() || name.len() > LONGEST_NAME || bare_id {
        return false;
    }
    let path = match name.split_once('/') {
        Some((first, rest)) if is_registry(first) => {
            if !is_host(first) {
                return false;
            }
            rest
        }
        _ => name,
    };
    path.split('/').all(is_component)
}

/// The first part of a name is a registry when no part of a path could look like it.
fn is_registry(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':'])
        || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            let valid = !address.is_empty()
                && address
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit() || byte == b':');
            if !valid {
                return false;
            }
            (
                "address",
                port.strip_prefix(':').or(port.is_empty().then_some("0")),
            )
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, Some("0")),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(label)
        && port
            .is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Lower-case letters and digits, separated by one `.`, one or two `_`, or any number of `-`.
fn is_component(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(|byte| plain(*byte));
    ends(bytes.first())
        && ends(bytes.last())
        && bytes
            .split(|byte| plain(*byte))
            .filter(|separator| !separator.is_empty())
            .all(|separator| {
                matches!(separator, b"." | b"_" | b"__")
                    || separator.iter().all(|byte| *byte == b'-')
            })
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&tag.len())
        && tag
            .bytes()
            .all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
        && tag.bytes().next().is_some_and(word)
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, digits)) = digest.split_once(':') else {
        return false;
    };
    let known = algorithm.split(['+', '.', '-', '_']).all(|part| {
        part.bytes()
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    let length = match algorithm {
        "sha256" => digits.len() == 64,
        "sha512" => digits.len() == 128,
        _ => digits.len() >= 32,
    };
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    known && length && digits.bytes().all(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> String {
        format!("sha256:{}", "0a".repeat(32))
    }

    #[test]
    fn references_are_taken_apart() {
        let digest = digest();
        let pinned = format!("registry.example:5000/a/b_c/d--e:1.2@{digest}");
        let pinned_only = format!("web@{digest}");
        for (text, name, tag, with_digest, pulled) in [
            ("web", "web", None, false, "web:latest"),
            ("web:1", "web", Some("1"), false, "web:1"),
            (
                "localhost/web",
                "localhost/web",
                None,
                false,
                "localhost/web:latest",
            ),
            (
                "localhost:5000/web",
                "localhost:5000/web",
                None,
                false,
                "localhost:5000/web:latest",
            ),
            (
                "Registry/web:V_1",
                "Registry/web",
                Some("V_1"),
                false,
                "Registry/web:V_1",
            ),
            (
                "[::1]:5000/web:1",
                "[::1]:5000/web",
                Some("1"),
                false,
                "[::1]:5000/web:1",
            ),
            (
                &pinned,
                "registry.example:5000/a/b_c/d--e",
                Some("1.2"),
                true,
                &pinned,
            ),
            (&pinned_only, "web", None, true, &pinned_only),
        ] {
            let reference: Reference = text.parse().unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(reference.name, name, "{text}");
            assert_eq!(reference.tag.as_deref(), tag, "{text}");
            assert_eq!(reference.digest.is_some(), with_digest, "{text}");
            assert_eq!(reference.for_pull(), pulled, "{text}");
        }
    }

    #[test]
    fn what_names_no_image_is_refused() {
        let long = "a".repeat(256);
        let id = "ab".repeat(32);
        for name in [
            "", "Web", "a//b", "/a", "a/", "-a", "a-", "a..b", "a___b", "a.-b", "a b", "é", ":1",
            "host:/a", "host:x/a", ".host/a", "[::1/a", "[::1]x/a", &long, &id,
        ] {
            assert_eq!(name.parse::<Reference>(), Err(ImageError::Name), "{name}");
        }
        for tag in ["a:", "a:.x", "a:-x", "a:x y", "a:b:c", &format!("a:{long}")] {
            assert_eq!(tag.parse::<Reference>(), Err(ImageError::Tag), "{tag}");
        }
        for digest in [
            "a@",
            "a@sha256",
            "a@sha256:",
            "a@sha256:0a",
            "a@1:00",
            "a@b@c",
        ] {
            assert_eq!(
                digest.parse::<Reference>(),
                Err(ImageError::Digest),
                "{digest}"
            );
        }
        let shouted = format!("a@{}", digest().to_uppercase());
        assert_eq!(shouted.parse::<Reference>(), Err(ImageError::Digest));
    }

    #[test]
    fn latest_is_what_may_change() {
        let pinned = format!("web:latest@{}", digest());
        for (text, latest) in [
            ("web", true),
            ("web:latest", true),
            ("web:1", false),
            (pinned.as_str(), false),
        ] {
            assert_eq!(
                text.parse::<Reference>().map(|found| found.is_latest()),
                Ok(latest)
            );
        }
    }
}
