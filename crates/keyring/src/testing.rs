//! A scripted Transit, a clock on tokio's paused time, and key versions to test with.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    fmt::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use openbao::{
    error::{Class, Error},
    transit::{BatchAnswer, BoxFuture, CallOptions, DecryptItem, Encrypted, Transit},
};
use pace::{Clock, Now};
use registry::{reading::KeyMetadata, record::RecordState, scope::Scope, snapshot::Snapshot};
use secret::SecretBytes;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::{
    kms::DecryptRequest,
    view::{Slot, View},
};

/// Wall clock at the start of every test.
pub(crate) const WALL: i64 = 1_790_000_000;

/// Both clocks on tokio's time, which tests pause.
pub(crate) struct PausedClock(Instant);

impl PausedClock {
    pub(crate) fn start() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Now {
        let mono = self.0.elapsed();
        let passed = i64::try_from(mono.as_secs()).unwrap_or(i64::MAX);
        Now {
            wall: WALL + passed,
            mono,
        }
    }
}

/// One request that reached the fake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    ReadKey { new_connection: bool },
    ReadUpsert,
    Encrypt { version: u64 },
    Decrypt { ciphertext: String },
    DecryptBatch { ciphertexts: Vec<String> },
}

/// What the fake does next. All fields may be changed while it runs.
pub(crate) struct Script {
    /// Time that each request takes.
    pub(crate) latency: Duration,
    /// Taken first, one per request, then `latency` again.
    pub(crate) latencies: VecDeque<Duration>,
    /// Requests never end.
    pub(crate) hangs: bool,
    /// Every request fails like this.
    pub(crate) down: Option<Error>,
    /// Each fails one batch as a whole.
    pub(crate) batch_errors: VecDeque<Error>,
    /// Ciphertexts that fail with this class, alone or in a batch.
    pub(crate) bad: HashMap<String, Class>,
    /// A request that holds one of these panics.
    pub(crate) poison: HashSet<String>,
    /// Replaces the next answers to Encrypt.
    pub(crate) sealed: VecDeque<Encrypted>,
    /// A batch is answered with this many results too few.
    pub(crate) short_by: usize,
    /// Plaintexts are empty.
    pub(crate) empty: bool,
    /// What `read_key` answers.
    pub(crate) metadata: Result<KeyMetadata, Error>,
    /// What `read_disable_upsert` answers.
    pub(crate) disable_upsert: bool,
}

/// Transit by script: its ciphertexts hold the plaintext in hex, and a digest of the AAD.
pub(crate) struct FakeTransit {
    script: Mutex<Script>,
    asked: Mutex<Vec<Asked>>,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
    broken_off: AtomicUsize,
}

impl FakeTransit {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(Script {
                latency: Duration::ZERO,
                latencies: VecDeque::new(),
                hangs: false,
                down: None,
                batch_errors: VecDeque::new(),
                bad: HashMap::new(),
                poison: HashSet::new(),
                sealed: VecDeque::new(),
                short_by: 0,
                empty: false,
                metadata: Ok(metadata(&[1])),
                disable_upsert: true,
            }),
            asked: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            broken_off: AtomicUsize::new(0),
        })
    }

    /// The script, to change it.
    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every request so far, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }

    /// How many requests so far.
    pub(crate) fn count(&self) -> usize {
        self.asked().len()
    }

    /// Requests in flight now, the most there ever were, and those dropped unfinished.
    pub(crate) fn flights(&self) -> (usize, usize, usize) {
        let get = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        (get(&self.in_flight), get(&self.peak), get(&self.broken_off))
    }

    /// Counts the request, waits as scripted, and fails if that is the script.
    async fn pass(&self, asked: Asked) -> Result<(), Error> {
        let mut flight = InFlight::new(self);
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(asked);
        // What is true when the request arrives, not when its answer does.
        let (latency, hangs, down) = {
            let mut script = self.script();
            let next = script.latencies.pop_front();
            let latency = next.unwrap_or(script.latency);
            (latency, script.hangs, script.down.clone())
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        flight.landed = true;
        down.map_or(Ok(()), Err)
    }

    fn open(&self, item: &DecryptItem) -> Result<SecretBytes, Error> {
        let script = self.script();
        assert!(!script.poison.contains(&item.ciphertext), "scripted panic");
        if let Some(class) = script.bad.get(&item.ciphertext) {
            return Err(error(*class));
        }
        if script.empty {
            return Ok(SecretBytes::default());
        }
        let parts = item.ciphertext.split(':').nth(2);
        let (text, mark) = parts
            .and_then(|tail| tail.split_once('.'))
            .ok_or_else(|| error(Class::CiphertextRejected))?;
        if mark != digest(&item.associated_data) {
            return Err(error(Class::CiphertextRejected));
        }
        Ok(SecretBytes::new(unhex(text)))
    }
}

struct InFlight<'a> {
    fake: &'a FakeTransit,
    landed: bool,
}

