//! A manifest language of one line for tests: `pod NAMESPACE/NAME anything`. A `!` is a fault;
//! every beginning that has the name is a pod too, as with real manifests.

use std::path::Path;

use crate::view::{Decoder, Named};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Named for Plain {
    fn full_name(&self) -> String {
        self.name.clone()
    }
}

pub(crate) struct PlainDecoder;

fn one(text: &str) -> Result<Plain, String> {
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some("pod"), Some(name)) if name.contains('/') && !text.contains('!') => Ok(Plain {
            name: name.to_owned(),
            text: text.to_owned(),
        }),
        _ => Err(format!("no pod: {text:?}")),
    }
}

impl Decoder for PlainDecoder {
    type Pod = Plain;

    fn file(&self, _path: &Path, bytes: &[u8]) -> Result<Plain, String> {
        one(&String::from_utf8_lossy(bytes))
    }

    fn list(&self, _url: &str, bytes: &[u8]) -> Result<Vec<Plain>, String> {
        match String::from_utf8_lossy(bytes).trim() {
            "items: []" => Ok(Vec::new()),
            text => text.lines().map(one).collect(),
        }
    }
}
