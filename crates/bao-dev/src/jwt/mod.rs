//! The jwt auth method with static keys: its configuration, its roles, a login.

mod claims;
mod config;
mod jws;
mod login;
mod mint;
mod role;
mod routes;

use std::collections::BTreeMap;

pub(crate) use claims::glob;
pub(crate) use config::Config;
pub(crate) use login::{Place, login};
pub use mint::Jwt;
pub use mint::MintError;
pub use mint::Signer;
pub(crate) use mint::{AUDIENCE, ISSUER, SUBJECT};
pub(crate) use role::Role;
pub(crate) use routes::handle;

/// One mounted jwt auth method.
#[derive(Clone, Default)]
pub(crate) struct Mount {
    /// None until configured.
    pub(crate) config: Option<Config>,
    /// By lower-case name.
    pub(crate) roles: BTreeMap<String, Role>,
}
