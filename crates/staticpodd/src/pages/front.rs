//! The page at `/`: how the pods do, at a glance, for people.
//!
//! One document without scripts and without anything to load. Every text in it is escaped. It may
//! be seen by whoever is on the machine, so it shows of manifests what is wrong and nothing else:
//! neither variables nor arguments.

use std::fmt::Write as _;

use agent::{Overview, PodView, SourceView};
use jiff::Timestamp;
use manifests::view::{Report, Status};
use podstatus::{age, row};

use super::{Look, Sight, troubles};
use crate::{
    documents::words,
    version::{COMMIT, VERSION},
};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b2430;--soft:#657083;--line:#e3e7ed;--card:#fff;--page:#f5f6f8;\
--good:#127a55;--bad:#bd2f28;--warn:#985500}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#97a1b2;--line:#2b3341;--card:#191f2a;\
--page:#10141c;--good:#3fce9a;--bad:#ff7b71;--warn:#efb45c}}\
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);\
font:15px/1.5 system-ui,sans-serif}main{max-width:70rem;margin:0 auto;padding:1.5rem 1rem}\
header{display:flex;align-items:center;gap:.4rem .9rem;flex-wrap:wrap;margin-bottom:1.2rem}\
h1{font-size:1.25rem;margin:0}h2{font-size:.85rem;margin:0;padding:.9rem 1rem .3rem;color:var(--soft);font-weight:600;\
overflow-wrap:anywhere}\
.badge{font-weight:700;padding:.05rem .8rem;border-radius:2rem;border:2px solid}\
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}.soft{color:var(--soft)}\
section{background:var(--card);border:1px solid var(--line);border-radius:.6rem;margin-bottom:1rem;padding-bottom:.4rem}\
table{width:100%;border-collapse:collapse}th{text-align:left;color:var(--soft);font-weight:500;font-size:.85rem}\
th,td{padding:.3rem 1rem;vertical-align:top;overflow-wrap:anywhere}\
td{border-top:1px solid var(--line)}tr.why td{border:0;padding:0 1rem .5rem;white-space:pre-line}\
p{margin:.2rem 0;padding:0 1rem .3rem;overflow-wrap:anywhere;white-space:pre-line}\
.said{padding:0;margin:0 0 .8rem}footer{font-size:.85rem;overflow-wrap:anywhere}\
@media(max-width:40rem){thead{display:none}tr,td{display:block}td{border:0;padding:0 1rem}\
tr:not(.why){border-top:1px solid var(--line);padding:.5rem 0 .2rem}\
tr:not(.why) td+td{display:inline-block;padding-right:0}td[data-name]::before{content:attr(data-name) \" \";\
color:var(--soft);font-size:.85rem}}";

/// The document.
pub(super) fn render(sight: &Sight, look: &Look) -> String {
    let troubles = troubles(look);
    let (badge, tone) = match troubles.is_empty() {
        true => ("healthy", "good"),
        false => ("unhealthy", "bad"),
    };
    let node = escaped(&sight.place.node);
    let mut page = String::with_capacity(8 * 1024);
    push(
        &mut page,
        format_args!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <meta http-equiv=\"refresh\" content=\"10\">\
             <title>{badge} - {node} - staticpodd</title><style>{STYLE}</style></head><body><main>\
             <header><h1>static pods of {node}</h1><span class=\"badge {tone}\">{badge}</span></header>"
        ),
    );
    for trouble in &troubles {
        said(&mut page, "bad", trouble);
    }
    if let Look::Seen(overview) = look {
        if overview.halted {
            said(
                &mut page,
                "warn",
                "everything was told to stop, and nothing is started: staticpodd start-all takes that back",
            );
        }
        if let Some(why) = &overview.store_trouble {
            said(&mut page, "warn", why);
        }
        let wrong = overview.sources.iter().flat_map(|source| &source.files);
        let wrong = wrong.filter(|file| is_wrong(file.status)).count();
        if wrong > 0 {
            let files = match wrong {
                1 => "1 manifest is".to_owned(),
                more => format!("{more} manifests are"),
            };
            said(
                &mut page,
                "warn",
                &format!("{files} not used; what they said last stays in force"),
            );
        }
        pods(&mut page, overview);
        for source in &overview.sources {
            self::source(&mut page, source);
        }
    }
    let now = sight.clock.now().wall;
    push(
        &mut page,
        format_args!(
            "<footer class=\"soft\">runtime <code>{}</code>; version {}, commit {}, up {}; \
             as of {}, renewed every ten seconds; <code>/healthz</code> and <code>/metrics</code> have the \
             same for machines</footer></main></body></html>\n",
            escaped(&sight.place.runtime),
            escaped(VERSION),
            escaped(COMMIT),
            since(sight.started, now),
            clock_time(now),
        ),
    );
    page
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = page.write_fmt(text);
}

fn said(page: &mut String, tone: &str, text: &str) {
    let text = escaped(text);
    push(page, format_args!("<p class=\"said {tone}\">{text}</p>"));
}

fn pods(page: &mut String, overview: &Overview) {
    push(page, format_args!("<section><h2>Pods</h2>"));
    if overview.pods.is_empty() {
        page.push_str("<p class=\"soft\">There are none.</p></section>");
        return;
    }
    page.push_str(
        "<table><thead><tr><th>Name<th>Ready<th>Status<th>Restarts<th>Age</tr></thead><tbody>",
    );
    for view in &overview.pods {
        pod(page, view, overview.wall);
    }
    page.push_str("</tbody></table></section>");
}

fn pod(page: &mut String, view: &PodView, wall: i64) {
    let spec = view.pod.as_ref().and_then(|pod| pod.api.spec.clone());
    let mut row = row(
        &spec.unwrap_or_default(),
        &view.status,
        view.stopping || view.pod.is_none(),
        wall,
    );
    if view.pod.is_none() {
        // Nothing is known of what it should be.
        row.ready = "-".to_owned();
        row.age = "-".to_owned();
    }
    let ended = view.status.phase.as_deref() == Some("Succeeded");
    let tone = match (view.ready || ended, row.status.as_str()) {
        (true, _) => "good",
        (
            false,
            "Running" | "Pending" | "ContainerCreating" | "PodInitializing" | "Terminating",
        ) => "warn",
        (false, status) if status.starts_with("Init:") && !status.contains("BackOff") => "warn",
        (false, _) => "bad",
    };
    let [namespace, name, ready, status, restarts, age] = [
        &view.key.namespace,
        &view.key.name,
        &row.ready,
        &row.status,
        &row.restarts,
        &row.age,
    ]
    .map(|text| escaped(text));
    push(
        page,
        format_args!(
            "<tr><td><span class=\"soft\">{namespace}/</span>{name}</td><td data-name=\"ready\">{ready}</td>\
             <td class=\"{tone}\">{status}</td><td data-name=\"restarts\">{restarts}</td>\
             <td data-name=\"age\">{age}</td></tr>"
        ),
    );
    let why = reasons(view);
    if !why.is_empty() {
        let why = escaped(&why.join("\n"));
        push(
            page,
            format_args!("<tr class=\"why\"><td colspan=\"5\" class=\"soft\">{why}</td></tr>"),
        );
    }
}

/// What a pod waits for, and what its containers say about it.
fn reasons(view: &PodView) -> Vec<String> {
    let status = &view.status;
    let mut all: Vec<String> = Vec::new();
    for wait in &view.waits {
        let (_, sentence) = words(&wait.why);
        all.push(match &wait.container {
            Some(container) => format!("{container}: {sentence}"),
            None => sentence,
        });
    }
    let init = status.init_container_statuses.iter().flatten();
    for own in init.chain(status.container_statuses.iter().flatten()) {
        let waiting = own.state.as_ref().and_then(|state| state.waiting.as_ref());
        let last = own.last_state.as_ref();
        let last = last.and_then(|state| state.terminated.as_ref());
        if let Some(message) = waiting.and_then(|waiting| waiting.message.as_ref()) {
            all.push(format!("{}: {message}", own.name));
        }
        if let (Some(_), Some(end)) = (waiting, last) {
            let reason = end.reason.as_deref().unwrap_or("Ended");
            all.push(format!(
                "{} ended: {reason}, exit code {}",
                own.name, end.exit_code
            ));
        }
    }
    let mut told = std::collections::BTreeSet::new();
    all.retain(|line| told.insert(line.clone()));
    all
}

fn source(page: &mut String, source: &SourceView) {
    let name = escaped(&source.name);
    push(page, format_args!("<section><h2>{name}</h2>"));
    if let Some(why) = &source.trouble {
        let why = escaped(&first_words(why));
        push(page, format_args!("<p class=\"bad\">{why}</p>"));
    }
    let (seen, passed): (Vec<_>, Vec<_>) = source
        .files
        .iter()
        .partition(|file| file.status != Status::Ignored);
    if seen.is_empty() && source.trouble.is_none() {
        page.push_str("<p class=\"soft\">No manifests.</p>");
    }
    page.push_str("<table><tbody>");
    for file in seen {
        self::file(page, file, &source.name);
    }
    page.push_str("</tbody></table>");
    if !passed.is_empty() {
        let names: Vec<String> = passed
            .iter()
            .map(|file| short(file, &source.name))
            .collect();
        let names = escaped(&names.join(", "));
        push(
            page,
            format_args!("<p class=\"soft\">not looked at: {names}</p>"),
        );
    }
    page.push_str("</section>");
}

fn is_wrong(status: Status) -> bool {
    matches!(
        status,
        Status::Refused | Status::Unreadable | Status::Duplicate
    )
}

fn short(file: &Report, source: &str) -> String {
    let below = file.origin.strip_prefix(source).ok();
    let below = below.filter(|rest| !rest.as_os_str().is_empty());
    below.unwrap_or(&file.origin).display().to_string()
}

fn file(page: &mut String, file: &Report, source: &str) {
    let tone = match file.status {
        Status::Ok => "good",
        status if is_wrong(status) => "bad",
        _ => "warn",
    };
    let name = escaped(&short(file, source));
    let pod = escaped(file.pod.as_deref().unwrap_or_default());
    let status = file.status.as_str();
    push(
        page,
        format_args!(
            "<tr><td>{name}</td><td class=\"{tone}\">{status}</td><td class=\"soft\">{pod}</td></tr>"
        ),
    );
    if let Some(error) = &file.error {
        let error = escaped(&first_words(error));
        push(
            page,
            format_args!("<tr class=\"why\"><td colspan=\"3\" class=\"bad\">{error}</td></tr>"),
        );
    }
}

/// The sentences of an error: without the lines of a manifest that it shows, which may hold
/// anything.
fn first_words(error: &str) -> String {
    let lines = error.lines();
    let sentences =
        lines.filter(|line| !line.starts_with(' ') || line.trim_start().starts_with("= "));
    sentences.map(str::trim).collect::<Vec<_>>().join("\n")
}

fn since(then: i64, now: i64) -> String {
    let seconds = u64::try_from(now.saturating_sub(then)).unwrap_or(0);
    age(std::time::Duration::from_secs(seconds))
}

fn clock_time(wall: i64) -> String {
    Timestamp::from_second(wall).unwrap_or_default().to_string()
}

/// A text between tags or in an attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' => safe.push('\n'),
            letter if letter.is_control() => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}
