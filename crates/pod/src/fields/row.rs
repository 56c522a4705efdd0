//! What the table of fields is made of.

/// What happens to a field that a manifest sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It has the effect that it has under a kubelet.
    Supported,
    /// A manifest that sets it is refused: it names an object of an API server, and there is none.
    Reference,
    /// A manifest that sets it is refused: leaving it out silently would be worse.
    Refused,
    /// It has no effect, and a warning says so. With all that is in it.
    Ignored,
}

/// One field of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// As in a manifest.
    pub field: &'static str,
    /// What happens to it.
    pub verdict: Verdict,
    /// Why, or what to know; for a person, without a full stop.
    pub why: &'static str,
}

/// An object of the API and all of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object {
    /// As in the API's reference.
    pub name: &'static str,
    /// One for each field.
    pub rows: &'static [Row],
}

pub(super) const fn yes(field: &'static str, why: &'static str) -> Row {
    Row {
        field,
        verdict: Verdict::Supported,
        why,
    }
}

pub(super) const fn reference(field: &'static str, why: &'static str) -> Row {
    Row {
        field,
        verdict: Verdict::Reference,
        why,
    }
}

pub(super) const fn no(field: &'static str, why: &'static str) -> Row {
    Row {
        field,
        verdict: Verdict::Refused,
        why,
    }
}

pub(super) const fn void(field: &'static str, why: &'static str) -> Row {
    Row {
        field,
        verdict: Verdict::Ignored,
        why,
    }
}
