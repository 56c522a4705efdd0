//! The whole table, several rows at a time, each against an OpenBao and a provider of its own.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    panic::AssertUnwindSafe,
    path::Path,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::{sync::watch, task::JoinSet};

use super::{
    answers,
    drive::{BEAT, Caller, Driver, Outcome, Record, open},
    judge::{Measured, Operator, Span, judge, well_since},
    keys, logins, network, page,
    rig::Rig,
    row::{Health, NOISE, Row},
};

const DOCUMENT: &str = include_str!("../../../../../docs/reliability.md");
/// Rows that run at the same time. Most of their time they wait.
const AT_ONCE: usize = 8;
/// Between the starts of the first rows.
const APART: Duration = Duration::from_millis(200);
/// Before the weather changes.
const CALM: Duration = Duration::from_millis(300);
/// How long all has to go well before it counts as well.
const WELL: Duration = Duration::from_millis(600);
/// A machine that stands still for so long says nothing about the provider.
const STALL: Duration = Duration::from_millis(250);
/// How often a row is tried again on such a machine.
const TRIES: usize = 3;
/// Longer than any goal.
const GIVE_UP: Duration = Duration::from_secs(14);

fn table() -> Vec<Row> {
    let rooms = [
        network::rows(),
        answers::rows(),
        logins::rows(),
        keys::rows(),
    ];
    let mut rows: Vec<Row> = rooms.into_iter().flatten().collect();
    rows.sort_by_key(|row| place(row.id));
    rows
}

/// `F10.2` comes after `F9.1`, and what is not of the catalogue at the end.
fn place(id: &str) -> (bool, u32, u32) {
    let (family, number) = id.split_once('.').unwrap();
    let family = family.strip_prefix('F').map_or(0, |f| f.parse().unwrap());
    (family == 0, family, number.parse().unwrap())
}

/// What came of one row.
struct Verdict {
    measured: Option<Measured>,
    misses: Vec<String>,
    /// Whether one of them has nothing to do with time.
    grave: bool,
    /// How long the machine stood still.
    stall: Duration,
}

impl Verdict {
    fn broken_off() -> Self {
        Self {
            measured: None,
            misses: vec!["the row broke off; see the panic above".to_owned()],
            grave: false,
            stall: Duration::ZERO,
        }
    }
}

async fn endure(row: &Row) -> Verdict {
    let rig = Rig::new(row).await;
    let driver = Driver::start(&rig, row).await;
    tokio::time::sleep(CALM).await;
    let lines_before = rig.provider.text().lines().count();
    let metrics_before = rig.provider.metrics().await;
    let before = driver.now();
    (row.starts)(&rig);
    let begun = driver.now();
    wait_for_the_reason(row, &rig, &driver, begun).await;
    tokio::time::sleep(row.lasts).await;
    let ready = rig.provider.ready().await;
    let metrics = rig.provider.metrics().await;
    let ended = driver.now();
    (row.ends)(&rig);
    let healed = driver.now();
    while !is_well(&driver.record(), healed) && driver.now() < healed + GIVE_UP {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let record = driver.stop().await;
    let log = rig.provider.text();
    let operator = Operator {
        ready,
        metrics_before,
        metrics,
        log: log
            .lines()
            .skip(lines_before)
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect(),
    };
    let span = Span {
        before,
        begun,
        ended,
        healed,
    };
    let judged = judge(row, span, &record, &operator);
    let mut misses = judged.grave;
    misses.extend(lost(row, &rig, &record).await);
    let grave = !misses.is_empty();
    misses.extend(judged.misses);
    misses.extend((row.also)(&rig));
    Verdict {
        measured: Some(judged.measured),
        misses: squeezed(misses),
        grave,
        stall: record.stall,
    }
}

/// A row that differs is tried again where the machine itself stood still meanwhile. That
/// explains lateness; no machine explains wrong bytes, a loss, or a key_id that goes back.
async fn judged(row: &Row) -> Verdict {
    let mut tries = 1;
    loop {
        // A row that panics is a row that failed, like any other.
        let row_runs = AssertUnwindSafe(endure(row)).catch_unwind();
        let (run, stall) = watched(row_runs).await;
        let mut verdict = run.unwrap_or_else(|_| Verdict::broken_off());
        verdict.stall = verdict.stall.max(stall);
        let excused = verdict.stall >= STALL && !verdict.grave;
        if verdict.misses.is_empty() || !excused || tries == TRIES {
            return verdict;
        }
        tries += 1;
    }
}

/// How late a clock beside `work` came at worst.
async fn watched<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let (worst, seen) = watch::channel(Duration::ZERO);
    let mut clock = JoinSet::new();
    clock.spawn(async move {
        loop {
            let before = Instant::now();
            tokio::time::sleep(BEAT).await;
            let late = before.elapsed().saturating_sub(BEAT);
            worst.send_modify(|worst| *worst = late.max(*worst));
        }
    });
    let done = work.await;
    let stall = *seen.borrow();
    (done, stall)
}

