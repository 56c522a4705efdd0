//! Key versions that another node knew first.

use openbao::error::Class;
use registry::record::RecordState::*;

use super::*;
use crate::testing::{Asked, error, metadata, view};

fn rig() -> Rig {
    Rig::new(view(&[(3, Active), (2, Rejected), (1, Removed)]))
}

fn refreshes(rig: &Rig) -> usize {
    let is_refresh = |asked: &&Asked| matches!(asked, Asked::ReadKey { .. });
    rig.transit.asked().iter().filter(is_refresh).count()
}

/// Three probes that list nothing above version 3.
async fn absence(rig: &Rig) {
    for _ in 0..3 {
        rig.keyring.discovery().absorb(&metadata(&[3]));
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_the_metadata_derive_is_served_and_kept() {
    let rig = rig();
    rig.transit.script().metadata = Ok(metadata(&[3, 4, 5]));
    assert_eq!(rig.decrypt(request(5, b"new")).await.unwrap(), b"new");
    assert_eq!(rig.decrypt(request(4, b"newer")).await.unwrap(), b"newer");
    assert_eq!(rig.decrypt(request(5, b"again")).await.unwrap(), b"again");
    assert_eq!(refreshes(&rig), 1);
    let new_connection = true;
    assert_eq!(rig.transit.asked()[0], Asked::ReadKey { new_connection });
    // Only what the registry holds has a row in the metrics.
    assert!(!rig.metrics().contains(r#"version="5""#));
    let active = rig.view.load().active.clone().unwrap();
    assert_eq!(active.version, 3, "nothing is promoted");
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn it_serves_also_before_bootstrap_and_while_unhealthy() {
    let rig = Rig::new(View::default());
    rig.transit.script().metadata = Ok(metadata(&[6, 7]));
    assert_eq!(rig.decrypt(request(6, b"seed")).await.unwrap(), b"seed");
}

#[tokio::test(start_paused = true)]
async fn a_key_id_without_its_own_hash_beside_it_costs_no_refresh() {
    let rig = rig();
    rig.transit.script().metadata = Ok(metadata(&[3, 4]));
    let mut bare = request(4, b"new");
    bare.annotations = request(3, b"x").annotations;
    assert_eq!(rig.decrypt(bare.clone()).await, Err(Error::KeyIdForeign));
    bare.annotations.clear();
    assert_eq!(rig.decrypt(bare).await, Err(Error::KeyIdForeign));
    assert_eq!(rig.transit.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn many_who_miss_the_same_or_another_version_share_one_refresh() {
    let rig = rig();
    rig.transit.script().latency = millis(50);
    rig.transit.script().metadata = Ok(metadata(&[4, 5, 6]));
    let calls = (0..600).map(|number| rig.decrypt(request(4 + number % 3, b"new")));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.unwrap(), b"new");
    }
    assert_eq!(refreshes(&rig), 1);
    assert_eq!(rig.transit.count(), 1 + 3);
    settle().await;
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_id_is_remembered_for_one_window() {
    let rig = rig();
    for _ in 0..50 {
        assert_eq!(
            rig.decrypt(request(9, b"?")).await,
            Err(Error::KeyIdUnknown)
        );
    }
    assert_eq!(refreshes(&rig), 1);
    tokio::time::advance(SETTINGS.probe_interval).await;
    rig.transit.script().metadata = Ok(metadata(&[9]));
    assert_eq!(rig.decrypt(request(9, b"!")).await.unwrap(), b"!");
    assert_eq!(refreshes(&rig), 2);
}

#[tokio::test(start_paused = true)]
async fn four_refreshes_per_window_and_then_the_error_says_that_none_is_left() {
    let rig = rig();
    for version in 10..14 {
        assert_eq!(
            rig.decrypt(request(version, b"?")).await,
            Err(Error::KeyIdUnknown)
        );
    }
    for version in 14..100 {
        assert_eq!(
            rig.decrypt(request(version, b"?")).await,
            Err(Error::MetadataRefresh)
        );
    }
    // What was refused by a refresh stays unknown, with or without a budget.
    assert_eq!(
        rig.decrypt(request(10, b"?")).await,
        Err(Error::KeyIdUnknown)
    );
    assert_eq!(refreshes(&rig), 4);
    rig.assert_counted(r#"decrypt_key_id_errors_total{reason="metadata_refresh"} 86"#);
    tokio::time::advance(SETTINGS.probe_interval).await;
    assert_eq!(
        rig.decrypt(request(50, b"?")).await,
        Err(Error::KeyIdUnknown)
    );
    assert_eq!(refreshes(&rig), 5);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_is_no_refusal_of_the_key_id() {
    let rig = rig();
    rig.transit.script().down = Some(error(Class::Unavailable));
    assert_eq!(
        rig.decrypt(request(4, b"?")).await,
        Err(Error::MetadataRefresh)
    );
    assert!(rig.probe_wanted());
    rig.transit.script().down = None;
    rig.transit.script().metadata = Ok(metadata(&[4]));
    assert_eq!(rig.decrypt(request(4, b"!")).await.unwrap(), b"!");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_began_before_the_caller_came_refuses_nobody() {
    let rig = rig();
    rig.transit.script().latency = millis(100);
    let early = rig.spawn(request(4, b"?"), soon());
    tokio::time::sleep(millis(50)).await;
    // Promoted by another node after the first refresh has read.
    rig.transit.script().metadata = Ok(metadata(&[5]));
    let late = rig.spawn(request(5, b"new"), soon());
    assert_eq!(early.await.unwrap(), Err(Error::KeyIdUnknown));
    assert_eq!(late.await.unwrap().unwrap(), b"new");
    assert_eq!(refreshes(&rig), 2);
}

#[tokio::test(start_paused = true)]
async fn the_one_who_began_a_refresh_may_leave_and_the_others_are_answered() {
    let rig = rig();
    rig.transit.script().latency = millis(100);
    rig.transit.script().metadata = Ok(metadata(&[4]));
    let first = rig.spawn(request(4, b"new"), soon());
    settle().await;
    let other = rig.spawn(request(4, b"other"), soon());
    settle().await;
    first.abort();
    assert_eq!(other.await.unwrap().unwrap(), b"other");
    assert_eq!(refreshes(&rig), 1);
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_hangs_holds_each_caller_to_the_deadline_and_then_ends() {
    let rig = rig();
    rig.transit.script().hangs = true;
    let start = Instant::now();
    let call = rig.spawn(request(4, b"?"), start + millis(300));
    settle().await;
    assert_eq!(rig.keyring.opening.sharing.load().3, 1, "waits in a seat");
    assert_eq!(call.await.unwrap(), Err(Error::Deadline));
    assert_eq!(start.elapsed(), millis(300));
    tokio::time::sleep(Duration::from_secs(10)).await;
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn a_removed_version_is_never_served_whatever_the_metadata_say() {
    let rig = rig();
    rig.transit.script().metadata = Ok(metadata(&[1, 2, 3, 4]));
    assert_eq!(rig.decrypt(request(4, b"new")).await.unwrap(), b"new");
    rig.keyring.discovery().absorb(&metadata(&[1, 2, 3, 4]));
    let before = rig.transit.count();
    assert_eq!(
        rig.decrypt(request(1, b"old")).await,
        Err(Error::KeyVersionRemoved)
    );
    assert_eq!(rig.transit.count(), before);
}

#[tokio::test(start_paused = true)]
async fn a_version_removed_while_the_refresh_ran_is_not_served() {
    let rig = rig();
    rig.transit.script().latency = millis(100);
    rig.transit.script().metadata = Ok(metadata(&[4]));
    let call = rig.spawn(request(4, b"new"), soon());
    tokio::time::sleep(millis(50)).await;
    rig.view.store(Arc::new(view(&[(5, Active), (4, Removed)])));
    assert_eq!(call.await.unwrap(), Err(Error::KeyVersionRemoved));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_version_is_served_when_two_refreshes_derive_it_again() {
    let rig = rig();
    assert_eq!(
        rig.decrypt(request(2, b"?")).await,
        Err(Error::KeyVersionRemoved)
    );
    assert_eq!(refreshes(&rig), 1);
    tokio::time::advance(SETTINGS.probe_interval).await;
    rig.transit.script().metadata = Ok(metadata(&[2, 3]));
    assert_eq!(rig.decrypt(request(2, b"back")).await.unwrap(), b"back");
    assert_eq!(refreshes(&rig), 3);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_version_that_is_not_confirmed_leaves_refreshes_for_others() {
    let rig = rig();
    rig.transit.script().metadata = Ok(metadata(&[2, 3]));
    let call = rig.spawn(request(2, b"?"), soon());
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.transit.script().metadata = Ok(metadata(&[3]));
    assert_eq!(call.await.unwrap(), Err(Error::KeyVersionRemoved));
    for _ in 0..50 {
        let again = rig.decrypt(request(2, b"?")).await;
        assert_eq!(again, Err(Error::KeyVersionRemoved));
    }
    assert_eq!(refreshes(&rig), 2);
    rig.transit.script().metadata = Ok(metadata(&[3, 4]));
    assert_eq!(rig.decrypt(request(4, b"new")).await.unwrap(), b"new");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_version_is_served_when_a_probe_confirms_it_and_stays_out_otherwise() {
    let rig = rig();
    rig.keyring.discovery().absorb(&metadata(&[2, 3]));
    assert_eq!(rig.decrypt(request(2, b"back")).await.unwrap(), b"back");
    assert_eq!(refreshes(&rig), 0);
    absence(&rig).await;
    rig.transit.script().down = Some(error(Class::Unavailable));
    assert_eq!(
        rig.decrypt(request(2, b"?")).await,
        Err(Error::KeyVersionRemoved)
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_probe_no_longer_derives_is_dropped() {
    let rig = rig();
    rig.transit.script().metadata = Ok(metadata(&[3, 4]));
    assert!(rig.decrypt(request(4, b"new")).await.is_ok());
    rig.keyring.discovery().absorb(&metadata(&[3]));
    assert!(rig.decrypt(request(4, b"new")).await.is_ok(), "once");
    absence(&rig).await;
    rig.transit.script().metadata = Ok(metadata(&[3]));
    assert_eq!(
        rig.decrypt(request(4, b"new")).await,
        Err(Error::KeyIdUnknown)
    );
    assert_eq!(refreshes(&rig), 2);
}

#[tokio::test(start_paused = true)]
async fn a_second_sighting_at_the_very_deadline_is_not_waited_for() {
    let told = Err(Error::KeyVersionRemoved);
    for (left, answer, asked) in [(2000, told, 1), (2001, Ok(b"old".to_vec()), 2)] {
        let rig = rig();
        rig.transit.script().metadata = Ok(metadata(&[2, 3]));
        let began = Instant::now();
        let by = began + Duration::from_millis(left);
        assert_eq!(rig.decrypt_by(request(2, b"old"), by).await, answer);
        assert_eq!(refreshes(&rig), asked);
        assert_eq!(began.elapsed().is_zero(), asked == 1, "at once, or waited");
    }
}
