//! The API server's validation of a new pod: what it would refuse, a manifest may not say.
//!
//! A kubelet validates static pods by the same rules and drops those that break one, with a line
//! in its log. References to API objects and features that are not supported are other rooms.

mod containers;
mod meta;
mod probes;
mod resources;
mod security;
mod spec;
mod text;
mod volumes;

use crate::{api, report::Report};

/// Reports everything that the API server would refuse. The pod carries the API's defaults.
pub fn check(pod: &api::Pod, report: &mut Report<'_>) {
    meta::check(&pod.metadata, report);
    let Some(spec) = &pod.spec else {
        report.error(
            "spec",
            "is required and missing",
            "say which containers to run",
        );
        return;
    };
    spec::check(spec, report);
    volumes::check(spec, report);
    containers::check(spec, report);
    security::check(spec, report);
    resources::check(spec, report);
}

/// The values of a field that has a fixed list of them.
fn one_of(
    value: Option<&str>,
    words: &[&str],
    field: impl FnOnce() -> String,
    report: &mut Report<'_>,
) {
    if let Some(value) = value
        && !words.contains(&value)
    {
        let advice = match yaml::spelling::closest(value, words) {
            Some(word) => format!("did you mean '{word}'?"),
            None => "write one of these words".to_owned(),
        };
        report.error(
            field(),
            format!("must be one of {}", words.join(", ")),
            advice,
        );
    }
}

/// A list that may be missing, each element with its path.
fn each<'a, T>(
    list: Option<&'a Vec<T>>,
    path: &str,
) -> impl Iterator<Item = (String, &'a T)> + use<'a, T> {
    let path = path.to_owned();
    list.into_iter()
        .flatten()
        .enumerate()
        .map(move |(at, item)| (format!("{path}[{at}]"), item))
}

#[cfg(test)]
mod tests;
