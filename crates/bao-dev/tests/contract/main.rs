//! What OpenBao 2.6 promises over HTTP, as one table of cases.
//!
//! Runs against the server in this crate, or against a real one: `CONTRACT_ADDR`, `CONTRACT_CACERT`
//! (a file) and `CONTRACT_ROOT_TOKEN`. The real one should be fresh; every case leaves the fixture as
//! it found it, or uses a key of its own.

#[cfg(test)]
mod access;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod client;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod data;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod network;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod states;
#[cfg(test)]
mod system;

use std::pin::Pin;
use std::sync::Arc;

use bench::Bench;

/// A case under way.
type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One case of the table.
pub(crate) struct Case {
    id: &'static str,
    /// Why a real server cannot run it.
    emulator_only: Option<&'static str>,
    run: fn(Arc<Bench>) -> Running,
}

/// A table of cases from functions named after their ids.
macro_rules! cases {
    ($($name:ident $(: $reason:literal)?),* $(,)?) => {
        /// The cases of this file.
        pub(crate) fn cases() -> Vec<crate::Case> {
            vec![$(crate::Case {
                id: stringify!($name),
                emulator_only: [$($reason)?].first().copied(),
                run: |bench| Box::pin(async move { $name(&bench).await }),
            }),*]
        }
    };
}
pub(crate) use cases;

fn setting(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the target is chosen where the test starts"
    )]
    std::env::var(name).ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_keeps_the_contract() {
    let bench = match setting("CONTRACT_ADDR") {
        None => Bench::emulator().await,
        Some(address) => {
            let ca = std::fs::read_to_string(setting("CONTRACT_CACERT").unwrap()).unwrap();
            Bench::remote(&address, &ca, setting("CONTRACT_ROOT_TOKEN").unwrap()).await
        }
    };
    let bench = Arc::new(bench);
    let tables = [
        system::cases(),
        keys::cases(),
        data::cases(),
        access::cases(),
        cluster::cases(),
        faults::cases(),
        rules::cases(),
        states::cases(),
    ];
    let (mut run, mut failed) = (Vec::new(), Vec::new());
    for case in tables.into_iter().flatten() {
        let id = if case.id.as_bytes().get(1).is_some_and(u8::is_ascii_digit) {
            case.id.to_uppercase()
        } else {
            case.id.to_owned()
        };
        if let (Some(reason), false) = (case.emulator_only, bench.is_emulator()) {
            println!("skipped {id}: emulator only: {reason}");
            continue;
        }
        match tokio::spawn((case.run)(Arc::clone(&bench))).await {
            Ok(()) => run.push(id),
            Err(_) => failed.push(id),
        }
    }
    println!("passed {}: {}", run.len(), run.join(" "));
    assert!(
        failed.is_empty(),
        "failed {}: {}",
        failed.len(),
        failed.join(" ")
    );
}
