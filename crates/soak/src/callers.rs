//! Those who call: several at each node, and one who only asks for Status.

use std::{path::PathBuf, sync::Arc, time::Duration};

use fastrand::Rng;
use futures_util::future::join_all;
use kms_server::client::{Client, ClientError};
use secret::SecretBytes;
use tokio::time::Instant;

use crate::{
    failure,
    forge::{WAYS, forge},
    model::Model,
    remembered::Sealed,
    sky::Call,
};

const UID: &str = "soak";
/// Between two questions for Status.
const STATUS_EVERY: Duration = Duration::from_millis(100);
/// Decrypts that a caller sends at once when it does not send one.
const BURST: usize = 16;

/// One who calls one node.
pub(crate) struct Caller {
    pub(crate) model: Arc<Model>,
    pub(crate) node: usize,
    pub(crate) socket: PathBuf,
    pub(crate) patience: Duration,
    /// Between two of its calls, on average.
    pub(crate) pause: Duration,
    pub(crate) rng: Rng,
    pub(crate) client: Option<Client>,
}

impl Caller {
    /// Calls until the run is over.
    pub(crate) async fn call(mut self) {
        while !self.model.ledger.is_over() {
            let began = Instant::now();
            let calls = self.round().await;
            let jitter = self.rng.f64() + 0.5;
            let pause = self.pause.mul_f64(f64::from(calls) * jitter);
            tokio::time::sleep_until(began + pause).await;
        }
    }

    /// Asks for Status until the run is over.
    pub(crate) async fn watch(mut self) {
        while !self.model.ledger.is_over() {
            let began = Instant::now();
            self.status().await;
            tokio::time::sleep_until(began + STATUS_EVERY).await;
        }
    }

    /// Does one thing; gives how many calls it took.
    async fn round(&mut self) -> u32 {
        match self.rng.u32(..100) {
            0..6 => self.encrypt_between().await,
            6..36 => {
                self.encrypt().await;
                1
            }
            36..44 => {
                self.forged().await;
                1
            }
            44..46 => self.burst(false).await,
            46..48 => self.burst(true).await,
            _ => {
                if let Some(sealed) = self.model.any() {
                    self.decrypt(&sealed).await;
                }
                1
            }
        }
    }

    /// The connection, made anew when there is none. Nobody listening is a failed call.
    async fn client(&mut self, call: Call) -> Option<Client> {
        if self.client.is_none() {
            let begun = self.model.begin(self.node);
            match Client::connect(&self.socket, self.patience).await {
                Ok(client) => self.client = Some(client),
                Err(error) => {
                    self.model.failed(call, begun, &error);
                    tokio::time::sleep(STATUS_EVERY).await;
                }
            }
        }
        self.client.clone()
    }

    /// A connection that broke is not used again.
    fn keep<T>(&mut self, outcome: Result<T, ClientError>) -> Result<T, ClientError> {
        if let Err(error) = &outcome
            && failure::is_broken(error)
        {
            self.client = None;
        }
        outcome
    }

    async fn status(&mut self) -> Option<String> {
        let mut client = self.client(Call::Status).await?;
        let begun = self.model.begin(self.node);
        let outcome = client.status().await;
        let outcome = self.keep(outcome);
        self.model.status(begun, outcome)
    }

    async fn encrypt(&mut self) -> Option<Arc<Sealed>> {
        let mut client = self.client(Call::Encrypt).await?;
        // An API server sends 32 bytes; the limit is 700.
        let length = if self.rng.u8(..10) == 0 {
            self.rng.usize(1..=700)
        } else {
            32
        };
        let mut plaintext = vec![0; length];
        self.rng.fill(&mut plaintext);
        let begun = self.model.begin(self.node);
        let secret = SecretBytes::new(plaintext.clone());
        let outcome = client.encrypt(&secret, UID).await;
        let outcome = self.keep(outcome);
        self.model.encrypt(begun, plaintext, outcome)
    }

    async fn encrypt_between(&mut self) -> u32 {
        let before = self.status().await;
        let sealed = self.encrypt().await;
        let after = self.status().await;
        if let (Some(before), Some(sealed), Some(after)) = (before, sealed, after) {
            let key_id = &sealed.family.key_id;
            self.model.between(self.node, &before, key_id, &after);
        }
        3
    }

    async fn decrypt(&mut self, sealed: &Sealed) -> bool {
        let Some(mut client) = self.client(Call::Decrypt).await else {
            return false;
        };
        let begun = self.model.begin(self.node);
        let outcome = open(&mut client, sealed).await;
        let outcome = self.keep(outcome);
        self.model.decrypt(begun, sealed, outcome)
    }

    /// Many Decrypts at once: all of one ciphertext, or of many.
    async fn burst(&mut self, equal: bool) -> u32 {
        let Some(client) = self.client(Call::Decrypt).await else {
            return 1;
        };
        let Some(first) = self.model.any() else {
            return 1;
        };
        let (model, node) = (Arc::clone(&self.model), self.node);
        let all = (0..BURST).map(|_| {
            let other = (!equal).then(|| model.any()).flatten();
            other.unwrap_or_else(|| Arc::clone(&first))
        });
        let calls = all.map(|sealed| open_and_judge(&model, node, client.clone(), sealed));
        if join_all(calls).await.contains(&false) {
            self.client = None;
        }
        BURST as u32
    }

    async fn forged(&mut self) {
        let Some(sealed) = self.model.any() else {
            return;
        };
        let other = self.model.neighbour(&sealed);
        let way = self.rng.usize(..WAYS);
        let forged = forge(&sealed, other.as_deref(), way, &mut self.rng);
        let Some(mut client) = self.client(Call::Forged).await else {
            return;
        };
        let begun = self.model.begin(self.node);
        let outcome = client
            .decrypt(
                forged.ciphertext.clone(),
                forged.key_id.clone(),
                forged.annotations.clone(),
                UID,
            )
            .await;
        let outcome = self.keep(outcome);
        self.model.forged(begun, &forged, outcome);
    }

    /// Decrypts all of `sealed`, once each; for the end.
    pub(crate) async fn open_all(mut self, sealed: Vec<Arc<Sealed>>) {
        for sealed in sealed {
            if self.model.ledger.is_broken() {
                return;
            }
            if !self.decrypt(&sealed).await {
                let lost = format!(
                    "v{} of node {} does not decrypt at the end on node {}",
                    sealed.family.version, sealed.node, self.node
                );
                self.model.ledger.lost(&lost);
            }
        }
    }
}

/// Gives whether the connection is still of use.
async fn open_and_judge(
    model: &Model,
    node: usize,
    mut client: Client,
    sealed: Arc<Sealed>,
) -> bool {
    let begun = model.begin(node);
    let outcome = open(&mut client, &sealed).await;
    let broken = matches!(&outcome, Err(error) if failure::is_broken(error));
    model.decrypt(begun, &sealed, outcome);
    !broken
}

async fn open(client: &mut Client, sealed: &Sealed) -> Result<SecretBytes, ClientError> {
    let family = &sealed.family;
    client
        .decrypt(
            sealed.ciphertext.clone(),
            family.key_id.clone(),
            family.annotations.clone(),
            UID,
        )
        .await
}
