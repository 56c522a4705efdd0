//! The configuration file: from YAML text to plain, checked values.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

pub(crate) mod raw;

mod schema;

mod overrides;
mod walk;

mod error;
mod settings;

mod values;

mod check;

mod load;

mod host;
mod print;
mod reference;

pub use error::{ConfigError, Faults};
pub use host::Host;
pub use load::{load, read};
pub use overrides::{Override, Overrides};
pub(crate) use print::yaml as to_yaml;
pub use reference::{json_schema, reference};
pub use settings::{
    Auth, AuthMethod, Bootstrap, Config, DebugCorrelation, Endpoint, Group, JwtFile, ListenAddress,
    LogFormat, LogLevel, Logging, OnTimeout, OpenBao, Rotation, Server, State, Status, Transit,
};

#[cfg(test)]
mod tests;
