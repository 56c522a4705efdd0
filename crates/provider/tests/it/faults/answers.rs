//! Answers that are none: sealed, failed inside, elsewhere, too many, malformed, forged.

use std::collections::BTreeMap;

use bao_dev::testing::{Action, Audit, Fault, Listener};
use tonic::Code::{Internal, ResourceExhausted, Unavailable};

use super::{
    rig::Rig,
    row::{Again, Answers, Refusal, Row, When},
};

const SEALED: &[Refusal] = &[Refusal(Unavailable, "openbao_sealed")];
const UNAVAILABLE: &[Refusal] = &[Refusal(Unavailable, "openbao_unavailable")];
const LIMITED: &[Refusal] = &[Refusal(ResourceExhausted, "openbao_rate_limited")];
const OVER_LIMIT: &[Refusal] = &[Refusal(Internal, "protocol_limit")];
const ITEM_FAILED: &[Refusal] = &[Refusal(Internal, "unknown")];

const DATA: &str = "/v1/transit/*";
const ENCRYPT: &str = "/v1/transit/encrypt/*";
const DECRYPT: &str = "/v1/transit/decrypt/*";
const KEYS: &str = "/v1/transit/keys/*";
const HEALTH: &str = "/v1/sys/*";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = sealed();
    rows.extend(failed_inside());
    rows.extend(redirects());
    rows.extend(limits());
    rows.extend(audit());
    rows.extend(malformed());
    rows.extend(forged());
    rows.extend(batches());
    rows
}

/// Every request fails, and is repeated once after a short pause.
fn away(id: &'static str, cause: &'static str) -> Row {
    Row::new(id, cause)
        .refused_by_openbao("openbao_unavailable")
        .fails(UNAVAILABLE)
        .longest_ms(500)
}

fn is_sealed(id: &'static str, cause: &'static str) -> Row {
    Row::new(id, cause)
        .refused_by_openbao("openbao_sealed")
        .fails(SEALED)
        .longest_ms(500)
}

fn limited(id: &'static str, cause: &'static str) -> Row {
    Row::new(id, cause).refused_by_openbao("openbao_rate_limited")
}

fn everything(rig: &Rig, action: Action) {
    rig.fault(Fault::new(action));
}

/// The provider asks nobody's health but by doing its work.
fn nobody_asked_for_health(rig: &Rig) -> Option<String> {
    let asked = rig.control().count("health");
    (asked > 0).then(|| format!("sys/health was asked {asked} times"))
}

fn sealed() -> Vec<Row> {
    vec![
        is_sealed("F5.1", "OpenBao is sealed")
            .starts(|rig| rig.control().seal())
            .ends(|rig| rig.control().unseal())
            .unhealthy(When::Stale, "metadata_stale"),
        is_sealed(
            "F5.2",
            "OpenBao is sealed for less than `statusMaxStaleness`",
        )
        .for_a_moment()
        .lasts_ms(2500)
        .starts(|rig| rig.control().seal())
        .ends(|rig| rig.control().unseal()),
        is_sealed(
            "F5.3",
            "OpenBao is not initialised (`sys/health` 501), as after its storage was lost",
        )
        .cut_short(When::Stale)
        .starts(|rig| rig.control().initialized(false))
        .ends(|rig| rig.control().initialized(true)),
        Row::new(
            "F5.4",
            "`sys/health` says standby (429) or sealed (503), and Transit answers",
        )
        .starts(|rig| {
            let health = |status| Fault::new(Action::health(status)).path(HEALTH);
            rig.fault(health(429).times(1));
            rig.fault(health(503));
        })
        .also(nobody_asked_for_health),
    ]
}

fn failed_inside() -> Vec<Row> {
    vec![
        away("F6.1", "every request fails with 500 `internal error`")
            .starts(|rig| everything(rig, Action::error(500, "internal error")))
            .unhealthy(When::Stale, "metadata_stale"),
        away("F6.2", "the same in the wrapped form")
            .starts(|rig| everything(rig, Action::wrapped(500, "internal error")))
            .cut_short(When::Stale),
        away(
            "F6.3",
            "an election: the node knows of no active node (500)",
        )
        .starts(|rig| {
            let text = "local node not active but active cluster node not found";
            everything(rig, Action::error(500, text));
        })
        .cut_short(When::Stale),
        Row::new("F6.4", "now and then a 500 `internal error`")
            .refused_by_openbao("openbao_unavailable")
            .longest_ms(500)
            .starts(|rig| rig.now_and_then(DATA, &Action::error(500, "internal error"))),
        away(
            "F6.5",
            "a gateway before OpenBao answers 502 with its own page",
        )
        .starts(|rig| everything(rig, Action::body(502, "<html>Bad Gateway</html>")))
        .cut_short(When::Stale),
    ]
}

