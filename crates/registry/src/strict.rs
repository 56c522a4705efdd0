//! A JSON reader that accepts one reading only: no unknown or repeated members, no floats,
//! nothing behind the value, and no list in the place of an object.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::verdict::Corruption;

/// Reads the one object that `bytes` hold. `T` must derive `deny_unknown_fields`.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8], limit: u64) -> Result<T, Corruption> {
    if bytes.is_empty() {
        return Err(Corruption::Empty);
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) {
        return Err(Corruption::TooLarge(limit));
    }
    serde_json::from_slice::<Object<T>>(bytes)
        .map(|object| object.0)
        .map_err(|error| {
            let text = error.to_string();
            if error.is_eof() {
                Corruption::CutOff(text)
            } else {
                Corruption::Json(text)
            }
        })
}

/// A struct that is read from an object. Derived readers also take a list of the values in
/// order, which is another file with the same meaning; this one does not.
#[derive(Debug, Clone)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}
