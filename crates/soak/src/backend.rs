//! The backend, and how each kind of weather is made on it.

use std::{io, path::PathBuf};

use bao_dev::testing::{
    Action, Audit, Control, DevServer, Ending, Fault, Jwt, KeyConfig, Listener, ListenerMode,
    Options, Setup, StandbyChange, TlsMode, When,
};
use fastrand::Rng;

use crate::weather::Kind;

const LOGIN: &str = "/v1/auth/jwt/login";
const DATA: [&str; 2] = ["/v1/transit/encrypt/*", "/v1/transit/decrypt/*"];
/// Longer than any run.
const JWT_LIFETIME: i64 = 30 * 86_400;

/// OpenBao as far as the soak needs it, in this process.
pub(crate) struct Backend {
    server: DevServer,
    setup: Setup,
    token_file: PathBuf,
    rules: Vec<u64>,
    snapshot: Option<u64>,
    clock_offset: i64,
}

impl Backend {
    /// Starts it; tokens live so short that logins and renewals are part of every run. The
    /// CA and the JWT are written into `home`.
    pub(crate) async fn start(home: &std::path::Path) -> io::Result<Self> {
        let setup = Setup {
            token_ttl: 60,
            token_max_ttl: 300,
            ..Setup::default()
        };
        let options = Options {
            setup: Some(setup.clone()),
            ..Options::default()
        };
        let server = DevServer::start(options).await.map_err(io::Error::other)?;
        let ca = server.ca_pem().as_bytes();
        bao_dev::up::write(&home.join("ca.crt"), ca, 0o644).map_err(io::Error::other)?;
        let backend = Self {
            server,
            setup,
            token_file: home.join("token"),
            rules: Vec::new(),
            snapshot: None,
            clock_offset: 0,
        };
        backend.write_jwt()?;
        Ok(backend)
    }

    /// Active node and standby.
    pub(crate) fn addresses(&self) -> [&str; 2] {
        [self.server.address(), self.server.standby_address()]
    }