fn redirects() -> Vec<Row> {
    vec![
        Row::new(
            "F7.1",
            "now and then a node redirects to the other one, which is configured as well",
        )
        .refused_by_openbao("openbao_unavailable")
        .with_standby()
        .starts(|rig| {
            for (from, to) in [
                (Listener::Active, rig.world.bao.standby_address()),
                (Listener::Standby, rig.world.bao.address()),
            ] {
                for n in 1..=8 {
                    let to = to.to_owned();
                    let rule = Fault::new(Action::Redirect { to }).path(DATA);
                    rig.fault(rule.listener(from).after(n * 8).times(1));
                }
            }
        }),
        away("F7.2", "the only node redirects to a dead one")
            .starts(|rig| {
                let to = "https://127.0.0.1:1".to_owned();
                everything(rig, Action::Redirect { to });
            })
            .cut_short(When::Stale),
        away(
            "F7.3",
            "the only node redirects to an address that is not configured: nobody goes there",
        )
        .starts(|rig| {
            let to = rig.foreign_address();
            everything(rig, Action::Redirect { to });
        })
        .cut_short(When::Stale)
        .also(|rig| {
            rig.foreign_address_was_visited()
                .then(|| "the foreign address was visited".to_owned())
        }),
    ]
}

fn limits() -> Vec<Row> {
    vec![
        limited("F8.1", "every request is over a rate limit (429)")
            .starts(|rig| everything(rig, Action::rate_limited(None)))
            .fails(LIMITED)
            .longest_ms(500)
            .unhealthy(When::Stale, "metadata_stale"),
        limited("F8.2", "now and then a request is over a rate limit")
            .starts(|rig| rig.now_and_then(DATA, &Action::rate_limited(None)))
            .longest_ms(500),
        limited(
            "F8.3",
            "for 0.8 s every request is, and OpenBao asks for a pause of 1 s (`Retry-After`): it gets it",
        )
        .starts(|rig| {
            let quota = Fault::new(Action::rate_limited(Some(1)));
            rig.fault(quota.path(DATA).window(0, 800));
        })
        .longest_ms(2200)
        .again(Again::WhenRequestsHaveTimedOut, Again::TwoProbes)
        .lasts_ms(2000),
        limited(
            "F8.4",
            "every request is, and the pause asked for is longer than the caller waits: no wait at all",
        )
        .starts(|rig| everything(rig, Action::rate_limited(Some(30))))
        .fails(LIMITED)
        .cut_short(When::Stale),
    ]
}

fn audit() -> Vec<Row> {
    vec![
        away(
            "F11.1",
            "no audit device can be written: everything but `sys/health` fails with 500",
        )
        .log("openbao.request", "check its audit devices")
        .starts(|rig| rig.control().audit(Audit::RequestFails))
        .ends(|rig| rig.control().audit(Audit::Works))
        .unhealthy(When::Stale, "metadata_stale"),
        away(
            "F11.2",
            "audit devices take requests and no responses: all is carried out, and answered with 500",
        )
        .starts(|rig| rig.control().audit(Audit::ResponseFails))
        .ends(|rig| rig.control().audit(Audit::Works))
        .cut_short(When::Stale),
        away(
            "F11.3",
            "metadata can be read, but encrypt and decrypt fail with 500",
        )
        .log("status.probe", "openbao_unavailable")
        .starts(|rig| {
            for path in [ENCRYPT, DECRYPT] {
                rig.fault(Fault::new(Action::error(500, "internal error")).path(path));
            }
        })
        .unhealthy(When::DeepStale, "deep_stale"),
        Row::new(
            "F11.4",
            "the reverse: `sys/health` fails, and the data path works",
        )
        .starts(|rig| rig.fault(Fault::new(Action::error(500, "internal error")).path(HEALTH)))
        .also(nobody_asked_for_health),
    ]
}

