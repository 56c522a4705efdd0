//! The model: holds every answer against what it must be.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use fastrand::Rng;
use kms_proto::v2::{EncryptResponse, StatusResponse};
use kms_server::client::ClientError;
use secret::SecretBytes;

use crate::{
    failure,
    forge::Forged,
    keys::Keys,
    ledger::Ledger,
    remembered::{Family, Remembered, Sealed},
    sky::{Call, Sky, Span, UNHEALTHY},
};

/// Two nodes in front of one backend.
pub(crate) const NODES: usize = 2;
/// For people.
pub(crate) const NAMES: [&str; NODES] = ["A", "B"];

/// Everything that is known about the world.
pub(crate) struct Model {
    pub(crate) ledger: Ledger,
    pub(crate) keys: Keys,
    sky: Mutex<Sky>,
    remembered: Mutex<(Remembered, Rng)>,
    /// The newest version each node has named as its write key.
    floors: [AtomicU64; NODES],
}

/// A call that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    node: usize,
    began: Instant,
    floor: u64,
}

impl Model {
    pub(crate) fn new(ledger: Ledger, keys: Keys, sky: Sky, capacity: usize, rng: Rng) -> Self {
        Self {
            ledger,
            keys,
            sky: Mutex::new(sky),
            remembered: Mutex::new((Remembered::new(capacity), rng)),
            floors: [AtomicU64::new(0), AtomicU64::new(0)],
        }
    }

    /// The weather. Not to be held across an await.
    pub(crate) fn sky(&self) -> MutexGuard<'_, Sky> {
        self.sky.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> MutexGuard<'_, (Remembered, Rng)> {
        let memory = self.remembered.lock();
        memory.unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a call to `node` begins.
    pub(crate) fn begin(&self, node: usize) -> Begun {
        Begun {
            node,
            began: Instant::now(),
            floor: self.floor(node),
        }
    }

    /// The newest version that `node` has named as its write key.
    pub(crate) fn floor(&self, node: usize) -> u64 {
        let floor = self.floors.get(node);
        floor.map_or(0, |floor| floor.load(Ordering::SeqCst))
    }

    /// Some ciphertext that was remembered.
    pub(crate) fn any(&self) -> Option<Arc<Sealed>> {
        let (remembered, rng) = &mut *self.memory();
        remembered.any(rng)
    }

    /// A version's family beside that of `sealed`, the next one up or down.
    pub(crate) fn neighbour(&self, sealed: &Sealed) -> Option<Arc<Family>> {
        let (remembered, _) = &*self.memory();
        let version = sealed.family.version;
        remembered
            .family(version + 1)
            .or_else(|| remembered.family(version.checked_sub(1)?))
    }

    /// All ciphertexts that are remembered, and of how many versions they are.
    pub(crate) fn all(&self) -> (Vec<Arc<Sealed>>, usize) {
        let (remembered, _) = &*self.memory();
        (remembered.all(), remembered.versions())
    }

    /// Judges a Status; gives the key_id of a healthy one.
    pub(crate) fn status(
        &self,
        begun: Begun,
        outcome: Result<StatusResponse, ClientError>,
    ) -> Option<String> {
        let status = match outcome {
            Ok(status) => status,
            Err(error) => {
                self.failed(Call::Status, begun, &error);
                return None;
            }
        };
        match (status.healthz.as_str(), status.key_id.is_empty()) {
            ("unhealthy", true) => {
                self.excused(Call::Status, begun, UNHEALTHY, "unhealthy");
                return None;
            }
            ("ok", false) if status.version == "v2" => {}
            _ => {
                let fault = format!("Status of neither form: {status:?}");
                self.ledger.fault(&named(begun, &fault));
                return None;
            }
        }
        self.went_well(Call::Status, begun);
        self.write_key(Call::Status, begun, &status.key_id)?;
        Some(status.key_id)
    }

    /// Judges an Encrypt, and remembers what it gave.
    pub(crate) fn encrypt(
        &self,
        begun: Begun,
        plaintext: Vec<u8>,
        outcome: Result<EncryptResponse, ClientError>,
    ) -> Option<Arc<Sealed>> {
        let answer = match outcome {
            Ok(answer) => answer,
            Err(error) => {
                self.failed(Call::Encrypt, begun, &error);
                return None;
            }
        };
        self.went_well(Call::Encrypt, begun);
        let version = self.write_key(Call::Encrypt, begun, &answer.key_id)?;
        let prefix = format!("vault:v{version}:");
        if answer.ciphertext.len() > 1023 || !answer.ciphertext.starts_with(prefix.as_bytes()) {
            let fault = format!("Encrypt under v{version} gave another ciphertext");
            self.ledger.fault(&named(begun, &fault));
        }
        let (remembered, rng) = &mut *self.memory();
        let given = Family {
            version,
            key_id: answer.key_id,
            annotations: answer.annotations,
        };
        let family = match remembered.family(version) {
            Some(family) if *family == given => family,
            None => Arc::new(given),
            Some(_) => {
                let fault = format!("annotations of v{version} differ from those given earlier");
                self.ledger.fault(&named(begun, &fault));
                Arc::new(given)
            }
        };
        let sealed = Arc::new(Sealed {
            family,
            ciphertext: answer.ciphertext,
            plaintext,
            node: begun.node,
        });
        remembered.add(Arc::clone(&sealed), rng);
        Some(sealed)
    }