    /// The name in its certificate.
    pub(crate) fn server_name(&self) -> &'static str {
        self.server.server_name()
    }

    /// Its control.
    pub(crate) fn control(&self) -> &Control {
        self.server.control()
    }

    /// Adds a version to the key.
    pub(crate) fn rotate(&self) -> io::Result<i64> {
        self.control().rotate().map_err(io::Error::other)
    }

    /// Writes a new JWT, as whoever issues them does in time. It comes from the future for
    /// neither clock: the providers refuse to send one that does for theirs.
    fn write_jwt(&self) -> io::Result<()> {
        let jwt = Jwt {
            expires_in: Some(JWT_LIFETIME),
            issued_in: Some(self.clock_offset.max(0).saturating_neg()),
            ..Jwt::default()
        };
        let text = self.control().jwt_mint(&jwt).map_err(io::Error::other)?;
        bao_dev::up::write(&self.token_file, text.as_bytes(), 0o640).map_err(io::Error::other)
    }

    fn rule(&mut self, fault: Fault) {
        let number = self.control().fault(fault);
        self.rules.push(number);
    }

    /// The same trouble for both data paths, or for everything.
    fn trouble(&mut self, action: &Action, rng: &mut Rng) {
        if rng.bool() {
            self.rule(Fault::new(action.clone()));
        } else {
            for path in DATA {
                self.rule(Fault::new(action.clone()).path(path));
            }
        }
    }

    fn standby(&self, change: StandbyChange) {
        self.control().standby(change);
    }

    fn key(&self, config: &KeyConfig) -> io::Result<()> {
        let done = self.control().key_config(config);
        done.map(drop).map_err(io::Error::other)
    }

    fn clock(&mut self, seconds: i64) -> io::Result<()> {
        self.control().clock_offset(seconds);
        self.clock_offset = seconds;
        self.write_jwt()
    }

    /// Remembers everything, to go back there when [`Kind::RolledBack`] begins.
    pub(crate) fn remember(&mut self) {
        self.snapshot = Some(self.control().snapshot());
    }

    /// Weather begins. Kinds that are about a provider do nothing here.
    pub(crate) fn begin(&mut self, kind: Kind, rng: &mut Rng) -> io::Result<()> {
        let gone = |listener| Fault::new(Action::Reset).listener(listener);
        match kind {
            Kind::Sealed => self.control().seal(),
            Kind::Hanging => self.trouble(&Action::Hang, rng),
            Kind::HangingDecrypt => {
                self.rule(Fault::new(Action::Hang).path("/v1/transit/decrypt/*"));
            }
            Kind::Slow => {
                let ms = rng.u64(20..400);
                self.rule(Fault::new(Action::Delay { ms }));
            }
            Kind::Resets => self.trouble(&Action::Reset, rng),
            Kind::LostAnswers => self.trouble(&Action::LoseAnswer, rng),
            Kind::HalfBodies => self.trouble(&Action::ResetMidBody, rng),
            Kind::InternalError => self.trouble(&Action::error(500, "internal error"), rng),
            Kind::Junk => self.trouble(&Action::Junk, rng),
            Kind::Huge => self.trouble(&Action::Huge { bytes: 4_500_000 }, rng),
            Kind::DeadRedirect => {
                let to = "https://127.0.0.1:1".to_owned();
                self.trouble(&Action::Redirect { to }, rng);
            }
            Kind::RateLimited => self.trouble(&Action::rate_limited(Some(1)), rng),
            Kind::ActiveGone => self.rule(gone(Listener::Active)),
            Kind::StandbyGone => self.rule(gone(Listener::Standby)),
            Kind::LoginRefused => {
                self.rule(Fault::new(Action::error(400, "role is gone")).path(LOGIN));
                self.control().tokens_revoke_all();
            }
            Kind::TokensRevoked => {
                self.control().tokens_revoke_all();
            }
            Kind::PolicyRemoved => self.control().policy_remove(&self.setup.policy),
            Kind::SigningKeyChanged => {
                let changed = self.control().jwt_new_key(true);
                changed.map_err(io::Error::other)?;
                self.control().tokens_revoke_all();
            }
            Kind::ClockForward => {
                let seconds = [30, 600, 7200, 86_400];
                self.clock(rng.choice(seconds).unwrap_or_default())?;
            }
            Kind::ClockBack => {
                let seconds = [0, -30, -600, -86_400];
                self.clock(rng.choice(seconds).unwrap_or_default())?;
            }
            Kind::TokensRestored => self.remember(),
            Kind::RolledBack => return self.roll_back(),
            other => {
                self.begin_on_wire(other, rng)?;
                self.begin_on_answers(other, rng);
                self.begin_on_key(other)?;
            }
        }
        Ok(())
    }

    fn begin_on_wire(&mut self, kind: Kind, rng: &mut Rng) -> io::Result<()> {
        let sides = [None, Some(Listener::Active), Some(Listener::Standby)];
        let side = rng.choice(sides).flatten();
        let done = match kind {
            Kind::Restarted | Kind::RestartedSealed => {
                let sealed = kind == Kind::RestartedSealed;
                self.control().restart(side, rng.u64(100..3000), sealed)
            }
            Kind::PortRefuses => self.control().listener(side, ListenerMode::Refuse),
            Kind::PortSilent => self.control().listener(side, ListenerMode::BlackHole),
            Kind::HandshakeFails => {
                let modes = [
                    TlsMode::Expired,
                    TlsMode::NotYetValid,
                    TlsMode::WrongName,
                    TlsMode::UnknownCa,
                    TlsMode::Version,
                    TlsMode::Alert,
                    TlsMode::Silent,
                    TlsMode::Reset,
                    TlsMode::Plain,
                ];
                let mode = rng.choice(modes).unwrap_or(TlsMode::Good);
                self.control().tls(side, mode)
            }
            Kind::TlsOld => self.control().tls(None, TlsMode::Tls12),
            Kind::ConnectionsEnded => {
                let endings = [Ending::Fin, Ending::Rst, Ending::Graceful];
                let ending = rng.choice(endings).unwrap_or(Ending::Fin);
                self.control().connections_close(side, ending);
                Ok(())
            }
            _ => Ok(()),
        };
        done.map_err(io::Error::other)
    }

    fn begin_on_answers(&mut self, kind: Kind, rng: &mut Rng) {
        match kind {
            Kind::AuditBroken => {
                let audit = [Audit::RequestFails, Audit::ResponseFails];
                let audit = rng.choice(audit).unwrap_or(Audit::RequestFails);
                self.control().audit(audit);
            }
            Kind::Uninitialized => self.control().initialized(false),
            Kind::SlowBodies => self.rule(Fault::new(Action::SlowBody {
                bytes: 64,
                every_ms: 10,
            })),
            Kind::CutAnswers => self.trouble(&Action::Truncate { bytes: None }, rng),
            Kind::Flaky => {
                let fault = Fault::new(Action::Reset).probability(0.25, rng.u64(..));
                self.rule(fault);
            }
            Kind::Jitter => self.rule(Fault::new(Action::Jitter {
                min_ms: 0,
                max_ms: 300,
            })),
            Kind::LeasesShort => {
                // What is promised is what the role grants. Lost tokens are replaced every five
                // seconds at most.
                let lease = Action::Lease {
                    ttl: 6,
                    promised: Some(self.setup.token_ttl),
                };
                self.rule(Fault::new(lease));
                self.control().tokens_revoke_all();
            }
            Kind::RotatedInRequest => {
                let whens = [When::Before, When::During, When::After];
                let when = rng.choice(whens).unwrap_or(When::During);
                let path = rng.choice(DATA).unwrap_or("/v1/transit/decrypt/*");
                self.rule(Fault::new(Action::Rotate { when }).path(path).times(1));
            }
            _ => {}
        }
    }

    fn begin_on_key(&mut self, kind: Kind) -> io::Result<()> {
        let unchanged = KeyConfig::default();
        let latest = || {
            let data = self.control().key_config(&KeyConfig::default());
            let data = data.map_err(io::Error::other)?;
            Ok::<_, io::Error>(
                data.get("latest_version")
                    .and_then(|latest| latest.as_i64()),
            )
        };
        match kind {
            Kind::StandbyLag => self.control().lag(true),
            Kind::StandbyLeaderless => self.standby(StandbyChange {
                leader_known: Some(false),
                reads: Some(false),
                ..StandbyChange::default()
            }),
            Kind::StandbyRedirects => self.standby(StandbyChange {
                forward: Some(false),
                reads: Some(false),
                ..StandbyChange::default()
            }),
            Kind::UpsertAllowed => self.control().upsert(true).map_err(io::Error::other)?,
            Kind::UnsafeProfile => self.key(&KeyConfig {
                exportable: Some(true),
                ..unchanged
            })?,
            Kind::SoftDeleted => self.key(&KeyConfig {
                soft_deleted: Some(true),
                ..unchanged
            })?,
            Kind::MinimumRaised => self.key(&KeyConfig {
                min_decryption_version: latest()?,
                ..unchanged
            })?,
            Kind::WriteMinimumRaised => {
                let latest = self.rotate()?;
                self.key(&KeyConfig {
                    min_encryption_version: Some(latest),
                    ..unchanged
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    /// To the snapshot, and remembers what is left for [`Backend::end`].
    fn roll_back(&mut self) -> io::Result<()> {
        let Some(old) = self.snapshot else {
            return Ok(());
        };
        self.remember();
        self.control().restore(old, false).map_err(io::Error::other)
    }

    /// Weather ends.
    pub(crate) fn end(&mut self, kind: Kind) -> io::Result<()> {
        for rule in std::mem::take(&mut self.rules) {
            let removed = self.control().fault_remove(rule);
            removed.map_err(io::Error::other)?;
        }
        let unchanged = KeyConfig::default();
        match kind {
            Kind::Sealed => self.control().unseal(),
            Kind::RestartedSealed => {
                self.control().unseal();
                let open = self.control().listener(None, ListenerMode::Open);
                open.map_err(io::Error::other)?;
            }
            Kind::PortRefuses | Kind::PortSilent | Kind::Restarted => {
                let open = self.control().listener(None, ListenerMode::Open);
                open.map_err(io::Error::other)?;
            }
            Kind::HandshakeFails | Kind::TlsOld => {
                let good = self.control().tls(None, TlsMode::Good);
                good.map_err(io::Error::other)?;
            }
            Kind::AuditBroken => self.control().audit(Audit::Works),
            Kind::Uninitialized => self.control().initialized(true),
            Kind::PolicyRemoved => {
                let (name, text) = (&self.setup.policy, self.setup.policy_text());
                let put = self.control().policy_put(name, &text);
                put.map_err(io::Error::other)?;
            }
            Kind::SigningKeyChanged => self.write_jwt()?,
            Kind::StandbyLag => self.control().lag(false),
            Kind::StandbyLeaderless | Kind::StandbyRedirects => self.standby(StandbyChange {
                forward: Some(true),
                reads: Some(true),
                leader_known: Some(true),
                ..StandbyChange::default()
            }),
            Kind::UpsertAllowed => self.control().upsert(false).map_err(io::Error::other)?,
            Kind::UnsafeProfile => self.key(&KeyConfig {
                exportable: Some(false),
                ..unchanged
            })?,
            Kind::SoftDeleted => self.key(&KeyConfig {
                soft_deleted: Some(false),
                ..unchanged
            })?,
            Kind::MinimumRaised => self.key(&KeyConfig {
                min_decryption_version: Some(1),
                ..unchanged
            })?,
            Kind::RolledBack | Kind::TokensRestored => {
                if let Some(back) = self.snapshot.take() {
                    let tokens = kind == Kind::TokensRestored;
                    let restored = self.control().restore(back, tokens);
                    restored.map_err(io::Error::other)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Stops it.
    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }
}
