//! Compares what was seen with what the row says. Decides; asks nobody.

use std::time::Duration;

use serde_json::Value;
use tonic::Code;

use super::{
    drive::{Call, Caller, Look, Outcome, Record},
    row::{Answers, Health, NOISE, Refusal, Row, Sign, When},
};

const STATUS_STALE: Refusal = Refusal(Code::FailedPrecondition, "status_stale");
/// Status answers from memory.
const STATUS_TAKES: Duration = Duration::from_millis(50);

/// When the cause was there, on the driver's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// Just before it began.
    pub(super) before: Duration,
    /// It had begun.
    pub(super) begun: Duration,
    /// Just before it ended.
    pub(super) ended: Duration,
    /// It had ended.
    pub(super) healed: Duration,
}

/// What an operator saw just before the cause ended, and all that was logged since it began.
pub(super) struct Operator {
    pub(super) ready: (u16, Value),
    pub(super) metrics_before: String,
    pub(super) metrics: String,
    pub(super) log: Vec<Value>,
}

/// What was measured: no assertion, only numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// From the beginning of the cause to the first `unhealthy`.
    pub(super) unhealthy_after: Option<Duration>,
    pub(super) slowest_encrypt: Duration,
    pub(super) slowest_decrypt: Duration,
    /// From the end of the cause; zero for what never ceased.
    pub(super) status_again: Duration,
    pub(super) encrypt_again: Duration,
    pub(super) decrypt_again: Duration,
}

/// What came of a row.
pub(super) struct Judged {
    pub(super) measured: Measured,
    /// Everything that differs from the row, in words.
    pub(super) misses: Vec<String>,
    /// What is wrong however slow the machine was.
    pub(super) grave: Vec<String>,
}

/// Holds the row against what was seen.
pub(super) fn judge(row: &Row, span: Span, record: &Record, operator: &Operator) -> Judged {
    let mut misses = Vec::new();
    let unhealthy = status(row, span, record, &mut misses);
    for caller in [Caller::Encrypt, Caller::Decrypt, Caller::Older] {
        let answers = match caller {
            Caller::Encrypt => Some(row.encrypt),
            Caller::Decrypt => Some(row.decrypt),
            Caller::Older => row.older,
        };
        if let Some(answers) = answers {
            let stale_from = unhealthy.filter(|_| caller == Caller::Encrypt);
            calls(row, span, record, caller, answers, stale_from, &mut misses);
        }
    }
    key_ids(row, record, &mut misses);
    operator_saw(row, operator, &mut misses);
    let measured = measure(row, span, record, unhealthy, &mut misses);
    Judged {
        measured,
        misses,
        grave: grave(row, record),
    }
}

/// Wrong bytes, and a write key that was left and came back.
fn grave(row: &Row, record: &Record) -> Vec<String> {
    let mut grave = Vec::new();
    let forged = |(_, call): &&(Caller, Call)| call.outcome == Outcome::Forged;
    let deceived = matches!(row.decrypt, Answers::Deceived);
    if let Some((caller, call)) = record.calls.iter().find(forged).filter(|_| !deceived) {
        grave.push(format!("{caller:?} at {:?} gave wrong bytes", call.begun));
    }
    let mut seen: Vec<&str> = Vec::new();
    for look in record.looks.iter().filter(|look| !look.key_id.is_empty()) {
        if seen.last() == Some(&look.key_id.as_str()) {
            continue;
        }
        if seen.contains(&look.key_id.as_str()) {
            grave.push(format!("the key_id went back to {}", look.key_id));
        }
        seen.push(&look.key_id);
    }
    grave
}

/// Checks Status; gives when it was first unhealthy, on the driver's clock.
fn status(row: &Row, span: Span, record: &Record, misses: &mut Vec<String>) -> Option<Duration> {
    for look in &record.looks {
        if look.call.outcome != Outcome::Answered {
            misses.push(format!("Status: {:?}", look.call.outcome));
        }
        if look.call.took() > STATUS_TAKES + NOISE {
            misses.push(format!("Status took {:?}", look.call.took()));
        }
    }
    let first = record.looks.iter().find(|look| look.key_id.is_empty());
    let Health::Unhealthy(when, _) = row.status else {
        if let Some(look) = first {
            let after = look.call.begun.saturating_sub(span.begun);
            misses.push(format!(
                "Status was unhealthy {after:?} after the beginning"
            ));
        }
        return None;
    };
    let Some(first) = first else {
        misses.push("Status never was unhealthy".to_owned());
        return None;
    };
    let at = first.call.begun;
    let after = at.saturating_sub(span.begun);
    let (earliest, latest) = when.bounds();
    if after < earliest || after > latest + NOISE {
        misses.push(format!(
            "Status was unhealthy after {after:?}, not between {earliest:?} and {latest:?}"
        ));
    }
    let relapse = |look: &&Look| {
        look.call.begun > at && look.call.ended < span.ended && !look.key_id.is_empty()
    };
    if let Some(look) = record.looks.iter().find(relapse) {
        misses.push(format!("Status flapped at {:?}", look.call.begun));
    }
    Some(at)
}