fn malformed() -> Vec<Row> {
    vec![
        away("F13.1", "every answer is a web page, and no JSON")
            .starts(|rig| everything(rig, Action::Junk))
            .unhealthy(When::Stale, "metadata_stale"),
        away("F13.2", "every answer ends in the middle of its JSON")
            .starts(|rig| everything(rig, Action::Truncate { bytes: None }))
            .cut_short(When::Stale),
        Row::new(
            "F13.3",
            "answers are right, but say that they are web pages",
        )
        .starts(|rig| {
            let html = ("Content-Type".to_owned(), "text/html".to_owned());
            let headers = BTreeMap::from([html]);
            everything(rig, Action::Headers { headers });
        }),
        away("F13.4", "every answer is 5 MB long")
            .log("openbao.request", "larger than allowed")
            .starts(|rig| everything(rig, Action::Huge { bytes: 5_000_000 }))
            .cut_short(When::Stale),
        away(
            "F13.5",
            "the member that matters is missing from every answer",
        )
        .starts(|rig| {
            for (path, pointer) in [
                (ENCRYPT, "/data/ciphertext"),
                (DECRYPT, "/data/plaintext"),
                (KEYS, "/data/latest_version"),
            ] {
                let pointer = pointer.to_owned();
                let gone = Action::Edit {
                    pointer,
                    value: None,
                };
                rig.fault(Fault::new(gone).path(path));
            }
        })
        .cut_short(When::Stale),
    ]
}

fn forged() -> Vec<Row> {
    let wrong = |id, cause| {
        Row::new(id, cause)
            .unhealthy(When::NextDeepProbe, "deep_probe_wrong")
            .log("status.probe", "deep_probe_wrong")
    };
    vec![
        wrong(
            "F13.6",
            "Decrypt returns another plaintext than was encrypted",
        )
        .starts(|rig| rig.fault(Fault::new(Action::WrongPlaintext).path(DECRYPT)))
        .decrypt(Answers::Deceived),
        wrong("F13.7", "Encrypt says that it used another key version")
            .starts(|rig| rig.fault(edited("/data/key_version", 7.into())))
            .encrypt(Answers::Fails(OVER_LIMIT)),
        wrong(
            "F13.8",
            "Encrypt returns a ciphertext of another key version",
        )
        .starts(|rig| {
            let other = "vault:v7:c29tZXRoaW5nIGVsc2UgdGhhdCBub2JvZHkgYXNrZWQgZm9y";
            rig.fault(edited("/data/ciphertext", other.into()));
        })
        .encrypt(Answers::Fails(OVER_LIMIT)),
    ]
}

fn edited(pointer: &str, value: serde_json::Value) -> Fault {
    let edit = Action::Edit {
        pointer: pointer.to_owned(),
        value: Some(value),
    };
    Fault::new(edit).path(ENCRYPT)
}

/// One lane and slow answers, so that Decrypts leave together.
fn batches() -> Vec<Row> {
    let together = |id, cause| {
        Row::new(id, cause)
            .config("server.decryptLanes", 1)
            .lasts_ms(2400)
            .longest_ms(1900)
            .again(Again::WhenRequestsHaveTimedOut, Again::TwoProbes)
    };
    vec![
        together(
            "F19.1",
            "one item of every batch of Decrypts fails: the others are answered",
        )
        .starts(|rig| {
            rig.fault(slow_decrypts());
            let item = Action::FailItem {
                index: 0,
                error: "internal error".to_owned(),
                status: None,
            };
            rig.fault(Fault::new(item).path(DECRYPT).batch(true));
        })
        .decrypt(Answers::Partly(ITEM_FAILED)),
        together(
            "F19.2",
            "batches of Decrypts are refused as such: each Decrypt is asked for by itself",
        )
        .starts(|rig| {
            rig.fault(slow_decrypts());
            let refused = Action::error(400, "missing batch input to process");
            rig.fault(Fault::new(refused).path(DECRYPT).batch(true));
        })
        .log("openbao.request", "unknown"),
    ]
}

fn slow_decrypts() -> Fault {
    Fault::new(Action::Delay { ms: 500 }).path(DECRYPT)
}