impl<'a> InFlight<'a> {
    fn new(fake: &'a FakeTransit) -> Self {
        let now = fake.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        fake.peak.fetch_max(now, Ordering::SeqCst);
        Self {
            fake,
            landed: false,
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.fake.in_flight.fetch_sub(1, Ordering::SeqCst);
        if !self.landed {
            self.fake.broken_off.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Transit for FakeTransit {
    fn read_key(&self, options: CallOptions) -> BoxFuture<'_, Result<KeyMetadata, Error>> {
        let new_connection = options.new_connection;
        Box::pin(async move {
            let metadata = self.script().metadata.clone();
            self.pass(Asked::ReadKey { new_connection }).await?;
            metadata
        })
    }

    fn read_disable_upsert(&self, _: CallOptions) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async move {
            self.pass(Asked::ReadUpsert).await?;
            Ok(self.script().disable_upsert)
        })
    }

    fn encrypt<'a>(
        &'a self,
        key_version: u64,
        plaintext: &'a SecretBytes,
        associated_data: &'a str,
        _: CallOptions,
    ) -> BoxFuture<'a, Result<Encrypted, Error>> {
        Box::pin(async move {
            let version = key_version;
            self.pass(Asked::Encrypt { version }).await?;
            if let Some(answer) = self.script().sealed.pop_front() {
                return Ok(answer);
            }
            Ok(Encrypted {
                ciphertext: sealed(key_version, plaintext.expose_secret(), associated_data),
                key_version,
            })
        })
    }

    fn decrypt<'a>(
        &'a self,
        item: &'a DecryptItem,
        _: CallOptions,
    ) -> BoxFuture<'a, Result<SecretBytes, Error>> {
        Box::pin(async move {
            let ciphertext = item.ciphertext.clone();
            self.pass(Asked::Decrypt { ciphertext }).await?;
            self.open(item)
        })
    }

    fn decrypt_batch<'a>(
        &'a self,
        items: &'a [DecryptItem],
        _: CallOptions,
    ) -> BoxFuture<'a, BatchAnswer> {
        Box::pin(async move {
            let ciphertexts = items.iter().map(|item| item.ciphertext.clone()).collect();
            self.pass(Asked::DecryptBatch { ciphertexts }).await?;
            if let Some(error) = self.script().batch_errors.pop_front() {
                return Err(error);
            }
            let short_by = self.script().short_by;
            let kept = items.len().saturating_sub(short_by);
            Ok(items
                .iter()
                .take(kept)
                .map(|item| self.open(item))
                .collect())
        })
    }
}

/// An error of `class`, as the client would word it.
pub(crate) fn error(class: Class) -> Error {
    Error {
        class,
        operation: "transit_decrypt",
        reason: "scripted".to_owned(),
        status: None,
    }
}

/// A ciphertext that [`FakeTransit`] opens under the same associated data.
pub(crate) fn sealed(version: u64, plaintext: &[u8], associated_data: &str) -> String {
    let mark = digest(associated_data);
    let mut text = String::new();
    for byte in plaintext {
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    format!("vault:v{version}:{text}.{mark}")
}

fn digest(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().take(8).fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap_or_default();
        hex
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| {
            digit
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
        })
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte * 16 + digit))
        .collect()
}

/// The identity of all tests.
pub(crate) fn scope() -> Arc<Scope> {
    Arc::new(Scope {
        provider_name: "openbao".to_owned(),
        cluster_id: "cluster-a".to_owned(),
        openbao_instance_id: "bao-a".to_owned(),
        openbao_namespace: "team/a".to_owned(),
        transit_mount_id: "mount-a".to_owned(),
        key_lineage_id: "lineage-a".to_owned(),
    })
}

/// When `version` was created.
pub(crate) fn created(version: u64) -> i64 {
    1_700_000_000 + i64::try_from(version).unwrap_or_default() * 1000
}

/// Version `version` of the one key. Derived once: thousands of requests are made of it.
pub(crate) fn snapshot(version: u64) -> Arc<Snapshot> {
    static DERIVED: Mutex<BTreeMap<u64, Arc<Snapshot>>> = Mutex::new(BTreeMap::new());
    let mut derived = DERIVED.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || Arc::new(Snapshot::new(&scope(), "0.1.0", version, created(version)));
    Arc::clone(derived.entry(version).or_insert_with(make))
}

/// A sound key that has `versions`.
pub(crate) fn metadata(versions: &[u64]) -> KeyMetadata {
    KeyMetadata::with_defaults(
        versions.iter().copied().max().unwrap_or(1),
        versions
            .iter()
            .map(|version| (*version, created(*version)))
            .collect(),
    )
}

/// A healthy view with these records; the active one is the write key.
pub(crate) fn view(records: &[(u64, RecordState)]) -> View {
    let mut view = View {
        healthy_until: Some(Duration::from_secs(3600)),
        ..View::default()
    };
    for (version, state) in records {
        let snapshot = snapshot(*version);
        if *state == RecordState::Active {
            view.active = Some(Arc::clone(&snapshot));
        }
        let key_id = snapshot.key_id.clone();
        let slot = Slot {
            state: *state,
            snapshot,
        };
        view.records.insert(key_id, slot);
    }
    view
}

/// What the API server sends to get `plaintext` back that was sealed under `version`.
pub(crate) fn request(version: u64, plaintext: &[u8]) -> DecryptRequest {
    let snapshot = snapshot(version);
    let ciphertext = sealed(version, plaintext, &snapshot.associated_data);
    let annotations = snapshot.annotations.iter();
    DecryptRequest {
        ciphertext: ciphertext.into_bytes(),
        key_id: snapshot.key_id.as_str().to_owned(),
        annotations: annotations
            .map(|(key, value)| ((*key).to_owned(), value.clone().into_bytes()))
            .collect(),
    }
}
