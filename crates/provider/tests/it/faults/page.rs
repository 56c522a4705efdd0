//! The table as the page shows it.

use std::time::Duration;

use super::{
    judge::Measured,
    row::{Answers, Health, Refusal, Row, Sign},
};

/// The columns that do not depend on a run.
pub(super) const HEAD: &str =
    "| | what happens | Status | Encrypt | Decrypt | what you see | well again |";

/// The expectations of `row`.
pub(super) fn expected(row: &Row) -> String {
    let decrypt = match row.older {
        None => answers(row.decrypt),
        Some(older) => format!(
            "newest data: {}; older data: {}",
            answers(row.decrypt),
            answers(older)
        ),
    };
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |",
        row.id,
        row.cause,
        status(row),
        encrypt(row),
        with_time(row, decrypt),
        signs(row),
        again(row)
    )
}

/// One more column.
pub(super) fn with_measured(row: &Row, measured: Option<&Measured>) -> String {
    let cell = measured.map_or_else(|| "-".to_owned(), |measured| numbers(row, measured));
    format!("{} {cell} |", expected(row))
}

fn status(row: &Row) -> String {
    let ok = match row.in_the_end {
        None => "`ok` throughout".to_owned(),
        Some(when) => format!("`ok` {} (not waited for here)", when.until_words()),
    };
    match row.status {
        Health::Steady => ok,
        Health::Rotates => format!("{ok}; the key_id moves on, never back"),
        Health::Unhealthy(when, _) => format!("`unhealthy` {}", when.words()),
    }
}

fn encrypt(row: &Row) -> String {
    let while_healthy = answers(row.encrypt);
    let text = match row.status {
        Health::Steady | Health::Rotates => while_healthy,
        Health::Unhealthy(..) => format!("{while_healthy}, then `status_stale`"),
    };
    with_time(row, text)
}

fn answers(answers: Answers) -> String {
    match answers {
        Answers::Works => "works".to_owned(),
        Answers::Deceived => "passes on what OpenBao says, which is wrong".to_owned(),
        Answers::Fails(ways) => classes(ways),
        Answers::Partly(ways) => format!("works or {}", classes(ways)),
    }
}

fn classes(ways: &[Refusal]) -> String {
    let ways = ways.iter().map(|Refusal(_, class)| format!("`{class}`"));
    ways.collect::<Vec<_>>().join(" or ")
}

fn with_time(row: &Row, text: String) -> String {
    match row.longest {
        quick if quick <= Duration::from_millis(300) => text,
        slow => format!("{text}, within {}", seconds(slow)),
    }
}

fn signs(row: &Row) -> String {
    let reason = match row.status {
        Health::Unhealthy(_, reason) => Some(format!("`/ready`: `{reason}`")),
        Health::Steady | Health::Rotates => None,
    };
    let signs = row.signs.iter().map(|sign| match sign {
        Sign::Log(event, "") => format!("`{event}`"),
        Sign::Log(event, word) if word.contains(' ') => format!("`{event}`: {word}"),
        Sign::Log(event, word) => format!("`{event}`: `{word}`"),
        Sign::Metric(family, status) => format!("`{family}{{status=\"{status}\"}}`"),
    });
    let all: Vec<String> = reason.into_iter().chain(signs).collect();
    if all.is_empty() {
        let nothing = if row.is_quiet() {
            "nothing"
        } else {
            "only the calls that fail"
        };
        return nothing.to_owned();
    }
    all.join("; ")
}

fn again(row: &Row) -> String {
    let decrypt = row.decrypt_again.words();
    let calls = match row.status {
        Health::Steady | Health::Rotates => decrypt.to_owned(),
        Health::Unhealthy(..) => format!(
            "Decrypt {decrypt}; Status and Encrypt {}",
            row.status_again.words()
        ),
    };
    if row.loses_what_is_made {
        return format!("{calls}; what was encrypted meanwhile is lost");
    }
    calls
}

fn numbers(row: &Row, measured: &Measured) -> String {
    let unhealthy = measured
        .unhealthy_after
        .map(|after| format!("unhealthy after {}; ", seconds(after)));
    let status = match row.status {
        Health::Unhealthy(..) => format!(", Status {}", seconds(measured.status_again)),
        Health::Steady | Health::Rotates => String::new(),
    };
    format!(
        "{}answers within {} (Encrypt), {} (Decrypt); again: Encrypt {}, Decrypt {}{status}",
        unhealthy.unwrap_or_default(),
        seconds(measured.slowest_encrypt),
        seconds(measured.slowest_decrypt),
        seconds(measured.encrypt_again),
        seconds(measured.decrypt_again),
    )
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
