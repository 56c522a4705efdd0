//! A server inside a test's own process.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use pace::{Clock, SystemClock};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use crate::control::{Control, ControlError, KeyConfig, StandbyChange, TokenFacts};
pub use crate::faults::{Action, ActiveFault, Fault, Holder, Listener, Matcher, When};
pub use crate::journal::Entry;
pub use crate::jwt::{Jwt, MintError, Signer};
pub use crate::server::ListenError;
pub use crate::setup::{Setup, SetupError};
pub use crate::tls::{SERVER_NAME, TlsError, TlsMode};
pub use crate::wire::{Connections, Ending, ListenerMode};
pub use crate::world::Audit;

use crate::control::Shared;
use crate::server::{bind, serve_control, serve_node};
use crate::setup::set_up;
use crate::state::Node;
use crate::tls::Authority;
use crate::wire::Wire;
use crate::world::World;

/// How a server starts.
pub struct Options {
    /// Where the active node listens; loopback only.
    pub listen: SocketAddr,
    /// Where the standby listens.
    pub standby_listen: SocketAddr,
    /// Where the control endpoint listens.
    pub control: SocketAddr,
    /// None: a bare server with a root token.
    pub setup: Option<Setup>,
    /// Where the time comes from.
    pub clock: Box<dyn Clock>,
    /// The key that signs JWTs, PKCS#8; none: a new one.
    pub signing_key: Option<Vec<u8>>,
}

impl Default for Options {
    fn default() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: any,
            standby_listen: any,
            control: any,
            setup: Some(Setup::default()),
            clock: Box::new(SystemClock::new()),
            signing_key: None,
        }
    }
}

impl Options {
    /// A bare server: no mounts, no policies but `default`, only the root token.
    #[must_use]
    pub fn virgin() -> Self {
        Self {
            setup: None,
            ..Self::default()
        }
    }
}

/// Why a server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Signing keys.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// The ready-made set-up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A JWT could not be made.
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// A running server. It stops when dropped, or by [`DevServer::stop`].
pub struct DevServer {
    address: String,
    standby_address: String,
    control_address: String,
    ca_pem: String,
    root_token: String,
    jwt: String,
    control: Control,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl DevServer {
    /// Starts a server on loopback; it is ready when this returns.
    ///
    /// # Errors
    /// An address that is no loopback address or taken, and whatever the set-up runs into.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let signer = match &options.signing_key {
            Some(der) => Signer::from_pkcs8(der)?,
            None => Signer::generate()?,
        };
        let (active, address) = bind(options.listen).await?;
        let (standby, standby_address) = bind(options.standby_listen).await?;
        let (steering, control_address) = bind(options.control).await?;
        let authority = Authority::throw_away()?;
        let ca_pem = authority.pem();
        let tls = authority.handshake(TlsMode::Good)?;
        let wires = (
            Wire::new(active, address, tls.clone()),
            Wire::new(standby, standby_address, tls),
        );
        let now = options.clock.now();
        let mut world = World::new(signer, now.wall);
        world.state.active_address = format!("https://{address}");
        world.standby_address = format!("https://{standby_address}");
        let target = options.setup.clone().unwrap_or_default();
        if let Some(setup) = &options.setup {
            set_up(&mut world, setup, now)?;
        }
        let jwt = world.signer.mint(&Jwt::default(), now.wall)?;
        let root_token = world.state.root_token.clone();
        let shared = Arc::new(Shared::new(world, options.clock, authority, wires));
        let control = Control::new(Arc::clone(&shared), &target.mount, &target.key);

        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for node in [Node::Active, Node::Standby] {
            tasks.spawn(serve_node(Arc::clone(&shared), node, stopped.clone()));
        }
        tasks.spawn(serve_control(steering, control.clone(), stopped));
        Ok(Self {
            address: format!("https://{address}"),
            standby_address: format!("https://{standby_address}"),
            control_address: format!("http://{control_address}"),
            ca_pem,
            root_token,
            jwt,
            control,
            stop,
            tasks,
        })
    }

    /// `https://127.0.0.1:PORT` of the active node.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `https://127.0.0.1:PORT` of the standby.
    #[must_use]
    pub fn standby_address(&self) -> &str {
        &self.standby_address
    }

    /// `http://127.0.0.1:PORT` of the control endpoint.
    #[must_use]
    pub fn control_address(&self) -> &str {
        &self.control_address
    }

    /// The name in the server's certificate.
    #[must_use]
    pub fn server_name(&self) -> &'static str {
        SERVER_NAME
    }

    /// PEM of the throw-away authority.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The token that may do everything.
    #[must_use]
    pub fn root_token(&self) -> &str {
        &self.root_token
    }

    /// A JWT that the role of the set-up accepts, for an hour from the start.
    #[must_use]
    pub fn jwt(&self) -> &str {
        &self.jwt
    }

    /// Makes any JWT.
    ///
    /// # Errors
    /// For an algorithm that has no signer here.
    pub fn mint(&self, jwt: &Jwt) -> Result<String, ControlError> {
        self.control.jwt_mint(jwt)
    }

    /// The handle that steers it.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Stops it and waits until every connection is closed.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Drop for DevServer {
    fn drop(&mut self) {
        self.control.shut();
    }
}
