//! The registry of metrics as text: OpenMetrics, or the older Prometheus format.

use std::collections::HashSet;

use prometheus_client::{encoding::text::encode, registry::Registry};

/// Body and content type of `/metrics`, in the format that `accept` asks for.
///
/// # Errors
/// When a metric cannot be written.
pub(crate) fn render(
    registry: &Registry,
    accept: &str,
) -> Result<(&'static str, String), std::fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    if accept.contains("application/openmetrics-text") {
        Ok((
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            text,
        ))
    } else {
        Ok((
            "text/plain; version=0.0.4; charset=utf-8",
            prometheus(&text),
        ))
    }
}

/// In the Prometheus format a counter's HELP and TYPE carry the sample's full name, and there
/// are no UNIT and EOF lines.
fn prometheus(open_metrics: &str) -> String {
    let counters: HashSet<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let described = ["# HELP ", "# TYPE "].into_iter().find_map(|head| {
            let (name, rest) = line.strip_prefix(head)?.split_once(' ')?;
            counters
                .contains(name)
                .then(|| format!("{head}{name}_total {rest}"))
        });
        text.push_str(described.as_deref().unwrap_or(line));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

    use super::*;

    fn registry() -> Registry {
        let mut registry = Registry::with_prefix("openbao_kms");
        let counter: Counter = Counter::default();
        counter.inc();
        registry.register("panic_recoveries", "Handlers that panicked", counter);
        let gauge: Gauge = Gauge::default();
        registry.register("key_version", "Active key version", gauge);
        registry
    }

    #[test]
    fn the_older_format_names_counters_as_their_samples() {
        let (content_type, text) = render(&registry(), "text/html").unwrap();
        assert!(content_type.starts_with("text/plain; version=0.0.4"));
        assert!(
            text.contains("# TYPE openbao_kms_panic_recoveries_total counter\n"),
            "{text}"
        );
        assert!(
            text.contains("# HELP openbao_kms_panic_recoveries_total "),
            "{text}"
        );
        assert!(
            text.contains("\nopenbao_kms_panic_recoveries_total 1\n"),
            "{text}"
        );
        assert!(
            text.contains("# TYPE openbao_kms_key_version gauge\n"),
            "{text}"
        );
        assert!(!text.contains("# EOF"));
    }

    #[test]
    fn open_metrics_is_given_to_who_asks_for_it() {
        let accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
        let (content_type, text) = render(&registry(), accept).unwrap();
        assert!(content_type.starts_with("application/openmetrics-text"));
        assert!(text.ends_with("# EOF\n"));
    }
}
