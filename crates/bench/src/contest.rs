//! All kinds of calls at one concurrency, in turns: a slice of each, then a slice of each again.
//! Whatever else the machine does meanwhile hits all of them alike.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use kms_proto::v2::DecryptRequest;
use rustix::time::{ClockId, clock_gettime};
use stage::process;

use crate::{
    backend::Backend,
    callers::{Bare, Call, Client, InARow, Plugin, decrypt_body, encrypt_body},
    line::Problem,
    load::{self, Slice},
    relay::Relay,
    row::{Kind, Row, Used},
    stage::{Metrics, Stage},
};

const WARM_UP: Duration = Duration::from_millis(200);

/// A plugin that is measured beside the provider.
pub(crate) struct Peer {
    pub(crate) client: Client,
    pub(crate) pid: Option<u32>,
    pub(crate) sealed: Arc<Vec<DecryptRequest>>,
}

/// Everything that calls are made to and with.
pub(crate) struct Cast<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) backend: &'a Backend,
    pub(crate) floor: Client,
    pub(crate) relay: Relay,
    pub(crate) provider: Client,
    /// Ciphertexts of the provider; more than are ever in flight, so that equal ones never meet.
    pub(crate) sealed: Arc<Vec<DecryptRequest>>,
    pub(crate) associated_data: String,
    pub(crate) peer: Option<Peer>,
}

/// How much is called.
#[derive(Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// Only rows whose names hold this.
    pub(crate) only: &'a str,
    pub(crate) slices: u32,
    pub(crate) slice: Duration,
}

enum Callers {
    Plugin(Vec<Plugin>),
    Bare(Vec<Bare>),
    InARow(Vec<InARow>),
}

/// What bare clients send, ready.
type Bodies = Arc<Vec<Bytes>>;

/// Whose CPU counts.
#[derive(Clone, Copy)]
enum Whose {
    /// That of this process, which does nothing else meanwhile.
    Ours,
    Process(u32),
    Nobodys,
}

struct Contestant<'a> {
    kind: Kind,
    callers: Callers,
    whose: Whose,
    metrics: Option<&'a Metrics>,
    slices: Vec<Slice>,
    used: Used,
}

/// One row per kind of call.
pub(crate) async fn hold(
    cast: &Cast<'_>,
    concurrency: usize,
    plan: Plan<'_>,
) -> Result<Vec<Row>, Problem> {
    let mut contestants = contestants(cast, concurrency).await?;
    contestants.retain(|contestant| contestant.kind.name().contains(plan.only));
    for contestant in &mut contestants {
        contestant.run(WARM_UP).await?;
    }
    for _ in 0..plan.slices {
        for contestant in &mut contestants {
            contestant
                .measure(plan.slice, cast.backend.place.pid)
                .await?;
        }
    }
    let rows = contestants
        .iter()
        .map(|it| Row::of(it.kind, concurrency, &it.slices, it.used));
    Ok(rows.collect())
}

async fn contestants<'a>(
    cast: &'a Cast<'_>,
    concurrency: usize,
) -> Result<Vec<Contestant<'a>>, Problem> {
    let equal = |sealed: &Arc<Vec<DecryptRequest>>| {
        Call::DecryptEqual(Arc::new(sealed.first().cloned().unwrap_or_default()))
    };
    let aad = &cast.associated_data;
    let encrypt = cast.sealed.iter().map(|_| encrypt_body(aad)).collect();
    let encrypt: Bodies = Arc::new(encrypt);
    let decrypt = cast.sealed.iter().map(|it| decrypt_body(it, aad)).collect();
    let decrypt: Bodies = Arc::new(decrypt);
    let floor = Whose::Process(cast.stage.floor.id());
    let relay = Whose::Process(cast.relay.process.id());
    let provider = Whose::Process(cast.stage.provider.id());
    let empty = |kind| plugin(kind, &cast.floor, &Call::Status, concurrency, floor);
    let mut all = vec![empty(Kind::EmptyHandler)];
    for (alone, in_a_row, operation, bodies) in [
        (Kind::BareEncrypt, Kind::FloorsEncrypt, "encrypt", &encrypt),
        (Kind::BareDecrypt, Kind::FloorsDecrypt, "decrypt", &decrypt),
    ] {
        let callers = bare(cast, operation, bodies, concurrency).await?;
        all.push(contestant(alone, Callers::Bare(callers), Whose::Ours));
        let handlers = Plugin::several(&cast.floor, &Call::Status, concurrency);
        let callers = bare(cast, operation, bodies, concurrency).await?;
        let pairs = handlers.into_iter().zip(callers);
        let pairs = pairs.map(|(plugin, bare)| InARow { plugin, bare });
        all.push(contestant(
            in_a_row,
            Callers::InARow(pairs.collect()),
            floor,
        ));
    }
    let relayed = [
        (Kind::RelayEncrypt, Call::Encrypt),
        (
            Kind::RelayDecrypt,
            Call::DecryptDistinct(Arc::clone(&cast.sealed)),
        ),
    ];
    for (kind, call) in relayed {
        all.push(plugin(kind, &cast.relay.client, &call, concurrency, relay));
    }
    let ours = [
        (Kind::Status, Call::Status),
        (Kind::Encrypt, Call::Encrypt),
        (
            Kind::DecryptDistinct,
            Call::DecryptDistinct(Arc::clone(&cast.sealed)),
        ),
        (Kind::DecryptEqual, equal(&cast.sealed)),
    ];
    all.push(empty(Kind::EmptyHandlerAgain));
    for (kind, call) in ours {
        all.push(Contestant {
            metrics: Some(&cast.stage.metrics),
            ..plugin(kind, &cast.provider, &call, concurrency, provider)
        });
    }
    let Some(peer) = &cast.peer else {
        return Ok(all);
    };
    let whose = peer.pid.map_or(Whose::Nobodys, Whose::Process);
    let theirs = [
        (Kind::PeerStatus, Call::Status),
        (Kind::PeerEncrypt, Call::Encrypt),
        (
            Kind::PeerDecryptDistinct,
            Call::DecryptDistinct(Arc::clone(&peer.sealed)),
        ),
        (Kind::PeerDecryptEqual, equal(&peer.sealed)),
    ];
    for (kind, call) in theirs {
        all.push(plugin(kind, &peer.client, &call, concurrency, whose));
    }
    Ok(all)
}

