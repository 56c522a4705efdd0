//! The key itself: seen through a node that lags, lost, replaced, rotated, restricted.

use bao_dev::testing::{Action, Fault, KeyConfig, Listener};
use tonic::Code::{FailedPrecondition, InvalidArgument, NotFound, Unavailable};

use super::{
    rig::Rig,
    row::{Again, Answers, Health, Refusal, Row, When},
};
use crate::serve::world::SOUND;

const UNKNOWN_YET: &[Refusal] = &[Refusal(Unavailable, "transit_version_unavailable")];
const UNKNOWN_YET_OR_AWAY: &[Refusal] = &[
    Refusal(Unavailable, "openbao_connection_failed"),
    Refusal(Unavailable, "transit_version_unavailable"),
];
const SHUT_OUT: &[Refusal] = &[Refusal(FailedPrecondition, "transit_version_unavailable")];
const MISSING: &[Refusal] = &[Refusal(NotFound, "transit_key_missing")];
const MISSING_OR_DENIED: &[Refusal] = &[
    Refusal(tonic::Code::PermissionDenied, "transit_policy_denied"),
    Refusal(NotFound, "transit_key_missing"),
];
const FOREIGN: &[Refusal] = &[Refusal(InvalidArgument, "aad_mismatch")];

const KEYS: &str = "/v1/transit/keys/*";
const ENCRYPT: &str = "/v1/transit/encrypt/*";
const DECRYPT: &str = "/v1/transit/decrypt/*";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = lagging();
    rows.extend(lost());
    rows.extend(rotations());
    rows.extend(restricted());
    rows
}

/// A node that lags is believed by nobody for three seconds.
fn lagging_read(id: &'static str, cause: &'static str) -> Row {
    Row::new(id, cause)
        .for_a_moment()
        .lasts_ms(3000)
        .log("status.probe", "unconfirmed")
        .metric("transit_metadata_observation_total", "unconfirmed")
}

fn lagging() -> Vec<Row> {
    vec![
        lagging_read(
            "F10.1",
            "for 3 s metadata reads are answered by a standby that has missed the last rotation",
        )
        .with_standby()
        .prepare(left_behind)
        .rotated(Answers::Works)
        .starts(|rig| {
            rig.control().faults_clear();
            let reset = Fault::new(Action::Reset).listener(Listener::Active);
            rig.fault(reset.path(KEYS));
        })
        .ends(caught_up),
        Row::new(
            "F10.2",
            "a standby that lags does not know the newest key version yet, and answers alone",
        )
        .cut_short(When::DeepStale)
        .lasts_ms(3000)
        .starts(|rig| {
            let text = "invalid ciphertext: version is too new";
            rig.fault(Fault::new(Action::error(400, text)).path(DECRYPT));
        })
        .decrypt(Answers::Fails(UNKNOWN_YET))
        .longest_ms(500)
        .log("openbao.request", "transit_version_unavailable"),
        Row::new(
            "F10.3",
            "the same for a single answer: the second connection leads to another node",
        )
        .starts(|rig| {
            let text = "invalid ciphertext: version is too new";
            rig.now_and_then(DECRYPT, &Action::error(400, text));
        })
        .lasts_ms(3000)
        .longest_ms(500)
        .log("openbao.request", "transit_version_unavailable"),
        Row::new(
            "F10.4",
            "for 3 s a standby that lags says that the key does not exist (404)",
        )
        .for_a_moment()
        .lasts_ms(3000)
        .starts(|rig| rig.fault(Fault::new(empty_404()).path(KEYS)))
        .log("status.probe", "transit_key_missing"),
        lagging_read(
            "F10.5",
            "for 3 s metadata reads lack the creation time of the write key",
        )
        .starts(|rig| {
            let edit = Action::Edit {
                pointer: "/data/keys/1".to_owned(),
                value: None,
            };
            rig.fault(Fault::new(edit).path(KEYS));
        }),
        Row::new(
            "F10.6",
            "the active node is gone, and the standby that is left has missed the last rotation",
        )
        .with_standby()
        .cut_short(When::Confirmed)
        .prepare(left_behind)
        .rotated(Answers::Works)
        .lasts_ms(3000)
        .starts(|rig| {
            rig.control().faults_clear();
            rig.fault(Fault::new(Action::Reset).listener(Listener::Active));
        })
        .ends(caught_up)
        .fails(UNKNOWN_YET_OR_AWAY)
        .longest_ms(500)
        .log("status.probe", "unconfirmed")
        .log("openbao.request", "openbao_connection_failed"),
    ]
}

/// The standby does not see the rotation, and the provider does.
fn left_behind(rig: &Rig) {
    rig.control().lag(true);
    rig.fault(Fault::new(Action::Reset).listener(Listener::Standby));
}

fn caught_up(rig: &Rig) {
    rig.control().faults_clear();
    rig.control().lag(false);
}

fn empty_404() -> Action {
    Action::Answer {
        status: 404,
        error: None,
        wrapped: None,
        body: Some("{\"errors\":[]}".to_owned()),
        headers: std::collections::BTreeMap::new(),
    }
}

/// The first snapshot of a server has this number.
const SNAPSHOT: u64 = 1;

fn keep_a_snapshot(rig: &Rig) {
    assert_eq!(rig.control().snapshot(), SNAPSHOT);
}

fn restore(rig: &Rig) {
    rig.control().restore(SNAPSHOT, false).unwrap();
}

