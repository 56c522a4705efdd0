//! The page at `/`: how the provider does, at a glance, for people.
//!
//! One document without scripts and without anything to load. Every text in it is escaped, also
//! those that are ours.

use std::{fmt::Write as _, time::Duration};

use keyring::view::{ProbeSight, Trouble};
use pace::Now;
use registry::finding::{Finding, Label};

use super::history::Lately;
use crate::version::{COMMIT, VERSION};

/// Everything that the page shows.
pub(super) struct Front {
    pub(super) now: Now,
    pub(super) healthy: bool,
    pub(super) reasons: Vec<&'static str>,
    pub(super) findings: Vec<Finding>,
    pub(super) findings_omitted: usize,
    pub(super) metadata: ProbeSight,
    pub(super) deep: ProbeSight,
    /// Version and hashed key_id of the write key.
    pub(super) active: Option<(u64, String)>,
    pub(super) pending: Option<(u64, String)>,
    pub(super) generation: u64,
    pub(super) disk: Option<Trouble>,
    pub(super) login: String,
    pub(super) token: Option<Duration>,
    pub(super) lately: Lately,
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2330;--soft:#667085;--line:#e4e7ec;--card:#fff;--page:#f6f7f9;\
--good:#12805c;--bad:#c0322b;--warn:#a15c00;--mark:#3b63c4}\
@media(prefers-color-scheme:dark){:root{--ink:#e7eaf0;--soft:#98a2b3;--line:#2c3442;--card:#1a202b;\
--page:#11151d;--good:#3ecf9b;--bad:#ff7a70;--warn:#f0b35a;--mark:#86a8ff}}\
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);\
font:15px/1.5 system-ui,sans-serif}main{max-width:66rem;margin:0 auto;padding:2rem 1.25rem}\
header{display:flex;align-items:baseline;gap:1rem;flex-wrap:wrap;margin-bottom:1.5rem}\
h1{font-size:1.25rem;margin:0}h2{font-size:.8rem;margin:0 0 .6rem;color:var(--soft);font-weight:600}\
.badge{font-weight:700;padding:.1rem .8rem;border-radius:2rem;border:2px solid}\
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}.soft{color:var(--soft)}\
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(19rem,1fr));gap:1rem}\
section{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1rem 1.1rem;\
min-width:0}dl{display:grid;grid-template-columns:auto 1fr;gap:.15rem .9rem;margin:0}\
dt{color:var(--soft)}dd{margin:0;text-align:right;overflow-wrap:anywhere}\
code{font:.85em ui-monospace,monospace}svg{width:100%;height:3.2rem;display:block;border-bottom:1px solid var(--line)}\
polyline{fill:none;stroke:var(--mark);stroke-width:1.5;vector-effect:non-scaling-stroke}\
circle{fill:var(--mark)}footer{margin-top:1.5rem;font-size:.85rem}p{margin:.2rem 0}\
.said{margin:-1rem 0 1.5rem}.said+.said{margin-top:-1.2rem}";

/// The document.
pub(super) fn render(front: &Front) -> String {
    let mut page = String::with_capacity(6 * 1024);
    let (badge, tone) = if front.healthy {
        ("healthy", "good")
    } else {
        ("unhealthy", "bad")
    };
    push(
        &mut page,
        format_args!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <meta http-equiv=\"refresh\" content=\"10\">\
             <title>{badge} - bao-kms-provider</title><style>{STYLE}</style></head><body><main>\
             <header><h1>bao-kms-provider</h1><span class=\"badge {tone}\">{badge}</span>\
             <span class=\"bad\">{}</span></header>",
            shown(&front.reasons.join(", "))
        ),
    );
    findings(&mut page, &front.findings, front.findings_omitted);
    failures(&mut page, front);
    page.push_str("<div class=\"grid\">");
    probes(&mut page, front);
    keys(&mut page, front);
    backend(&mut page, front);
    errors(&mut page, &front.lately.errors);
    latency(&mut page, "Encrypt", &front.lately.encrypt);
    latency(&mut page, "Decrypt", &front.lately.decrypt);
    push(
        &mut page,
        format_args!(
            "</div><footer class=\"soft\">version {}, commit {}; as of {}, renewed every ten seconds; \
             <code>/ready</code> has the same for machines</footer></main></body></html>\n",
            escaped(VERSION),
            escaped(COMMIT),
            clock_time(front.now.wall).unwrap_or_default(),
        ),
    );
    page
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = page.write_fmt(text);
}

/// One card of names and values; values are a tone and a text.
fn card(page: &mut String, title: &str, rows: &[(&str, &str, String)]) {
    push(page, format_args!("<section><h2>{title}</h2><dl>"));
    for (name, tone, value) in rows {
        let (name, value) = (shown(name), shown(value));
        push(
            page,
            format_args!("<dt>{name}</dt><dd class=\"{tone}\">{value}</dd>"),
        );
    }
    page.push_str("</dl></section>");
}

/// What is wrong for sure, each with what to do, and how much more there is.
fn findings(page: &mut String, findings: &[Finding], omitted: usize) {
    for finding in findings {
        let stake = match finding.label() {
            Label::CryptographicSafety => "data could be read, forged or lost",
            Label::ApiServerAvailability => "API servers cannot write or read",
        };
        let sentence = shown(&finding.to_string());
        push(
            page,
            format_args!(
                "<p class=\"bad said\">{sentence} <span class=\"soft\">({stake})</span></p>"
            ),
        );
    }
    if omitted > 0 {
        push(
            page,
            format_args!("<p class=\"bad said\">and {omitted} more</p>"),
        );
    }
}

