//! Many Decrypts at once: equal ones share, distinct ones travel together.

use futures_util::FutureExt as _;
use openbao::error::Class;
use registry::record::RecordState::*;

use super::*;
use crate::testing::{Asked, error, view};

fn rig() -> Rig {
    Rig::new(view(&[(1, Active)]))
}

/// Sizes of the requests so far; a single one is 1.
fn sizes(rig: &Rig) -> Vec<usize> {
    let size = |asked: &Asked| match asked {
        Asked::DecryptBatch { ciphertexts } => ciphertexts.len(),
        _ => 1,
    };
    rig.transit.asked().iter().map(size).collect()
}

fn text(request: &DecryptRequest) -> String {
    String::from_utf8(request.ciphertext.clone()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_equal_decrypts_make_one_call_and_get_a_thousand_answers() {
    let rig = rig();
    rig.transit.script().latency = millis(20);
    let calls = (0..1000).map(|_| rig.decrypt(request(1, b"seed")));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.unwrap(), b"seed");
    }
    assert_eq!(rig.transit.count(), 1);
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn the_first_who_asked_may_leave_and_the_others_are_answered() {
    let rig = rig();
    rig.transit.script().latency = millis(100);
    let first = rig.spawn(request(1, b"seed"), soon());
    settle().await;
    let others: Vec<_> = (0..10)
        .map(|_| rig.spawn(request(1, b"seed"), soon()))
        .collect();
    tokio::time::sleep(millis(50)).await;
    first.abort();
    for other in others {
        assert_eq!(other.await.unwrap().unwrap(), b"seed");
    }
    assert_eq!(rig.transit.count(), 1);
    assert_eq!(rig.transit.flights().2, 0, "broken off");
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_is_broken_off() {
    let rig = rig();
    rig.transit.script().hangs = true;
    let calls: Vec<_> = (0..5)
        .map(|_| rig.spawn(request(1, b"seed"), soon()))
        .collect();
    settle().await;
    assert_eq!(rig.transit.flights().0, 1);
    for call in &calls {
        call.abort();
    }
    settle().await;
    assert_eq!(rig.transit.flights(), (0, 1, 1));
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn sharing_is_no_cache_of_answers_or_errors() {
    let rig = rig();
    rig.transit.script().down = Some(error(Class::Sealed));
    assert!(rig.decrypt(request(1, b"seed")).await.is_err());
    rig.transit.script().down = None;
    for _ in 0..2 {
        assert_eq!(rig.decrypt(request(1, b"seed")).await.unwrap(), b"seed");
    }
    assert_eq!(rig.transit.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_poll_keeps_no_answer_alive_for_those_who_come_later() {
    let rig = rig();
    rig.transit.script().down = Some(error(Class::Sealed));
    let mut lazy = Box::pin(rig.decrypt(request(1, b"seed")));
    assert!((&mut lazy).now_or_never().is_none());
    settle().await;
    rig.transit.script().down = None;
    rig.transit.script().latency = millis(10);
    let second = rig.spawn(request(1, b"seed"), soon());
    settle().await;
    assert!(lazy.await.is_err());
    // The first has left a call that is over; the second's is still there to be joined.
    assert_eq!(rig.decrypt(request(1, b"seed")).await.unwrap(), b"seed");
    assert_eq!(second.await.unwrap().unwrap(), b"seed");
    assert_eq!(rig.transit.count(), 2);
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn decrypts_that_differ_in_any_part_are_not_shared() {
    let rig = Rig::new(view(&[(2, Active), (1, Retired)]));
    rig.transit.script().latency = millis(10);
    let mut noted = request(1, b"seed");
    let note = ("note.example.com".to_owned(), b"x".to_vec());
    noted.annotations.extend([note]);
    let calls = [
        request(1, b"seed"),
        request(2, b"seed"),
        request(1, b"dees"),
        noted,
    ];
    let answers = futures_util::future::join_all(calls.map(|call| rig.decrypt(call))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [b"seed", b"seed", b"dees", b"seed"]);
    assert_eq!(rig.transit.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn who_may_wait_longer_than_the_call_they_joined_gets_another() {
    let rig = rig();
    rig.transit.script().latencies = [Duration::from_secs(60)].into();
    let start = Instant::now();
    let hasty = rig.spawn(request(1, b"seed"), start + millis(100));
    settle().await;
    let patient = rig.spawn(request(1, b"seed"), start + millis(5000));
    assert_eq!(hasty.await.unwrap(), Err(Error::Deadline));
    assert_eq!(start.elapsed(), millis(100));
    assert_eq!(patient.await.unwrap().unwrap(), b"seed");
    assert_eq!(start.elapsed(), millis(100));
    assert_eq!(rig.transit.count(), 2);
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_queued_decrypt_lends_it_the_longer_deadline() {
    let rig = rig();
    rig.transit.script().latencies = [100, 100, 100, 100, 3000].map(millis).into();
    let start = Instant::now();
    let busy: Vec<_> = distinct(4)
        .into_iter()
        .map(|(request, _)| rig.spawn(request, soon()))
        .collect();
    settle().await;
    let hasty = rig.spawn(request(1, b"seed"), start + millis(150));
    settle().await;
    let patient = rig.spawn(request(1, b"seed"), start + millis(5000));
    assert_eq!(hasty.await.unwrap(), Err(Error::Deadline));
    assert_eq!(patient.await.unwrap().unwrap(), b"seed");
    assert_eq!(
        start.elapsed(),
        millis(3100),
        "sent once, and not cut short"
    );
    assert_eq!(rig.transit.count(), 5);
    futures_util::future::join_all(busy).await;
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn three_thousand_distinct_decrypts_are_answered_within_three_seconds() {
    let rig = rig();
    rig.transit.script().latency = millis(200);
    let start = Instant::now();
    let calls = distinct(3000).into_iter().map(|(request, plaintext)| {
        let rig = &rig;
        async move { assert_eq!(rig.decrypt(request).await.unwrap(), plaintext) }
    });
    futures_util::future::join_all(calls).await;
    assert!(
        start.elapsed() <= Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(rig.transit.flights().1, 4, "lanes");
    // Four at once, then 2996 in batches of 64.
    assert_eq!(rig.transit.count(), 4 + 47);
    settle().await;
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn a_decrypt_that_finds_a_free_lane_goes_at_once_and_alone() {
    let rig = rig();
    rig.transit.script().latency = millis(10);
    for (request, plaintext) in distinct(5) {
        let start = Instant::now();
        assert_eq!(rig.decrypt(request).await.unwrap(), plaintext);
        assert_eq!(start.elapsed(), millis(10), "no timer, no added delay");
    }
    assert_eq!(sizes(&rig), [1; 5]);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_leave_together_in_order_up_to_64() {
    let rig = rig();
    rig.transit.script().latency = millis(10);
    let requests = distinct(4 + 64 + 64 + 9);
    let texts: Vec<_> = requests.iter().map(|(request, _)| text(request)).collect();
    let calls = requests
        .into_iter()
        .map(|(request, _)| rig.decrypt(request));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(sizes(&rig), [1, 1, 1, 1, 64, 64, 9]);
    let sent: Vec<_> = rig
        .transit
        .asked()
        .into_iter()
        .flat_map(|asked| match asked {
            Asked::Decrypt { ciphertext } => vec![ciphertext],
            Asked::DecryptBatch { ciphertexts } => ciphertexts,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sent, texts, "first come, first sent");
}

#[tokio::test(start_paused = true)]
async fn who_asks_again_when_an_answer_comes_leaves_with_those_who_wait() {
    let settings = Settings {
        max_decrypt: 2,
        ..SETTINGS
    };
    let rig = Rig::with(view(&[(1, Active)]), settings);
    rig.transit.script().latencies = [10, 15, 10].map(millis).into();
    let mut requests = distinct(6).into_iter().map(|(request, _)| request);
    let (first, again) = (requests.next().unwrap(), requests.next().unwrap());
    let one_after_the_other = async {
        rig.decrypt(first).await.unwrap();
        rig.decrypt(again).await.unwrap();
    };
    let others = requests.map(|request| rig.decrypt(request));
    tokio::join!(one_after_the_other, futures_util::future::join_all(others));
    assert_eq!(sizes(&rig), [1, 1, 4], "alone, alone, and all others");
}

#[tokio::test(start_paused = true)]
async fn lanes_are_no_more_than_the_decrypts_that_may_be_served_at_once() {
    let settings = Settings {
        max_decrypt: 2,
        ..SETTINGS
    };
    let rig = Rig::with(view(&[(1, Active)]), settings);
    rig.transit.script().latency = millis(10);
    let calls = distinct(10)
        .into_iter()
        .map(|(request, _)| rig.decrypt(request));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(rig.transit.flights().1, 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_runs_as_long_as_its_most_patient_item_and_each_caller_leaves_at_their_own() {
    let rig = rig();
    rig.transit.script().latencies = [100, 100, 100, 100].map(millis).into();
    rig.transit.script().latency = millis(3000);
    let start = Instant::now();
    let calls = distinct(4 + 3)
        .into_iter()
        .enumerate()
        .map(|(number, (request, plaintext))| {
            let rig = &rig;
            let patience = millis([2000, 2000, 2000, 2000, 150, 1000, 9000][number]);
            async move {
                let answer = rig.decrypt_by(request, start + patience).await;
                match number {
                    0..4 => assert_eq!(answer.unwrap(), plaintext),
                    6 => {
                        assert_eq!(answer.unwrap(), plaintext);
                        assert_eq!(start.elapsed(), millis(3100));
                    }
                    _ => {
                        assert_eq!(answer, Err(Error::Deadline));
                        assert_eq!(start.elapsed(), patience);
                    }
                }
            }
        });
    futures_util::future::join_all(calls).await;
    assert_eq!(sizes(&rig), [1, 1, 1, 1, 3]);
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn one_bad_item_of_a_batch_fails_alone() {
    let rig = rig();
    rig.transit.script().latency = millis(10);
    let requests = distinct(4 + 20);
    let bad = [(9, Class::CiphertextRejected), (15, Class::VersionTooNew)];
    for (number, class) in bad {
        rig.transit
            .script()
            .bad
            .insert(text(&requests[number].0), class);
    }
    let calls = requests
        .iter()
        .map(|(request, _)| rig.decrypt(request.clone()));
    let answers = futures_util::future::join_all(calls).await;
    for (number, (answer, (_, plaintext))) in answers.into_iter().zip(&requests).enumerate() {
        match number {
            9 => assert_eq!(answer, Err(Error::AadMismatch(REJECTED_BY_TRANSIT))),
            15 => assert_eq!(answer, Err(Error::Backend(error(Class::VersionTooNew)))),
            _ => assert_eq!(answer.as_ref(), Ok(plaintext)),
        }
    }
    assert_eq!(sizes(&rig), [1, 1, 1, 1, 20]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_a_batch_is_every_items_and_is_not_repeated() {
    let rig = rig();
    rig.transit.script().latency = millis(10);
    rig.transit.script().batch_errors = [error(Class::Sealed)].into();
    let calls = distinct(4 + 20)
        .into_iter()
        .map(|(request, _)| rig.decrypt(request));
    let answers = futures_util::future::join_all(calls).await;
    let failed = Err(Error::Backend(error(Class::Sealed)));
    assert_eq!(
        answers.iter().filter(|answer| **answer == failed).count(),
        20
    );
    assert_eq!(sizes(&rig), [1, 1, 1, 1, 20]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_answer_with_too_few_results_is_nobodys_answer() {
    let rig = rig();
    rig.transit.script().latency = millis(10);
    rig.transit.script().short_by = 1;
    let calls = distinct(4 + 20)
        .into_iter()
        .map(|(request, _)| rig.decrypt(request));
    let answers = futures_util::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 20);
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn the_waiting_room_holds_4096_distinct_decrypts_and_followers_need_no_seat() {
    let rig = rig();
    rig.transit.script().latency = millis(500);
    let all = distinct(4 + 4096);
    let calls: Vec<_> = all
        .iter()
        .map(|(request, _)| rig.spawn(request.clone(), soon()))
        .collect();
    // Paused time passes only when nobody has anything left to do.
    tokio::time::sleep(millis(1)).await;
    let start = Instant::now();
    let over = rig.decrypt(request(1, b"one too many")).await;
    assert_eq!(over, Err(Error::WaitingRoomFull));
    assert_eq!(start.elapsed(), Duration::ZERO);
    rig.assert_counted(r#"grpc_concurrency_rejections_total{method="Decrypt"} 1"#);
    let follower = rig.spawn(all[4099].0.clone(), soon());
    settle().await;
    assert!(!follower.is_finished());
    for call in calls {
        assert!(call.await.unwrap().is_ok());
    }
    assert!(follower.await.unwrap().is_ok());
    settle().await;
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn at_most_16384_callers_wait_those_included_who_share_a_call() {
    let rig = rig();
    rig.transit.script().latency = millis(500);
    let seed = request(1, b"seed");
    let calls: Vec<_> = (0..16_384)
        .map(|_| rig.spawn(seed.clone(), soon()))
        .collect();
    tokio::time::sleep(millis(1)).await;
    for over in [seed.clone(), request(1, b"another")] {
        let start = Instant::now();
        assert_eq!(rig.decrypt(over).await, Err(Error::WaitingRoomFull));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
    rig.assert_counted(r#"grpc_concurrency_rejections_total{method="Decrypt"} 2"#);
    for call in calls {
        assert!(call.await.unwrap().is_ok());
    }
    assert_eq!(rig.transit.count(), 1);
    rig.assert_idle();
    assert_eq!(rig.decrypt(seed).await.unwrap(), b"seed");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_queue_is_not_sent_and_gives_the_seat_back() {
    let rig = rig();
    rig.transit.script().latency = millis(100);
    let calls: Vec<_> = distinct(4 + 30)
        .into_iter()
        .map(|(request, _)| rig.spawn(request, soon()))
        .collect();
    settle().await;
    for call in &calls[4..24] {
        call.abort();
    }
    settle().await;
    assert_eq!(rig.keyring.opening.sharing.load(), (14, 4, 10, 10));
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.is_ok(), !(4..24).contains(&number));
    }
    assert_eq!(sizes(&rig), [1, 1, 1, 1, 10]);
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn storms_of_cancelled_decrypts_leave_nothing_behind() {
    let rig = rig();
    rig.transit.script().hangs = true;
    for _ in 0..8 {
        let calls = distinct(200)
            .into_iter()
            .map(|(request, _)| rig.decrypt(request));
        let storm = futures_util::future::join_all(calls);
        assert!(tokio::time::timeout(millis(5), storm).await.is_err());
        settle().await;
        rig.assert_idle();
    }
    rig.transit.script().hangs = false;
    assert!(rig.decrypt(request(1, b"seed")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_hung_transit_costs_each_caller_the_deadline_and_no_lane_for_ever() {
    let rig = rig();
    rig.transit.script().hangs = true;
    let start = Instant::now();
    let calls = distinct(100)
        .into_iter()
        .map(|(request, _)| rig.decrypt(request));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer, Err(Error::Deadline));
    }
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    assert!(rig.probe_wanted());
    settle().await;
    rig.assert_idle();
    rig.transit.script().hangs = false;
    assert!(rig.decrypt(request(1, b"seed")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_panics_costs_its_own_callers_and_no_lane() {
    let rig = rig();
    let requests = distinct(2);
    rig.transit.script().poison.insert(text(&requests[0].0));
    for _ in 0..10 {
        let lost = rig.decrypt(requests[0].0.clone()).await;
        assert!(matches!(lost, Err(Error::Backend(_))), "{lost:?}");
        assert_eq!(
            rig.decrypt(requests[1].0.clone()).await.unwrap(),
            requests[1].1
        );
    }
    settle().await;
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn without_the_driver_every_caller_is_told_at_once() {
    let rig = rig();
    rig.transit.script().hangs = true;
    let calls: Vec<_> = distinct(200)
        .into_iter()
        .map(|(request, _)| rig.spawn(request, soon()))
        .collect();
    settle().await;
    let start = Instant::now();
    rig.driver.abort();
    for call in calls {
        assert!(matches!(call.await.unwrap(), Err(Error::Backend(_))));
    }
    let late = rig.decrypt(request(1, b"seed")).await;
    assert!(matches!(late, Err(Error::Backend(_))), "{late:?}");
    let unknown = rig.decrypt(request(7, b"seed")).await;
    assert_eq!(unknown, Err(Error::MetadataRefresh));
    assert_eq!(start.elapsed(), Duration::ZERO);
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn the_driver_ends_when_the_keyring_is_gone() {
    let rig = rig();
    drop(rig.keyring);
    rig.driver.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_on_several_threads_get_their_own_answers_and_leave_nothing_behind() {
    let rig = rig();
    let mut calls = Vec::new();
    for round in 0..1500_u32 {
        let plaintext = format!("plaintext {}", round % 37).into_bytes();
        let call = rig.spawn(request(1 + u64::from(round % 50 == 0), &plaintext), soon());
        calls.push((call, round, plaintext));
        if round % 16 == 0 {
            tokio::task::yield_now().await;
        }
        if let Some((call, ..)) = calls.get(calls.len() / 2).filter(|_| round % 7 == 0) {
            call.abort();
        }
    }
    for (call, round, plaintext) in calls {
        match call.await {
            Ok(Ok(answer)) => assert_eq!(answer, plaintext),
            Ok(Err(refused)) => assert_eq!((round % 50, refused), (0, Error::KeyIdUnknown)),
            Err(end) => assert!(end.is_cancelled()),
        }
    }
    // A call that its last caller has left ends on another thread.
    while rig.transit.flights().0 > 0 || rig.keyring.opening.sharing.load() != (0, 0, 0, 0) {
        tokio::task::yield_now().await;
    }
    rig.assert_idle();
}