fn lost() -> Vec<Row> {
    vec![
        Row::new(
            "F12.1",
            "OpenBao was restored to a snapshot from before the last rotation; ends when the newer one is restored",
        )
        .rotated(Answers::Works)
        .starts(|rig| {
            keep_a_snapshot(rig);
            rig.control().key_drop_versions(1).unwrap();
        })
        .ends(restore)
        .fails(UNKNOWN_YET)
        .longest_ms(500)
        .unhealthy(When::Confirmed, "version_rollback")
        .again(Again::AtOnce, Again::Confirmed)
        .log("status.changed", "the backend was rolled back"),
        Row::new("F12.2", "the key was deleted; ends when it is restored")
            .starts(|rig| {
                keep_a_snapshot(rig);
                rig.control().key_delete().unwrap();
            })
            .ends(restore)
            .encrypt(Answers::Fails(MISSING_OR_DENIED))
            .decrypt(Answers::Fails(MISSING))
            .longest_ms(500)
            .unhealthy(When::Confirmed, "key_missing")
            .log("status.changed", "the Transit key does not exist"),
        Row::new(
            "F12.3",
            "the key was deleted and another one made under its name; ends when the old one is restored",
        )
        .starts(|rig| {
            keep_a_snapshot(rig);
            rig.control().clock_offset(7);
            rig.control().key_recreate().unwrap();
        })
        .ends(restore)
        .decrypt(Answers::Fails(FOREIGN))
        .loses_what_is_made()
        .unhealthy(When::NextProbe, "identity_drift")
        .again(Again::AtOnce, Again::Confirmed)
        .log("status.changed", "another key under the same number"),
    ]
}

fn rotations() -> Vec<Row> {
    vec![
        Row::new(
            "F16.1",
            "the key is rotated between a Status and an Encrypt",
        )
        .status(Health::Rotates)
        .lasts_ms(2500)
        .starts(|rig| {
            let when = bao_dev::testing::When::Before;
            rig.fault(Fault::new(Action::Rotate { when }).path(ENCRYPT).times(1));
        })
        .log("rotation.promoted", ""),
        Row::new("F16.2", "the key is rotated twice in a row")
            .status(Health::Rotates)
            .lasts_ms(3500)
            .starts(|rig| {
                rig.control().rotate().unwrap();
                rig.control().rotate().unwrap();
            })
            .log("rotation.promoted", ""),
        Row::new(
            "F16.3",
            "the key is rotated while a batch of Decrypts is carried out",
        )
        .config("server.decryptLanes", 1)
        .status(Health::Rotates)
        .lasts_ms(3000)
        .longest_ms(1500)
        .again(Again::WhenRequestsHaveTimedOut, Again::TwoProbes)
        .starts(|rig| {
            rig.fault(Fault::new(Action::Delay { ms: 450 }).path(DECRYPT));
            let when = bao_dev::testing::When::During;
            let rotate = Fault::new(Action::Rotate { when }).path(DECRYPT);
            rig.fault(rotate.batch(true).times(1));
        })
        .log("rotation.promoted", ""),
    ]
}

fn set(rig: &Rig, config: &KeyConfig) {
    rig.control().key_config(config).unwrap();
}

fn mend(rig: &Rig) {
    set(rig, &SOUND);
}

fn restricted() -> Vec<Row> {
    vec![
        Row::new(
            "F17.1",
            "`min_decryption_version` is raised above a version that data needs",
        )
        .rotated(Answers::Fails(SHUT_OUT))
        .starts(|rig| {
            set(
                rig,
                &KeyConfig {
                    min_decryption_version: Some(2),
                    ..SOUND
                },
            );
        })
        .ends(mend)
        .unhealthy(When::NextProbe, "version_shut_out")
        .log("status.changed", "shuts out version 1"),
        Row::new(
            "F17.2",
            "versions that data needs are trimmed (`min_available_version`)",
        )
        .rotated(Answers::Fails(SHUT_OUT))
        .starts(|rig| {
            set(
                rig,
                &KeyConfig {
                    min_available_version: Some(2),
                    min_decryption_version: Some(2),
                    ..SOUND
                },
            );
        })
        .ends(mend)
        .unhealthy(When::NextProbe, "version_shut_out")
        .log("status.changed", "shuts out version 1"),
        Row::new("F17.3", "the key is soft-deleted")
            .starts(|rig| {
                set(
                    rig,
                    &KeyConfig {
                        soft_deleted: Some(true),
                        ..SOUND
                    },
                );
            })
            .ends(mend)
            .fails(SHUT_OUT)
            .unhealthy(When::NextProbe, "key_profile")
            .log("status.changed", "is soft-deleted"),
        Row::new("F17.4", "deleting the key is allowed")
            .starts(|rig| {
                set(
                    rig,
                    &KeyConfig {
                        deletion_allowed: Some(true),
                        ..SOUND
                    },
                );
            })
            .ends(mend)
            .unhealthy(When::NextProbe, "key_profile")
            .log("status.changed", "set deletion_allowed=false"),
        Row::new(
            "F17.5",
            "the mount is allowed to create missing keys on encrypt",
        )
        .starts(|rig| rig.control().upsert(true).unwrap())
        .ends(|rig| rig.control().upsert(false).unwrap())
        .unhealthy(When::NextProbe, "upsert_allowed")
        .log("status.changed", "set disable_upsert=true"),
    ]
}
