//! The control operations: everything a test can do to a server.

mod http;
mod keys;
mod nodes;
mod shared;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

pub(crate) use http::handle;
pub use keys::KeyConfig;
pub(crate) use shared::Shared;
pub use tokens::TokenFacts;

use crate::faults::{ActiveFault, Fault};
use crate::journal::Entry;
use crate::jwt::{Jwt, MintError};
use crate::policy::Policy;
use crate::tls::TlsError;
use crate::world::Audit;

/// Why a control operation could not be done.
#[derive(Debug, Error)]
pub enum ControlError {
    /// There is no such key, mount or namespace.
    #[error("key '{key}' in mount '{mount}', namespace '{namespace}': no such key or mount")]
    NoKey {
        /// Path of the namespace.
        namespace: String,
        /// Path of the mount.
        mount: String,
        /// Name.
        key: String,
    },
    /// The key has no such version.
    #[error("key '{key}': no version {version}")]
    NoVersion {
        /// Name.
        key: String,
        /// What was asked for.
        version: i64,
    },
    /// There is no snapshot of that number.
    #[error("snapshot {0}: no such snapshot")]
    NoSnapshot(u64),
    /// There is no fault rule of that number.
    #[error("fault {0}: no such rule")]
    NoFault(u64),
    /// The policy text is wrong.
    #[error("policy '{name}': {reason}")]
    Policy {
        /// Its name.
        name: String,
        /// What and where.
        reason: String,
    },
    /// The JWT cannot be made.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// The request's body is not what the operation takes.
    #[error("request body: {0}")]
    Body(String),
    /// There is no token with that accessor.
    #[error("accessor '{0}': no such token")]
    NoToken(String),
    /// A node's port cannot be closed or opened.
    #[error("listener: {0}")]
    Port(#[from] std::io::Error),
    /// No certificate for that trouble.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nothing answers there.
    #[error("{0}: no such control operation, see CONTROL.md")]
    NoOperation(String),
}

/// What a change of the standby says; what is absent stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StandbyChange {
    /// Freezes what it serves by itself, or lets it catch up.
    pub lag: Option<bool>,
    /// Milliseconds after which a lag that begins now ends by itself.
    pub lag_ms: Option<u64>,
    /// Whether it serves reads by itself.
    pub reads: Option<bool>,
    /// Whether it forwards, or redirects.
    pub forward: Option<bool>,
    /// Whether it knows a leader.
    pub leader_known: Option<bool>,
}

/// The handle to a running server. Cheap to clone; no call waits.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
    target: keys::Target,
}

impl Control {
    pub(crate) fn new(shared: Arc<Shared>, mount: &str, key: &str) -> Self {
        Self {
            shared,
            target: keys::Target::new(mount, key),
        }
    }

    /// The server's Unix time.
    #[must_use]
    pub fn unix_now(&self) -> i64 {
        self.shared.now(&self.shared.world()).wall
    }

    /// Whether it has ever been initialised; if not, it is sealed too.
    pub fn initialized(&self, initialized: bool) {
        let mut world = self.shared.world();
        (world.state.initialized, world.state.sealed) = (initialized, !initialized);
    }

    /// Whether the audit device takes what the server tells it. Health does not depend on it.
    pub fn audit(&self, audit: Audit) {
        self.shared.world().audit = audit;
    }

    /// Seals the server.
    pub fn seal(&self) {
        self.shared.world().state.sealed = true;
    }

    /// Unseals the server.
    pub fn unseal(&self) {
        self.shared.world().state.sealed = false;
    }

    /// Remembers mounts, keys, policies and tokens; gives the snapshot's number.
    #[must_use]
    pub fn snapshot(&self) -> u64 {
        let mut world = self.shared.world();
        let id = world.snapshots.len() as u64 + 1;
        let snapshot = (world.state.namespaces.clone(), world.state.tokens.clone());
        world.snapshots.insert(id, snapshot);
        id
    }

    /// Goes back to a snapshot; with its tokens, or keeping those of today.
    ///
    /// # Errors
    /// When there is no such snapshot.
    pub fn restore(&self, id: u64, tokens: bool) -> Result<(), ControlError> {
        let mut world = self.shared.world();
        let (namespaces, old) = world
            .snapshots
            .get(&id)
            .cloned()
            .ok_or(ControlError::NoSnapshot(id))?;
        world.state.namespaces = namespaces;
        if tokens {
            world.state.tokens = old;
        }
        Ok(())
    }

    /// Writes a policy of the root namespace.
    ///
    /// # Errors
    /// When the text is no policy.
    pub fn policy_put(&self, name: &str, text: &str) -> Result<(), ControlError> {
        let policy = Policy::read(text).map_err(|error| ControlError::Policy {
            name: name.to_owned(),
            reason: error.to_string(),
        })?;
        if let Some(root) = self.shared.world().state.namespaces.get_mut("") {
            root.policies.insert(name.to_owned(), policy);
        }
        Ok(())
    }

    /// Removes a policy of the root namespace. Tokens keep its name, which grants nothing.
    pub fn policy_remove(&self, name: &str) {
        if let Some(root) = self.shared.world().state.namespaces.get_mut("") {
            root.policies.remove(name);
        }
    }

