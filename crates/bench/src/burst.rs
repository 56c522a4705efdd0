//! A cold start over many seeds while OpenBao is far away: all Decrypts at once.

use std::time::{Duration, Instant};

use kms_proto::v2::DecryptRequest;
use tokio::task::JoinSet;

use crate::{callers::Client, line::Problem};

/// Decrypts `requests` at once; the time until the last is answered.
pub(crate) async fn all_at_once(
    client: &Client,
    requests: &[DecryptRequest],
) -> Result<Duration, Problem> {
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
