//! The calls through their one door, against a scripted Transit on paused time.

mod crowds;
mod decrypting;
mod discovering;
mod encrypting;
mod secrecy;
mod storms;

use super::*;
use crate::{
    testing::{FakeTransit, PausedClock, request, scope},
    view::View,
};
use prometheus_client::encoding::text::encode;
use tokio::task::JoinHandle;

/// A keyring whose driver runs, and everything around it.
struct Rig {
    transit: Arc<FakeTransit>,
    view: Arc<ArcSwap<View>>,
    signals: Arc<Signals>,
    keyring: Arc<Keyring>,
    registry: Registry,
    driver: JoinHandle<()>,
}

const SETTINGS: Settings = Settings {
    max_encrypt: 32,
    max_decrypt: 64,
    decrypt_lanes: 4,
    probe_interval: Duration::from_secs(30),
};

impl Rig {
    fn new(view: View) -> Self {
        Self::with(view, SETTINGS)
    }

    fn with(view: View, settings: Settings) -> Self {
        let transit = FakeTransit::new();
        let view = Arc::new(ArcSwap::from_pointee(view));
        let signals = Arc::new(Signals::default());
        let mut registry = Registry::default();
        let (keyring, driver) = Keyring::new(
            settings,
            scope(),
            "0.1.0",
            Arc::clone(&transit) as Arc<dyn Transit>,
            Arc::clone(&view),
            Arc::clone(&signals),
            PausedClock::start(),
            &mut registry,
        );
        Self {
            transit,
            view,
            signals,
            keyring,
            registry,
            driver: tokio::spawn(driver.run()),
        }
    }

    async fn encrypt(&self, plaintext: &[u8]) -> Result<Encrypted, Error> {
        let plaintext = SecretBytes::new(plaintext.to_vec());
        self.keyring.encrypt(plaintext, soon()).await
    }

    /// The bytes themselves, so that tests can compare them.
    async fn decrypt(&self, request: DecryptRequest) -> Result<Vec<u8>, Error> {
        self.decrypt_by(request, soon()).await
    }

    async fn decrypt_by(&self, req: DecryptRequest, by: Instant) -> Result<Vec<u8>, Error> {
        let answer = self.keyring.decrypt(req, by).await;
        answer.map(|plaintext| plaintext.expose_secret().to_vec())
    }

    /// A Decrypt in a task of its own, to be aborted or awaited.
    fn spawn(
        &self,
        request: DecryptRequest,
        deadline: Instant,
    ) -> JoinHandle<Result<Vec<u8>, Error>> {
        let keyring = Arc::clone(&self.keyring);
        tokio::spawn(async move {
            let answer = keyring.decrypt(request, deadline).await;
            answer.map(|plaintext| plaintext.expose_secret().to_vec())
        })
    }

    /// Whether somebody asked for a deep probe since the last look.
    fn probe_wanted(&self) -> bool {
        use futures_util::FutureExt as _;
        self.signals.deep_probe.notified().now_or_never().is_some()
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }

    #[track_caller]
    fn assert_counted(&self, line: &str) {
        let text = self.metrics();
        assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
    }

    /// Nobody waits, no lane is busy, no place and no seat is taken.
    #[track_caller]
    fn assert_idle(&self) {
        let sealing = &self.keyring.sealing;
        assert_eq!(sealing.places.load(), (SETTINGS.max_encrypt, 0), "encrypt");
        let load = self.keyring.opening.sharing.load();
        assert_eq!(load, (0, 0, 0, 0), "calls, lanes, queue, seats");
        assert_eq!(self.keyring.opening.crowd.taken(), 0, "callers");
        assert_eq!(self.transit.flights().0, 0, "requests in flight");
    }
}

/// The usual deadline of a call without one of its own.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Lets every task that can go on go on, without any time passing.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Distinct Decrypts under version 1, with the plaintext that each must give.
fn distinct(count: usize) -> Vec<(DecryptRequest, Vec<u8>)> {
    let one = |number: usize| {
        let plaintext = format!("plaintext {number}").into_bytes();
        (request(1, &plaintext), plaintext)
    };
    (0..count).map(one).collect()
}
