//! Connections: refused, reset, silent, slow, not to be trusted, closed while idle.

use bao_dev::testing::{Action, Ending, Fault, ListenerMode, TlsMode};
use tonic::Code::{DeadlineExceeded, Unavailable};

use super::{
    rig::Rig,
    row::{Again, Answers, Refusal, Row, When},
};

/// Who waits for a lane behind requests that take all their time.
const BEHIND: Refusal = Refusal(DeadlineExceeded, "timeout");
const LOST: &[Refusal] = &[Refusal(Unavailable, "openbao_connection_failed")];
const UNREACHABLE: &[Refusal] = &[Refusal(Unavailable, "openbao_connection_failed"), BEHIND];
const SILENT: &[Refusal] = &[Refusal(Unavailable, "openbao_unavailable"), BEHIND];
const HURRIED: &[Refusal] = &[BEHIND];
const TLS: &[Refusal] = &[Refusal(Unavailable, "openbao_tls_failed")];
const SEALED_AFTER_A_RESTART: &[Refusal] = &[
    Refusal(Unavailable, "openbao_connection_failed"),
    Refusal(Unavailable, "openbao_sealed"),
];

const DATA: &str = "/v1/transit/*";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = broken();
    rows.extend(silent());
    rows.extend(slow());
    rows.extend(untrusted());
    rows.extend(idle());
    rows.extend(restarts());
    rows
}

fn lost(id: &'static str, cause: &'static str) -> Row {
    Row::new(id, cause).refused_by_openbao("openbao_connection_failed")
}

fn unavailable(id: &'static str, cause: &'static str) -> Row {
    Row::new(id, cause).refused_by_openbao("openbao_unavailable")
}

fn listeners(rig: &Rig, mode: ListenerMode) {
    rig.control().listener(None, mode).unwrap();
}

fn handshakes(rig: &Rig, mode: TlsMode) {
    rig.control().tls(None, mode).unwrap();
}

fn open(rig: &Rig) {
    listeners(rig, ListenerMode::Open);
}

fn trusted(rig: &Rig) {
    handshakes(rig, TlsMode::Good);
}

fn broken() -> Vec<Row> {
    vec![
        lost("F1.1", "OpenBao is down: its port refuses connections")
            .starts(|rig| listeners(rig, ListenerMode::Refuse))
            .ends(open)
            .fails(LOST)
            .unhealthy(When::Stale, "metadata_stale"),
        lost(
            "F1.2",
            "now and then a connection is reset before the answer",
        )
        .starts(|rig| rig.now_and_then(DATA, &Action::Reset)),
        lost("F1.3", "every connection is reset before an answer")
            .starts(|rig| rig.fault(Fault::new(Action::Reset)))
            .fails(LOST)
            .longest_ms(500)
            .cut_short(When::Stale),
        lost(
            "F1.4",
            "every connection is reset in the middle of the answer",
        )
        .starts(|rig| rig.fault(Fault::new(Action::ResetMidBody)))
        .fails(LOST)
        .cut_short(When::Stale),
        lost(
            "F1.5",
            "requests are carried out, but now and then the answer is lost",
        )
        .starts(|rig| rig.now_and_then(DATA, &Action::LoseAnswer)),
    ]
}

fn silent() -> Vec<Row> {
    vec![
        unavailable("F2.1", "requests are accepted and never answered")
            .starts(|rig| rig.fault(Fault::new(Action::Hang)))
            .fails(SILENT)
            .longest_ms(2400)
            .unhealthy(When::Stale, "metadata_stale")
            .again(Again::WhenRequestsHaveTimedOut, Again::TwoProbes),
        Row::new(
            "F2.2",
            "the same, for callers who wait less than `openbao.timeout`",
        )
        .config("openbao.timeout", "2s")
        .patience_ms(1500)
        .starts(|rig| rig.fault(Fault::new(Action::Hang).path(DATA)))
        .fails(HURRIED)
        .longest_ms(1200)
        .lasts_ms(2000)
        .cut_short(When::Stale)
        .again(Again::WhenRequestsHaveTimedOut, Again::TwoProbes),
        lost(
            "F2.3",
            "connections are accepted, and no TLS handshake is answered",
        )
        .starts(|rig| handshakes(rig, TlsMode::Silent))
        .ends(trusted)
        .fails(UNREACHABLE)
        .longest_ms(2400)
        .unhealthy(When::Stale, "metadata_stale")
        .again(Again::WhenRequestsHaveTimedOut, Again::TwoProbes),
        unavailable(
            "F2.4",
            "the network swallows everything: connections neither answer nor end",
        )
        .starts(|rig| listeners(rig, ListenerMode::BlackHole))
        .ends(open)
        .fails(EITHER_SILENT)
        .longest_ms(2400)
        .unhealthy(When::Stale, "metadata_stale")
        .again(Again::WhenRequestsHaveTimedOut, Again::TwoProbes),
    ]
}