    /// Changes what the standby does.
    pub fn standby(&self, change: StandbyChange) {
        let mut world = self.shared.world();
        let mono = self.shared.now(&world).mono;
        match change.lag.or(change.lag_ms.map(|_| true)) {
            None => {}
            Some(true) => {
                let stale = world.state.namespaces.clone();
                world.standby.stale = Some(stale);
                world.standby.until = change.lag_ms.map(|ms| mono + Duration::from_millis(ms));
            }
            Some(false) => (world.standby.stale, world.standby.until) = (None, None),
        }
        let standby = &mut world.standby;
        standby.reads = change.reads.unwrap_or(standby.reads);
        standby.forward = change.forward.unwrap_or(standby.forward);
        standby.leader_known = change.leader_known.unwrap_or(standby.leader_known);
    }

    /// Freezes the standby as it is now, or lets it catch up.
    pub fn lag(&self, lag: bool) {
        self.standby(StandbyChange {
            lag: Some(lag),
            ..StandbyChange::default()
        });
    }

    /// Puts the server's wall clock so many seconds ahead of the machine's.
    pub fn clock_offset(&self, seconds: i64) {
        self.shared.world().clock_offset = seconds;
    }

    /// Advances the server's wall clock; gives the new offset.
    pub fn clock_advance(&self, seconds: i64) -> i64 {
        let mut world = self.shared.world();
        world.clock_offset = world.clock_offset.saturating_add(seconds);
        world.clock_offset
    }

    /// Makes a JWT.
    ///
    /// # Errors
    /// For an algorithm that has no signer here.
    pub fn jwt_mint(&self, jwt: &Jwt) -> Result<String, ControlError> {
        let mut world = self.shared.world();
        let now = self.shared.now(&world).wall;
        if jwt.algorithm == "RS256" && !jwt.foreign_key {
            let old = world.signer.public_pems()?;
            world.signer.add_rsa()?;
            let new = world.signer.public_pems()?;
            let mount = world
                .state
                .namespaces
                .get_mut("")
                .and_then(|root| root.jwt.get_mut("jwt/"));
            if let Some(config) = mount.and_then(|mount| mount.config.as_mut()) {
                config.replace_trust(&old, &new);
            }
        }
        Ok(world.signer.mint(jwt, now)?)
    }

    /// Signs JWTs with new keys from now on. `publish`: the jwt mount trusts these, and no others.
    ///
    /// # Errors
    /// When the library makes no key.
    pub fn jwt_new_key(&self, publish: bool) -> Result<(), ControlError> {
        let mut world = self.shared.world();
        world.signer = crate::jwt::Signer::generate()?;
        world.signer_generation += 1;
        let pems = world.signer.public_pems()?;
        let mount = world
            .state
            .namespaces
            .get_mut("")
            .and_then(|root| root.jwt.get_mut("jwt/"));
        if let (true, Some(config)) = (publish, mount.and_then(|mount| mount.config.as_mut())) {
            config.trust_only(&pems);
        }
        Ok(())
    }

    /// Grows with every new signing key.
    pub(crate) fn jwt_generation(&self) -> u64 {
        self.shared.world().signer_generation
    }

    /// The signing key, to be kept in a file.
    pub(crate) fn jwt_key_pkcs8(&self) -> Result<Vec<u8>, ControlError> {
        Ok(self.shared.world().signer.to_pkcs8()?)
    }

    /// Requests since the last reset, per operation.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.shared.world().journal.counts().clone()
    }

    /// Requests of one operation since the last reset.
    #[must_use]
    pub fn count(&self, operation: &str) -> u64 {
        self.shared
            .world()
            .journal
            .counts()
            .get(operation)
            .copied()
            .unwrap_or_default()
    }

    /// Forgets counts and request log.
    pub fn counts_reset(&self) {
        self.shared.world().journal.reset();
    }

    /// The newest requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Entry> {
        self.shared.world().journal.entries().cloned().collect()
    }

    /// Adds a fault rule; gives its number.
    pub fn fault(&self, rule: Fault) -> u64 {
        let mut world = self.shared.world();
        let mono = self.shared.now(&world).mono;
        world.faults.add(rule, mono)
    }

    /// All fault rules, spent ones included.
    #[must_use]
    pub fn faults(&self) -> Vec<ActiveFault> {
        self.shared.world().faults.list().to_vec()
    }

    /// Removes a fault rule.
    ///
    /// # Errors
    /// When there is none of that number.
    pub fn fault_remove(&self, id: u64) -> Result<(), ControlError> {
        if self.shared.world().faults.remove(id) {
            Ok(())
        } else {
            Err(ControlError::NoFault(id))
        }
    }

    /// Removes all fault rules.
    pub fn faults_clear(&self) {
        self.shared.world().faults.clear();
    }

    /// How things stand, as `GET /control/status` gives it.
    #[must_use]
    pub fn status(&self) -> Value {
        let world = self.shared.world();
        let mono = self.shared.now(&world).mono;
        let standby = &world.standby;
        let left = standby
            .until
            .map(|until| until.saturating_sub(mono).as_millis() as u64);
        json!({
            "sealed": world.state.sealed,
            "initialized": world.state.initialized,
            "audit": world.audit,
            "clock_offset_seconds": world.clock_offset,
            "standby": {
                "lag": standby.stale.is_some() && left != Some(0),
                "lag_ms_left": left,
                "reads": standby.reads,
                "forward": standby.forward,
                "leader_known": standby.leader_known,
            },
            "faults": world.faults.list().len(),
            "listeners": self.listeners(),
            "address": world.state.active_address,
            "standby_address": world.standby_address,
        })
    }
}
