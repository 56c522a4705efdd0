//! Callers who never stop: Status, Encrypt and Decrypt at a steady pace, each answer noted.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use kms_server::client::{Client, ClientError};
use tokio::{sync::watch, task::JoinSet, time::MissedTickBehavior};
use tonic::Code;

use super::{rig::Rig, row::Row};
use crate::serve::world::Sealed;

/// Between two looks at the machine's own pace.
pub(super) const BEAT: Duration = Duration::from_millis(10);
/// Between two looks at Status.
const LOOK: Duration = Duration::from_millis(80);
/// Between two Encrypts, and between two Decrypts.
const CALL: Duration = Duration::from_millis(200);

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    /// Answered with bytes that nobody encrypted.
    Forged,
    Refused(Code, String),
    /// The caller's own deadline came first, or the connection broke.
    NoAnswer(String),
}

/// A call; times are counted from the start of the driver.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) begun: Duration,
    pub(super) ended: Duration,
    pub(super) outcome: Outcome,
}

impl Call {
    pub(super) fn took(&self) -> Duration {
        self.ended - self.begun
    }
}

/// One look at Status: the key_id, which is empty when unhealthy.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) call: Call,
    pub(super) key_id: String,
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Encrypt,
    Decrypt,
    /// Decrypt of what an older version encrypted.
    Older,
}

#[derive(Default)]
pub(super) struct Record {
    pub(super) looks: Vec<Look>,
    pub(super) calls: Vec<(Caller, Call)>,
    /// What was encrypted meanwhile.
    pub(super) made: Vec<Sealed>,
    /// How late the test's own clock came at worst: what the machine, and nobody else, added.
    pub(super) stall: Duration,
}

impl Record {
    pub(super) fn of(&self, caller: Caller) -> impl Iterator<Item = &Call> + Clone {
        let calls = self.calls.iter();
        calls.filter_map(move |(who, call)| (*who == caller).then_some(call))
    }
}

/// Running callers.
pub(super) struct Driver {
    began: Instant,
    record: Arc<Mutex<Record>>,
    stop: watch::Sender<bool>,
    loops: JoinSet<()>,
}

/// What one loop needs.
#[derive(Clone)]
struct Seat {
    began: Instant,
    record: Arc<Mutex<Record>>,
    stop: watch::Receiver<bool>,
    client: Client,
}

impl Driver {
    pub(super) async fn start(rig: &Rig, row: &Row) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut driver = Self {
            began: Instant::now(),
            record: Arc::default(),
            stop,
            loops: JoinSet::new(),
        };
        let seat = Seat {
            began: driver.began,
            record: Arc::clone(&driver.record),
            stop: stopped,
            client: rig.client(row.patience).await,
        };
        driver.loops.spawn(seat.clone().watch_machine());
        driver.loops.spawn(seat.clone().watch_status());
        driver.loops.spawn(seat.clone().encrypt());
        for (caller, pool) in [(Caller::Decrypt, &rig.pool), (Caller::Older, &rig.older)] {
            if !pool.is_empty() {
                driver
                    .loops
                    .spawn(seat.clone().decrypt(caller, pool.clone()));
            }
        }
        driver
    }

    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets all calls end.
    pub(super) async fn stop(mut self) -> Record {
        let _ = self.stop.send(true);
        while let Some(end) = self.loops.join_next().await {
            end.unwrap();
        }
        std::mem::take(&mut *self.record())
    }
}

impl Seat {
    async fn watch_machine(mut self) {
        let mut pace = pace(BEAT);
        let mut last = self.began.elapsed();
        while self.goes_on(&mut pace).await {
            let now = self.began.elapsed();
            let late = (now - last).saturating_sub(BEAT);
            let mut record = self.record();
            record.stall = record.stall.max(late);
            last = now;
        }
    }

    async fn watch_status(mut self) {
        let mut pace = pace(LOOK);
        while self.goes_on(&mut pace).await {
            let begun = self.began.elapsed();
            let answer = self.client.status().await;
            let ended = self.began.elapsed();
            let key_id = answer
                .as_ref()
                .map_or_else(|_| String::new(), |status| status.key_id.clone());
            let outcome = match answer {
                Ok(status) => match (status.healthz.as_str(), status.key_id.as_str()) {
                    ("unhealthy", "") => Outcome::Answered,
                    ("ok", id) if !id.is_empty() && status.version == "v2" => Outcome::Answered,
                    _ => Outcome::NoAnswer(format!("no Status is {status:?}")),
                },
                Err(error) => outcome_of(error),
            };
            let call = Call {
                begun,
                ended,
                outcome,
            };
            self.record().looks.push(Look { call, key_id });
        }
    }

    async fn encrypt(mut self) {
        let mut pace = pace(CALL);
        let mut calls = JoinSet::new();
        while self.goes_on(&mut pace).await {
            let mut seat = self.clone();
            calls.spawn(async move {
                let begun = seat.began.elapsed();
                let sealed = Sealed::try_make(&mut seat.client).await;
                let outcome = match sealed {
                    Ok(sealed) => {
                        seat.record().made.push(sealed);
                        Outcome::Answered
                    }
                    Err(error) => outcome_of(error),
                };
                seat.note(Caller::Encrypt, begun, outcome);
            });
        }
        calls.join_all().await;
    }

    async fn decrypt(mut self, caller: Caller, pool: Vec<Sealed>) {
        let mut pace = pace(CALL);
        let mut calls = JoinSet::new();
        let mut pool = pool.iter().cycle();
        while self.goes_on(&mut pace).await {
            let Some(sealed) = pool.next().cloned() else {
                return;
            };
            let mut seat = self.clone();
            calls.spawn(async move {
                let begun = seat.began.elapsed();
                let outcome = open(&sealed, &mut seat.client).await;
                seat.note(caller, begun, outcome);
            });
        }
        calls.join_all().await;
    }

    /// Waits for the next beat; false at the end.
    async fn goes_on(&mut self, pace: &mut tokio::time::Interval) -> bool {
        tokio::select! {
            biased;
            _ = self.stop.changed() => false,
            _ = pace.tick() => true,
        }
    }

    fn note(&self, caller: Caller, begun: Duration, outcome: Outcome) {
        let ended = self.began.elapsed();
        let call = Call {
            begun,
            ended,
            outcome,
        };
        self.record().calls.push((caller, call));
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decrypts and compares.
pub(super) async fn open(sealed: &Sealed, client: &mut Client) -> Outcome {
    let Sealed {
        ciphertext,
        key_id,
        annotations,
        plaintext,
    } = sealed.clone();
    match client
        .decrypt(ciphertext, key_id, annotations, "uid-of-a-storm")
        .await
    {
        Ok(opened) if opened.expose_secret() == plaintext => Outcome::Answered,
        Ok(_) => Outcome::Forged,
        Err(error) => outcome_of(error),
    }
}

fn outcome_of(error: ClientError) -> Outcome {
    match error {
        ClientError::Refused { code, text, .. } => {
            let class = text.split(':').next().unwrap_or_default();
            Outcome::Refused(code, class.to_owned())
        }
        other => Outcome::NoAnswer(other.to_string()),
    }
}

fn pace(period: Duration) -> tokio::time::Interval {
    let mut pace = tokio::time::interval(period);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}