/// Until Status shows it, if it has to.
async fn wait_for_the_reason(row: &Row, rig: &Rig, driver: &Driver, begun: Duration) {
    let Health::Unhealthy(when, reason) = row.status else {
        return;
    };
    let limit = begun + when.bounds().1 + NOISE * 2;
    while driver.now() < limit {
        let (_, page) = rig.provider.ready().await;
        let words = page["reasons"].as_array();
        if words.is_some_and(|words| words.iter().any(|word| word == reason)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether every kind of call has gone well for a while.
fn is_well(record: &Record, healed: Duration) -> bool {
    let looks = record.looks.iter();
    let looks = looks.map(|look| (look.call.begun, look.call.begun, !look.key_id.is_empty()));
    let long = |since: Option<Duration>, last: Option<Duration>| {
        let since = since.map(|since| healed + since);
        matches!((since, last), (Some(since), Some(last)) if last >= since + WELL)
    };
    let last = record.looks.last().map(|look| look.call.begun);
    let mut well = long(well_since(looks, healed, false), last);
    for caller in [Caller::Encrypt, Caller::Decrypt, Caller::Older] {
        let calls = record.of(caller);
        if calls.clone().next().is_none() {
            continue;
        }
        let good = |outcome: &Outcome| *outcome == Outcome::Answered;
        let last = calls.clone().map(|call| call.begun).max();
        let calls = calls.map(|call| (call.begun, call.ended, good(&call.outcome)));
        well &= long(well_since(calls, healed, false), last);
    }
    well
}

/// Everything that was ever encrypted has to come back.
async fn lost(row: &Row, rig: &Rig, record: &Record) -> Option<String> {
    let mut client = rig.client(Duration::from_secs(5)).await;
    let before = rig.pool.iter().chain(&rig.older);
    let meanwhile = record.made.iter().filter(|_| !row.loses_what_is_made);
    let mut lost = 0;
    for sealed in before.chain(meanwhile) {
        lost += usize::from(open(sealed, &mut client).await != Outcome::Answered);
    }
    (lost > 0).then(|| format!("{lost} ciphertexts do not decrypt afterwards"))
}

/// Each miss once, with how often.
fn squeezed(misses: Vec<String>) -> Vec<String> {
    let total = misses.len();
    let mut kept: Vec<String> = misses.into_iter().take(12).collect();
    if total > kept.len() {
        kept.push(format!("and {} more", total - kept.len()));
    }
    kept
}

/// One line for each row, in the order of the table.
fn rendered(rows: &[Row], verdicts: &[Verdict]) -> String {
    let mut text = format!("{} measured |\n|{}\n", page::HEAD, "---|".repeat(8));
    for (row, verdict) in rows.iter().zip(verdicts) {
        let _ = writeln!(
            text,
            "{}",
            page::with_measured(row, verdict.measured.as_ref())
        );
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_every_weather_the_provider_answers_as_the_table_says_and_is_soon_well_again() {
    let rows = table();
    // The longest first, so that nobody waits for one of them at the end.
    let mut order: Vec<(usize, &Row)> = rows.iter().enumerate().collect();
    order.sort_by_key(|(_, row)| Reverse(row.lasts));
    let runs = order.into_iter().zip(0..).map(async |((at, row), place)| {
        // Nobody starts in the crowd of all the first ones.
        tokio::time::sleep(APART * place.min(8)).await;
        (at, judged(row).await)
    });
    let mut done = 0;
    let verdicts: BTreeMap<usize, Verdict> = stream::iter(runs)
        .buffer_unordered(AT_ONCE)
        .inspect(|_| {
            done += 1;
            tell(done, rows.len());
        })
        .collect()
        .await;
    let verdicts: Vec<Verdict> = verdicts.into_values().collect();
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults.md");
    fs::write(made, rendered(&rows, &verdicts)).unwrap();
    let mut failed = String::new();
    for (row, verdict) in rows.iter().zip(&verdicts) {
        let misses = &verdict.misses;
        if !misses.is_empty() {
            let stall = verdict.stall;
            let _ = writeln!(failed, "{} ({}); stall {stall:?}:", row.id, row.cause);
            for miss in misses {
                let _ = writeln!(failed, "    {miss}");
            }
        }
    }
    assert!(failed.is_empty(), "rows that differ:\n{failed}");
    assert_noise_is_rare(&rows, &verdicts);
}

/// For who waits for the table.
#[expect(clippy::print_stderr, reason = "shown only with --nocapture")]
fn tell(done: usize, all: usize) {
    if done.is_multiple_of(10) || done == all {
        eprintln!("faults: {done} of {all} rows done");
    }
}

/// Noise hits a call here and there. What delays most rows beyond their times is no noise.
fn assert_noise_is_rare(rows: &[Row], verdicts: &[Verdict]) {
    let measured = verdicts
        .iter()
        .filter_map(|verdict| verdict.measured.as_ref());
    let both = rows.iter().zip(measured);
    let all = both.clone().count();
    let again = both
        .clone()
        .filter(|(row, seen)| seen.decrypt_again > row.decrypt_again.bound());
    let slow = both.filter(|(row, seen)| {
        seen.slowest_decrypt > row.longest || seen.slowest_encrypt > row.longest
    });
    let late = (again.count(), slow.count());
    assert!(
        late.0 < all / 3 && late.1 < all / 3,
        "of {all} rows {} were well again too late and {} answered too late, all within noise",
        late.0,
        late.1
    );
}

#[test]
fn the_page_for_operators_holds_exactly_this_table() {
    let (_, rest) = DOCUMENT.split_once("<!-- faults -->").unwrap();
    let (shown, _) = rest.split_once("<!-- /faults -->").unwrap();
    let mut shown = shown.trim().lines();
    assert!(
        shown.next().unwrap().starts_with(page::HEAD),
        "docs/reliability.md: other columns; run make faults DOC=docs/reliability.md"
    );
    let shown: Vec<&str> = shown.skip(1).collect();
    let rows = table();
    for (row, line) in rows.iter().zip(&shown) {
        let expected = page::expected(row);
        assert!(
            line.starts_with(&expected),
            "docs/reliability.md differs from the table; run make faults DOC=docs/reliability.md\npage:  {line}\ntable: {expected}"
        );
    }
    assert_eq!(
        shown.len(),
        rows.len(),
        "docs/reliability.md; run make faults DOC=docs/reliability.md"
    );
}
