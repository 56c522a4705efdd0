//! Random schedules: whatever arrives, leaves, fails or is slow, everybody gets their own
//! plaintext or an error by their deadline, and in the end nothing is held.

use openbao::error::Class;
use proptest::prelude::*;
use registry::record::RecordState::*;

use super::*;
use crate::testing::{error, metadata, view};

#[derive(Debug, Clone)]
struct Arrival {
    at: u64,
    /// Which of a few plaintexts, so that some are equal.
    what: u8,
    /// Version 2 is known to discovery only, version 9 to nobody.
    version: u64,
    patience: u64,
    cancelled_after: Option<u64>,
}

#[derive(Debug, Clone)]
struct Schedule {
    arrivals: Vec<Arrival>,
    latencies: Vec<u64>,
    failed_batches: usize,
    bad: Option<u8>,
    lanes: usize,
    outage: Option<(u64, u64)>,
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let arrival = (
        0..300_u64,
        0..40_u8,
        prop_oneof![20 => Just(1), 2 => Just(2), 1 => Just(9)],
        1..2000_u64,
        proptest::option::weighted(0.3, 0..400_u64),
    );
    let arrival = arrival.prop_map(|(at, what, version, patience, cancelled_after)| Arrival {
        at,
        what,
        version,
        patience,
        cancelled_after,
    });
    (
        proptest::collection::vec(arrival, 1..150),
        proptest::collection::vec(prop_oneof![4 => 0..50_u64, 1 => 500..5000_u64], 0..40),
        0..3_usize,
        proptest::option::of(0..40_u8),
        1..6_usize,
        proptest::option::of((0..300_u64, 0..300_u64)),
    )
        .prop_map(
            |(arrivals, latencies, failed_batches, bad, lanes, outage)| Schedule {
                arrivals,
                latencies,
                failed_batches,
                bad,
                lanes,
                outage,
            },
        )
}

fn plaintext(what: u8) -> Vec<u8> {
    format!("plaintext {what}").into_bytes()
}

async fn one(rig: &Rig, arrival: &Arrival, bad: Option<u8>) {
    tokio::time::sleep(millis(arrival.at)).await;
    let deadline = Instant::now() + millis(arrival.patience);
    let request = request(arrival.version, &plaintext(arrival.what));
    let call = rig.decrypt_by(request, deadline);
    let answer = match arrival.cancelled_after {
        None => call.await,
        Some(after) => match tokio::time::timeout(millis(after), call).await {
            Ok(answer) => answer,
            Err(_) => return,
        },
    };
    assert!(Instant::now() <= deadline, "late: {arrival:?}");
    match answer {
        Ok(bytes) => {
            assert_eq!(bytes, plaintext(arrival.what));
            assert_ne!(bad, Some(arrival.what));
            assert_ne!(arrival.version, 9);
        }
        Err(Error::AadMismatch(REJECTED_BY_TRANSIT)) => assert_eq!(bad, Some(arrival.what)),
        Err(Error::KeyIdUnknown) => assert_eq!(arrival.version, 9),
        Err(Error::MetadataRefresh) => assert_ne!(arrival.version, 1),
        Err(Error::Deadline) => assert_eq!(Instant::now(), deadline, "{arrival:?}"),
        Err(Error::Backend(failure)) => assert_eq!(failure.class, Class::Sealed),
        Err(other) => panic!("{other:?}: {arrival:?}"),
    }
}

async fn run(schedule: Schedule) {
    let settings = Settings {
        decrypt_lanes: schedule.lanes,
        ..SETTINGS
    };
    let rig = Rig::with(view(&[(1, Active)]), settings);
    {
        let mut script = rig.transit.script();
        script.metadata = Ok(metadata(&[1, 2]));
        script.latency = millis(3);
        script.latencies = schedule.latencies.iter().copied().map(millis).collect();
        script.batch_errors = vec![error(Class::Sealed); schedule.failed_batches].into();
        for version in [1, 2] {
            if let Some(what) = schedule.bad {
                let text = request(version, &plaintext(what)).ciphertext;
                let text = String::from_utf8(text).unwrap();
                script.bad.insert(text, Class::CiphertextRejected);
            }
        }
    }
    let outage = async {
        if let Some((from, length)) = schedule.outage {
            tokio::time::sleep(millis(from)).await;
            rig.transit.script().down = Some(error(Class::Sealed));
            tokio::time::sleep(millis(length)).await;
            rig.transit.script().down = None;
        }
    };
    let callers = schedule
        .arrivals
        .iter()
        .map(|arrival| one(&rig, arrival, schedule.bad));
    tokio::join!(futures_util::future::join_all(callers), outage);
    assert!(
        rig.transit.flights().1 <= schedule.lanes + 1,
        "lanes and one refresh"
    );
    // A refresh outlives its callers, by no more than its own limit.
    tokio::time::sleep(Duration::from_secs(11)).await;
    rig.assert_idle();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 5, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everybody_gets_their_own_answer_or_an_error_in_time(schedule in schedules()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(schedule));
    }
}
