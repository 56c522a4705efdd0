//! A cold start over many seeds while OpenBao is far away: all Decrypts at once.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use kms_proto::v2::DecryptRequest;
use stage::process;
use tokio::task::JoinSet;

use crate::{
    backend::Backend,
    callers::{self, Client},
    distance::Distance,
    line::Problem,
    stage::Stage,
};

/// What it took.
pub(crate) struct Burst {
    /// Until the last Decrypt was answered.
    pub(crate) took: Duration,
    pub(crate) resident_at_most_kib: u64,
}

/// A provider that has just started decrypts `requests` at once, with all that `backend` sends it
/// arriving `delay` later.
pub(crate) async fn far_away(
    stage: &Stage,
    backend: &Backend,
    requests: &[DecryptRequest],
    delay: Duration,
    home: &Path,
) -> Result<Burst, Problem> {
    let distance = Distance::to(&backend.address.authority, delay).await?;
    let url = format!("https://{}", distance.authority);
    let provider = stage.another(backend, &url, home).await?;
    let client = callers::client(&provider.socket).await?;
    Ok(Burst {
        took: all_at_once(&client, requests).await?,
        resident_at_most_kib: process::status(provider.process.id(), "VmHWM:")?,
    })
}

async fn all_at_once(client: &Client, requests: &[DecryptRequest]) -> Result<Duration, Problem> {
    let began = Instant::now();
    let mut calls = JoinSet::new();
    for request in requests {
        let (mut client, request) = (client.clone(), request.clone());
        calls.spawn(async move { client.decrypt(request).await.map(drop) });
    }
    while let Some(done) = calls.join_next().await {
        done??;
    }
    Ok(began.elapsed())
}