fn calls(
    row: &Row,
    span: Span,
    record: &Record,
    caller: Caller,
    answers: Answers,
    stale_from: Option<Duration>,
    misses: &mut Vec<String>,
) {
    let unhealthy_row = matches!(row.status, Health::Unhealthy(..)) && caller == Caller::Encrypt;
    let mut main_way_seen = false;
    for call in record.of(caller) {
        if let Outcome::NoAnswer(what) = &call.outcome {
            misses.push(format!("{caller:?}: {what}"));
        }
        // No machine is so busy that an API server would wait longer.
        if call.took() > row.patience {
            misses.push(format!(
                "{caller:?} took {:?}, longer than its caller waits",
                call.took()
            ));
        } else if call.took() > row.longest + NOISE {
            misses.push(format!(
                "{caller:?} took {:?}, more than {:?}",
                call.took(),
                row.longest
            ));
        }
        let during = call.begun >= span.begun && call.ended <= span.ended;
        let before = call.ended < span.before;
        if before && call.outcome != Outcome::Answered {
            misses.push(format!("{caller:?} in calm weather: {:?}", call.outcome));
        }
        if !during {
            continue;
        }
        let refused = |way: &Refusal| call.outcome == Outcome::Refused(way.0, way.1.to_owned());
        let surely_stale = stale_from.is_some_and(|at| call.begun > at + STATUS_TAKES);
        let fits = match answers {
            _ if surely_stale => refused(&STATUS_STALE),
            _ if unhealthy_row && refused(&STATUS_STALE) => true,
            Answers::Works => call.outcome == Outcome::Answered,
            Answers::Deceived => call.outcome == Outcome::Forged,
            Answers::Fails(ways) => {
                main_way_seen |= ways.first().is_some_and(refused);
                ways.iter().any(refused)
            }
            Answers::Partly(ways) => {
                main_way_seen |= ways.first().is_some_and(refused);
                call.outcome == Outcome::Answered || ways.iter().any(refused)
            }
        };
        if !fits {
            let after = call.begun.saturating_sub(span.begun);
            misses.push(format!("{caller:?} after {after:?}: {:?}", call.outcome));
        }
    }
    // The probe may be faster than the first Encrypt.
    let may_be_missed = soon_unhealthy(row) && caller == Caller::Encrypt;
    if let (Answers::Fails([way, ..]) | Answers::Partly([way, ..]), false) =
        (answers, main_way_seen || may_be_missed)
    {
        misses.push(format!("{caller:?} never was {way:?}"));
    }
}

fn soon_unhealthy(row: &Row) -> bool {
    matches!(
        row.status,
        Health::Unhealthy(When::NextProbe | When::NextDeepProbe, _)
    )
}

/// The key_id moves on where it is to, and Encrypt gives no other than Status.
fn key_ids(row: &Row, record: &Record, misses: &mut Vec<String>) {
    let mut seen: Vec<&str> = Vec::new();
    for look in record.looks.iter().filter(|look| !look.key_id.is_empty()) {
        if !seen.contains(&look.key_id.as_str()) {
            seen.push(&look.key_id);
        }
    }
    let moved = seen.len() > 1;
    if moved != matches!(row.status, Health::Rotates) {
        misses.push(format!("key_ids seen: {seen:?}"));
    }
    for sealed in &record.made {
        if !seen.contains(&sealed.key_id.as_str()) {
            misses.push("Encrypt gave a key_id that Status never gave".to_owned());
        }
    }
}

fn operator_saw(row: &Row, operator: &Operator, misses: &mut Vec<String>) {
    let (code, page) = &operator.ready;
    let healthy = match row.status {
        Health::Steady | Health::Rotates => {
            if *code != 200 {
                misses.push(format!("/ready was {code}: {page}"));
            }
            "1"
        }
        Health::Unhealthy(_, reason) => {
            let named = page["reasons"]
                .as_array()
                .is_some_and(|words| words.iter().any(|word| word == reason));
            if *code != 503 || !named {
                misses.push(format!("/ready was {code} without {reason}: {page}"));
            }
            "0"
        }
    };
    let gauge = format!("openbao_kms_status_healthy {healthy}");
    if !operator.metrics.lines().any(|line| line == gauge) {
        misses.push(format!("no metric {gauge}"));
    }
    if row.is_quiet() {
        noticed(row, operator, misses);
    }
    let mut signs = row.signs.clone();
    for answers in [Some(row.encrypt), Some(row.decrypt), row.older]
        .into_iter()
        .flatten()
    {
        if let Answers::Fails([Refusal(_, class), ..]) = answers
            && !soon_unhealthy(row)
        {
            signs.push(Sign::Log("kms.request", class));
        }
    }
    for sign in signs {
        let seen = match sign {
            Sign::Log(event, word) => operator.log.iter().any(|line| says(line, event, word)),
            Sign::Metric(family, status) => {
                let counted = |metrics: &str| counted(metrics, family, status);
                counted(&operator.metrics) > counted(&operator.metrics_before)
            }
        };
        if !seen {
            misses.push(format!("the operator did not see {sign:?}"));
        }
    }
}