/// What the last probes said, if they failed.
fn failures(page: &mut String, front: &Front) {
    let tone = if front.healthy { "warn" } else { "bad" };
    for (name, sight) in [("metadata", &front.metadata), ("deep", &front.deep)] {
        if let Some(reason) = &sight.reason {
            let reason = shown(reason);
            push(
                page,
                format_args!("<p class=\"{tone} said\">{name} probe: {reason}</p>"),
            );
        }
    }
}

fn probes(page: &mut String, front: &Front) {
    let row = |name, sight: &ProbeSight| match (sight.trouble, sight.passed) {
        (Some(trouble), _) => (name, "bad", troubled(&trouble, front.now)),
        (None, Some(at)) => {
            let ago = front.now.mono.saturating_sub(at);
            (name, "good", format!("passed {} ago", rough(ago)))
        }
        (None, None) => (name, "soft", "not yet".to_owned()),
    };
    let rows = [row("metadata", &front.metadata), row("deep", &front.deep)];
    card(page, "Probes", &rows);
}

fn keys(page: &mut String, front: &Front) {
    let row = |name, key: &Option<(u64, String)>, none: &str| match key {
        Some((version, hash)) => {
            let short: String = hash.chars().take(6).collect();
            (name, "", format!("version {version} ({short}\u{2026})"))
        }
        None => (name, "soft", none.to_owned()),
    };
    // Nothing is encrypted while unhealthy.
    let write_key = if front.healthy {
        "writes"
    } else {
        "write key, unused"
    };
    let disk = match &front.disk {
        None => ("disk", "good", "holds it".to_owned()),
        Some(trouble) => ("disk", "warn", troubled(trouble, front.now)),
    };
    let rows = [
        row(write_key, &front.active, "no key yet"),
        row("pending", &front.pending, "none"),
        ("generation", "", front.generation.to_string()),
        disk,
    ];
    card(page, "Key", &rows);
}

fn backend(page: &mut String, front: &Front) {
    let good = front.login == "logged_in";
    let token = match front.token {
        None => ("soft", "none".to_owned()),
        Some(Duration::MAX) => ("", "does not end".to_owned()),
        Some(left) => ("", format!("{} left", rough(left))),
    };
    let rows = [
        (
            "login",
            if good { "good" } else { "bad" },
            front.login.replace('_', " "),
        ),
        ("token", token.0, token.1),
    ];
    card(page, "OpenBao", &rows);
}

fn errors(page: &mut String, errors: &[(String, u64)]) {
    let title = "Failed requests to OpenBao, last ten minutes";
    if errors.is_empty() {
        let none = "<p class=\"good\">none</p></section>";
        push(page, format_args!("<section><h2>{title}</h2>{none}"));
        return;
    }
    let rows: Vec<(&str, &str, String)> = errors
        .iter()
        .map(|(class, count)| (class.as_str(), "warn", count.to_string()))
        .collect();
    card(page, title, &rows);
}

/// Width and height of the drawing, in its own units.
const WIDE: f64 = 300.0;
const HIGH: f64 = 40.0;

fn latency(page: &mut String, method: &str, means: &[Option<f64>]) {
    let known = means.iter().flatten().copied();
    let top = known.clone().fold(0.0_f64, f64::max);
    let last = known.last();
    let says = match last {
        Some(last) => format!("{last:.1} ms, at most {top:.1} ms"),
        None => "no call yet".to_owned(),
    };
    push(
        page,
        format_args!(
            "<section><h2>{method}, mean of ten seconds each</h2><p>{says}</p>\
             <svg viewBox=\"0 0 {WIDE} {HIGH}\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"latency of {method}\">"
        ),
    );
    for line in lines(means, top) {
        match &*line {
            [(x, y)] => push(
                page,
                format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.5\"/>"),
            ),
            points => {
                page.push_str("<polyline points=\"");
                for (x, y) in points {
                    push(page, format_args!("{x:.1},{y:.1} "));
                }
                page.push_str("\"/>");
            }
        }
    }
    page.push_str("</svg></section>");
}

/// A line for each stretch without a gap; the newest mean at the right edge.
fn lines(means: &[Option<f64>], top: f64) -> Vec<Vec<(f64, f64)>> {
    let step = WIDE / 61.0;
    let mut lines: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    let mut x = WIDE - step / 2.0;
    for mean in means.iter().rev() {
        match (mean, lines.last_mut()) {
            (Some(mean), Some(line)) => {
                let y = HIGH - 2.0 - mean / top.max(0.001) * (HIGH - 4.0);
                line.push((x, y));
            }
            _ => lines.push(Vec::new()),
        }
        x -= step;
    }
    lines.retain(|line| !line.is_empty());
    lines
}

fn troubled(trouble: &Trouble, now: Now) -> String {
    let lasts = now.mono.saturating_sub(trouble.since.mono);
    format!("{} for {}", trouble.word, rough(lasts))
}

/// A time of the wall clock, in UTC.
pub(super) fn clock_time(wall: i64) -> Option<String> {
    Some(jiff::Timestamp::from_second(wall).ok()?.to_string())
}

/// A duration as people say it.
fn rough(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// Text between tags; long words may be broken where their parts meet.
fn shown(text: &str) -> String {
    escaped(text).replace('_', "_<wbr>")
}

/// Text that is text wherever it is put in HTML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests;
