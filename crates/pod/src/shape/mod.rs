//! Names and types of every field of a v1 Pod.

#[rustfmt::skip]
pub(crate) mod types;

/// An object of the API.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Type {
    /// As in the API's reference, for example `Container`.
    pub(crate) name: &'static str,
    /// By name as in a manifest, in alphabetical order.
    pub(crate) fields: &'static [(&'static str, Kind)],
}

/// What a field holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Switch,
    Int32,
    Int64,
    /// A number or a text such as `100m`.
    Quantity,
    /// A number or a name.
    IntOrText,
    List(&'static Kind),
    /// Keys are free.
    Map(&'static Kind),
    Object(&'static Type),
    /// Not looked into.
    Anything,
}

/// The root of everything.
pub(crate) use types::POD;

impl Type {
    pub(crate) fn field(&self, name: &str) -> Option<&'static Kind> {
        self.fields
            .iter()
            .find(|(field, _)| *field == name)
            .map(|(_, kind)| kind)
    }
}

impl Kind {
    /// The object in this field, through lists and maps.
    pub(crate) fn object(&'static self) -> Option<&'static Type> {
        match self {
            Self::Object(object) => Some(object),
            Self::List(inner) | Self::Map(inner) => inner.object(),
            _ => None,
        }
    }
}