/// A row that promises silence has to keep it.
fn noticed(row: &Row, operator: &Operator, misses: &mut Vec<String>) {
    // Requests that are under way when connections end are repeated, and that is told.
    let mut under_way = if row.id.starts_with("F18.") { 3 } else { 0 };
    for line in &operator.log {
        if line["level"] != "warn" && line["level"] != "error" {
            continue;
        }
        if says(line, "openbao.request", "openbao_connection_failed") && under_way > 0 {
            under_way -= 1;
            continue;
        }
        misses.push(format!("nothing was to be seen, but {line}"));
    }
}

fn says(line: &Value, event: &str, word: &str) -> bool {
    line["message"] == event
        && (word.is_empty()
            || line["error_class"] == word
            || ["reasons", "findings", "reason"]
                .iter()
                .any(|field| line[field].as_str().is_some_and(|text| text.contains(word))))
}

fn counted(metrics: &str, family: &str, status: &str) -> f64 {
    let start = format!("openbao_kms_{family}");
    let label = format!("status=\"{status}\"");
    let samples = metrics
        .lines()
        .filter(|line| line.starts_with(&start) && line.contains(&label));
    let values = samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    values.sum()
}

fn measure(
    row: &Row,
    span: Span,
    record: &Record,
    unhealthy: Option<Duration>,
    misses: &mut Vec<String>,
) -> Measured {
    let slowest = |caller| {
        let during = record.of(caller).filter(|call| call.begun >= span.begun);
        during.map(Call::took).max().unwrap_or_default()
    };
    let mut again = |what: &str, since: Option<Duration>, goal: Duration| {
        let Some(since) = since else {
            misses.push(format!("{what} was never well again"));
            return Duration::MAX;
        };
        if since > goal + NOISE {
            misses.push(format!(
                "{what} was well again after {since:?}, not {goal:?}"
            ));
        }
        since
    };
    let looks = record.looks.iter();
    let looks = looks.map(|look| (look.call.begun, look.call.begun, !look.key_id.is_empty()));
    let status = again(
        "Status",
        well_since(looks, span.healed, true),
        row.status_again.bound(),
    );
    let mut call_again = |what, caller, goal: Duration| {
        let calls = record.of(caller);
        let calls = calls.map(|c| (c.begun, c.ended, c.outcome == Outcome::Answered));
        again(what, well_since(calls, span.healed, false), goal)
    };
    let encrypt = call_again("Encrypt", Caller::Encrypt, row.encrypt_again().bound());
    let mut decrypt = call_again("Decrypt", Caller::Decrypt, row.decrypt_again.bound());
    if row.older.is_some() {
        let older = call_again(
            "Decrypt of older data",
            Caller::Older,
            row.decrypt_again.bound(),
        );
        decrypt = decrypt.max(older);
    }
    Measured {
        unhealthy_after: unhealthy.map(|at| at.saturating_sub(span.begun)),
        slowest_encrypt: slowest(Caller::Encrypt),
        slowest_decrypt: slowest(Caller::Decrypt).max(slowest(Caller::Older)),
        status_again: status,
        encrypt_again: encrypt,
        decrypt_again: decrypt,
    }
}

/// From `healed` to the end of the first call of the last unbroken row of good ones; `None` when
/// the last one is not good. `looks`: a first one that is good ceased at no time.
pub(super) fn well_since(
    calls: impl Iterator<Item = (Duration, Duration, bool)>,
    healed: Duration,
    looks: bool,
) -> Option<Duration> {
    let mut calls: Vec<_> = calls.filter(|(begun, ..)| *begun >= healed).collect();
    calls.sort_by_key(|(begun, ..)| *begun);
    let bad = calls.iter().rposition(|(.., good)| !good);
    let first = bad.map_or(0, |at| at + 1);
    let (_, answered, _) = calls.get(first)?;
    if looks && bad.is_none() {
        return Some(Duration::ZERO);
    }
    Some(answered.saturating_sub(healed))
}