fn plugin<'a>(
    kind: Kind,
    client: &Client,
    call: &Call,
    concurrency: usize,
    whose: Whose,
) -> Contestant<'a> {
    let callers = Plugin::several(client, call, concurrency);
    contestant(kind, Callers::Plugin(callers), whose)
}

async fn bare(
    cast: &Cast<'_>,
    operation: &str,
    bodies: &Bodies,
    concurrency: usize,
) -> Result<Vec<Bare>, Problem> {
    let path = cast.backend.path(operation);
    let lines = cast.backend.lines(concurrency).await?;
    Ok(Bare::several(lines, &path, bodies))
}

fn contestant<'a>(kind: Kind, callers: Callers, whose: Whose) -> Contestant<'a> {
    Contestant {
        kind,
        callers,
        whose,
        metrics: None,
        slices: Vec::new(),
        used: Used::default(),
    }
}

impl Contestant<'_> {
    async fn run(&mut self, length: Duration) -> Result<Slice, Problem> {
        match &mut self.callers {
            Callers::Plugin(callers) => load::run(callers, length).await,
            Callers::Bare(callers) => load::run(callers, length).await,
            Callers::InARow(callers) => load::run(callers, length).await,
        }
        .map_err(|problem| format!("{}: {problem}", self.kind.name()).into())
    }

    async fn measure(&mut self, length: Duration, backend: Option<u32>) -> Result<(), Problem> {
        // The metrics are read outside of what they would disturb.
        let calls_before = self.backend_calls().await?;
        let before = self.look(backend)?;
        let slice = self.run(length).await?;
        let after = self.look(backend)?;
        let calls = self.backend_calls().await?;
        self.slices.push(slice);
        let used = &mut self.used;
        used.cpu = grown(used.cpu, before.cpu, after.cpu);
        used.backend_cpu = grown(used.backend_cpu, before.backend_cpu, after.backend_cpu);
        if let (Some(before), Some(after)) = (calls_before, calls) {
            let more = after.saturating_sub(before);
            used.backend_calls = Some(used.backend_calls.unwrap_or_default() + more);
        }
        Ok(())
    }

    fn look(&self, backend: Option<u32>) -> Result<Used, Problem> {
        let cpu = match self.whose {
            Whose::Ours => Some(own_cpu()),
            Whose::Process(id) => Some(process::cpu(id)?),
            Whose::Nobodys => None,
        };
        Ok(Used {
            cpu,
            backend_cpu: backend.map(process::cpu).transpose()?,
            backend_calls: None,
        })
    }

    async fn backend_calls(&self) -> Result<Option<u64>, Problem> {
        match self.metrics {
            Some(metrics) => metrics.backend_calls().await.map(Some),
            None => Ok(None),
        }
    }
}

fn grown(
    sum: Option<Duration>,
    before: Option<Duration>,
    after: Option<Duration>,
) -> Option<Duration> {
    Some(sum.unwrap_or_default() + after?.saturating_sub(before?))
}

fn own_cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}