    /// Judges the key_id of an Encrypt between two healthy Status of its node.
    pub(crate) fn between(&self, node: usize, before: &str, key_id: &str, after: &str) {
        if key_id != before && key_id != after {
            let fault = format!(
                "node {}: Encrypt gave {key_id}, Status {before} before and {after} after",
                name(node)
            );
            self.ledger.fault(&fault);
        }
    }

    /// Judges a Decrypt of something remembered; gives whether it succeeded.
    pub(crate) fn decrypt(
        &self,
        begun: Begun,
        sealed: &Sealed,
        outcome: Result<SecretBytes, ClientError>,
    ) -> bool {
        match outcome {
            Ok(plaintext) if plaintext.expose_secret() == sealed.plaintext => {
                self.went_well(Call::Decrypt, begun);
                if sealed.node != begun.node {
                    self.ledger.tally("decrypted on the other node");
                }
                true
            }
            Ok(_) => {
                let fault = format!(
                    "WRONG BYTES from a Decrypt of v{}, {}",
                    sealed.family.version,
                    String::from_utf8_lossy(&sealed.ciphertext)
                );
                self.ledger.wrong_answer(&named(begun, &fault));
                false
            }
            Err(error) => {
                self.failed(Call::Decrypt, begun, &error);
                false
            }
        }
    }

    /// Judges the Decrypt of something that must be refused.
    pub(crate) fn forged(
        &self,
        begun: Begun,
        forged: &Forged,
        outcome: Result<SecretBytes, ClientError>,
    ) {
        match outcome {
            Ok(_) => {
                let fault = format!("{}: answered and not refused", forged.how);
                self.ledger.wrong_answer(&named(begun, &fault));
            }
            Err(error) => {
                let class = failure::class_of(&error);
                if forged.classes.contains(&class) {
                    self.counted(Call::Forged, "refused", begun);
                    return;
                }
                let detail = format!("{}: {error}", forged.how);
                // What is refused without the backend is refused in any weather but the end
                // of the process.
                let local = [failure::GONE, failure::LATE].contains(&class);
                if forged.locally && !local {
                    self.ledger.fault(&named(begun, &detail));
                } else {
                    self.excused(Call::Forged, begun, class, &detail);
                }
            }
        }
    }

    /// A node's write key: known, and no older than it was.
    fn write_key(&self, call: Call, begun: Begun, key_id: &str) -> Option<u64> {
        let Some(version) = self.keys.version(key_id) else {
            let fault = format!("{} gave {key_id}, which nothing derives", call.name());
            self.ledger.fault(&named(begun, &fault));
            return None;
        };
        if version < begun.floor {
            let fault = format!(
                "{} went back to v{version} after v{}",
                call.name(),
                begun.floor
            );
            self.ledger.fault(&named(begun, &fault));
        }
        let floor = self.floors.get(begun.node)?;
        if floor.fetch_max(version, Ordering::SeqCst) < version {
            let line = named(begun, &format!("{} gives v{version}", call.name()));
            self.ledger.note(&line);
        }
        Some(version)
    }

    fn went_well(&self, call: Call, begun: Begun) {
        self.counted(call, "ok", begun);
    }

    fn counted(&self, call: Call, outcome: &'static str, begun: Begun) {
        let span = span(begun);
        let calm = self.sky().is_calm(call, span);
        let took = span.ended.saturating_duration_since(span.began);
        self.ledger.answered(call, outcome, took, calm);
    }

    /// Judges a call that failed, or could not even be made.
    pub(crate) fn failed(&self, call: Call, begun: Begun, error: &ClientError) {
        self.excused(call, begun, failure::class_of(error), &error.to_string());
    }

    fn excused(&self, call: Call, begun: Begun, class: &'static str, detail: &str) {
        self.counted(call, class, begun);
        let span = span(begun);
        let excuse = self.sky().excuse(call, class, span);
        match excuse {
            Some(excuse) => self.ledger.excused(excuse.name, call, class, excuse.after),
            None => {
                let took = span.ended.saturating_duration_since(span.began);
                let fault = format!(
                    "{} failed after {took:.1?} and nothing excuses it: {class} ({detail})",
                    call.name()
                );
                self.ledger.fault(&named(begun, &fault));
            }
        }
    }
}

fn span(begun: Begun) -> Span {
    Span {
        node: begun.node,
        began: begun.began,
        ended: Instant::now(),
    }
}

fn named(begun: Begun, what: &str) -> String {
    format!("node {}: {what}", name(begun.node))
}

fn name(node: usize) -> &'static str {
    NAMES.get(node).copied().unwrap_or("?")
}
