//! The Transit secrets engine: keys, and encryption under them.

mod batch;
mod crypto;
mod decrypt;
mod encrypt;
mod key;
mod manage;
mod routes;

use std::collections::BTreeMap;

pub(crate) use key::{Cipher, Key};
pub(crate) use routes::{handle, key_of_encrypt};

/// One mounted engine.
#[derive(Clone, Default)]
pub(crate) struct Mount {
    /// By name.
    pub(crate) keys: BTreeMap<String, Key>,
    /// Whether an encrypt may not make its key.
    pub(crate) disable_upsert: bool,
    /// Entries; 0: unlimited.
    cache_size: i64,
}