/// Old connections do not answer, new ones are not made.
const EITHER_SILENT: &[Refusal] = &[
    Refusal(Unavailable, "openbao_connection_failed"),
    Refusal(Unavailable, "openbao_unavailable"),
    BEHIND,
];

fn slow() -> Vec<Row> {
    vec![
        Row::new("F3.1", "every request takes 200 ms longer")
            .starts(|rig| rig.fault(Fault::new(Action::Delay { ms: 200 })))
            .longest_ms(700),
        Row::new("F3.2", "every request takes up to 300 ms longer")
            .starts(|rig| {
                rig.fault(Fault::new(Action::Jitter {
                    min_ms: 0,
                    max_ms: 300,
                }));
            })
            .longest_ms(900),
        Row::new("F3.3", "one request in five takes 500 ms longer")
            .starts(|rig| {
                rig.fault(Fault::new(Action::Delay { ms: 500 }).probability(0.2, 7));
            })
            .longest_ms(1100),
        Row::new("F3.4", "answers come in small pieces, but in time")
            .starts(|rig| {
                rig.fault(Fault::new(Action::SlowBody {
                    bytes: 200,
                    every_ms: 20,
                }));
            })
            .longest_ms(500),
        unavailable("F3.5", "answers come in small pieces and never to an end")
            .log("openbao.request", "did not finish its answer")
            .starts(|rig| {
                rig.fault(Fault::new(Action::SlowBody {
                    bytes: 1,
                    every_ms: 300,
                }));
            })
            .fails(SILENT)
            .longest_ms(2400)
            .lasts_ms(2500)
            .cut_short(When::Stale)
            .again(Again::WhenRequestsHaveTimedOut, Again::TwoProbes),
    ]
}

fn untrusted() -> Vec<Row> {
    let refused = |id, cause| {
        Row::new(id, cause)
            .refused_by_openbao("openbao_tls_failed")
            .ends(trusted)
            .fails(TLS)
            .longest_ms(500)
    };
    vec![
        refused("F4.1", "OpenBao's certificate has expired")
            .log(
                "openbao.request",
                "the certificate of OpenBao was not accepted",
            )
            .starts(|rig| handshakes(rig, TlsMode::Expired))
            .unhealthy(When::Stale, "metadata_stale"),
        refused("F4.2", "its certificate is of another name")
            .starts(|rig| handshakes(rig, TlsMode::WrongName))
            .cut_short(When::Stale),
        refused("F4.3", "its certificate is of an unknown authority")
            .starts(|rig| handshakes(rig, TlsMode::UnknownCa))
            .cut_short(When::Stale),
        refused("F4.4", "it speaks no version of TLS that we do")
            .starts(|rig| handshakes(rig, TlsMode::Version))
            .cut_short(When::Stale),
        refused("F4.5", "it speaks HTTP without TLS")
            .starts(|rig| handshakes(rig, TlsMode::Plain))
            .cut_short(When::Stale),
    ]
}

fn idle() -> Vec<Row> {
    vec![
        Row::new(
            "F18.1",
            "OpenBao closes every connection that is idle for 50 ms",
        )
        .starts(|rig| rig.control().idle_timeout(None, 50))
        .ends(|rig| rig.control().idle_timeout(None, 300_000)),
        Row::new("F18.2", "all connections are reset, and new ones are taken").starts(|rig| {
            rig.control().connections_close(None, Ending::Rst);
        }),
        Row::new(
            "F18.3",
            "all connections are closed in good order, and new ones are taken",
        )
        .starts(|rig| {
            rig.control().connections_close(None, Ending::Graceful);
        }),
    ]
}

fn restarts() -> Vec<Row> {
    vec![
        lost("R.1", "OpenBao is restarted: down for 1 s")
            .starts(|rig| rig.control().restart(None, 1000, false).unwrap())
            .lasts_ms(950)
            .fails(LOST)
            .for_a_moment(),
        lost(
            "R.2",
            "OpenBao is restarted, comes back sealed, and is unsealed",
        )
        .starts(|rig| rig.control().restart(None, 1000, true).unwrap())
        .ends(|rig| rig.control().unseal())
        .lasts_ms(2000)
        .fails(SEALED_AFTER_A_RESTART)
        .encrypt(Answers::Fails(SEALED_AFTER_A_RESTART))
        .longest_ms(500)
        .cut_short(When::Stale),
    ]
}
