//! Every field of a v1 Pod: supported, refused or ignored, and why.
//!
//! One table for the reader and for the document: [`crate::read()`] refuses and warns by it, and
//! `docs/pod-fields.md` is written from it, so that they cannot differ. Nothing that limits what a
//! container may do is ignored: it has its effect, or the manifest is refused.

mod row;
mod containers;
mod document;
mod pods;
mod security;
mod volumes;

use crate::shape::{Kind, POD};

pub use document::document;
pub use row::{Object, Row, Verdict};

/// Every object that a supported field leads to, in the order of the document.
pub const OBJECTS: &[Object] = &[
    pods::POD,
    pods::METADATA,
    pods::SPEC,
    security::POD,
    containers::CONTAINER,
    security::CONTAINER,
    security::CAPABILITIES,
    security::SECCOMP,
    security::APP_ARMOR,
    security::SELINUX,
    security::SYSCTL,
    containers::RESOURCES,
    containers::PORT,
    containers::MOUNT,
    containers::ENV,
    containers::ENV_SOURCE,
    containers::ENV_FROM,
    containers::FIELD_REF,
    containers::RESOURCE_REF,
    containers::FILE_REF,
    containers::PROBE,
    containers::LIFECYCLE,
    containers::HANDLER,
    containers::EXEC,
    containers::HTTP,
    containers::HTTP_HEADER,
    containers::TCP,
    containers::GRPC,
    containers::SLEEP,
    containers::RESTART_RULE,
    containers::EXIT_CODES,
    volumes::VOLUME,
    volumes::HOST_PATH,
    volumes::EMPTY_DIR,
    volumes::DOWNWARD,
    volumes::DOWNWARD_FILE,
    volumes::PROJECTED,
    volumes::PROJECTION,
    volumes::DOWNWARD_PROJECTION,
    pods::DNS_CONFIG,
    pods::DNS_OPTION,
    pods::HOST_ALIAS,
    pods::OS,
];

/// The rows of an object by its name in the API's reference; nothing for what only an ignored or
/// refused field leads to.
#[must_use]
pub fn rows(object: &str) -> Option<&'static [Row]> {
    OBJECTS
        .iter()
        .find(|known| known.name == object)
        .map(|known| known.rows)
}

/// What happens to the field at a path such as `spec.volumes[0].secret`, or to one that it is in;
/// nothing where there is no such field.
#[must_use]
pub fn verdict(path: &str) -> Option<Verdict> {
    let mut depth = 0_usize;
    let plain: String = path
        .chars()
        .filter(|letter| match letter {
            '[' => {
                depth += 1;
                false
            }
            ']' => {
                depth = depth.saturating_sub(1);
                false
            }
            _ => depth == 0,
        })
        .collect();
    let plain = plain.strip_prefix("items.").unwrap_or(&plain);
    let mut object = Some(&POD);
    let mut verdict = None;
    for field in plain.split('.') {
        // Keys of a mapping are free.
        let Some(here) = object else {
            break;
        };
        let row = rows(here.name)?.iter().find(|row| row.field == field)?;
        verdict = Some(row.verdict);
        if row.verdict != Verdict::Supported {
            break;
        }
        object = here.field(field).and_then(Kind::object);
    }
    verdict
}

#[cfg(test)]
mod tests;
