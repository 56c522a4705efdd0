//! Calls in a loop, as many at once as there are callers.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::line::Problem;

/// Who calls again and again.
pub(crate) trait Caller: Send + 'static {
    /// One call and its answer, which must be a good one.
    fn call(&mut self) -> impl Future<Output = Result<(), Problem>> + Send;
}

/// What one slice of load showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Slice {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) calls: usize,
    pub(crate) took: Duration,
}

/// Each of `callers` calls for `length`.
pub(crate) async fn run<C: Caller>(
    callers: &mut Vec<C>,
    length: Duration,
) -> Result<Slice, Problem> {
    let began = Instant::now();
    let end = began + length;
    let mut tasks = JoinSet::new();
    for mut caller in callers.drain(..) {
        tasks.spawn(async move {
            let mut latencies = Vec::with_capacity(4096);
            while Instant::now() < end {
                let start = Instant::now();
                caller.call().await?;
                latencies.push(start.elapsed());
            }
            Ok::<_, Problem>((caller, latencies))
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let (caller, its) = done??;
        callers.push(caller);
        latencies.extend(its);
    }
    let took = began.elapsed();
    latencies.sort_unstable();
    let at = |share: usize| {
        let index = latencies.len() * share / 100;
        latencies.get(index).copied().unwrap_or_default()
    };
    Ok(Slice {
        p50: at(50),
        p99: at(99),
        calls: latencies.len(),
        took,
    })
}
