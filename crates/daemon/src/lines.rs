//! One line per event: JSON for machines, text for people.
//!
//! The event's message is its stable name (`kms.request`, `status.probe`, ...); everything
//! else is a field. Warnings and errors that repeat are counted instead of written.

use std::{
    collections::HashMap,
    fmt,
    io::Write,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line: `ts`, `level`, `message`, then the fields.
    Json,
    /// `ts LEVEL message key=value ...`
    Text,
}

/// How many identical warnings pass in one [`WINDOW`].
const BURST: u32 = 5;
const WINDOW: Duration = Duration::from_secs(10);
/// Distinct warnings remembered at once; beyond it the oldest are forgotten.
const REMEMBERED: usize = 256;

/// The layer that writes lines to what `sink` makes.
pub(crate) struct Lines<F> {
    format: Format,
    sink: F,
    limiter: Mutex<Limiter>,
}

impl<F> Lines<F> {
    /// Lines in `format` to the writers that `sink` makes, one per event.
    pub(crate) fn new(format: Format, sink: F) -> Self {
        Self {
            format,
            sink,
            limiter: Mutex::default(),
        }
    }
}

impl<S, F, W> Layer<S> for Lines<F>
where
    S: Subscriber,
    F: Fn() -> W + 'static,
    W: Write,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        let mut fields = Fields::default();
        event.record(&mut fields);
        if level <= Level::WARN {
            let key = fields.identity();
            let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
            match limiter.admit(key, Instant::now()) {
                Admission::Drop => return,
                Admission::Pass { suppressed: 0 } => {}
                Admission::Pass { suppressed } => {
                    fields.map.insert("suppressed".into(), suppressed.into());
                }
            }
        }
        // A log that cannot be written has nowhere to be reported.
        let _ = (self.sink)().write_all(fields.line(self.format, level).as_bytes());
    }
}

/// The line of an event that no subscriber can be asked to write, with one number.
pub(crate) fn event_line(
    event: &str,
    level: Level,
    format: Format,
    (field, number): (&str, u64),
) -> String {
    let mut fields = Fields {
        message: event.into(),
        ..Fields::default()
    };
    fields.map.insert(field.into(), number.into());
    fields.line(format, level)
}

#[derive(Default)]
struct Fields {
    message: String,
    map: Map<String, Value>,
}

impl Fields {
    /// What makes two warnings the same: the name and the labels that classify, not
    /// durations and ids.
    fn identity(&self) -> String {
        let mut key = self.message.clone();
        for label in [
            "operation",
            "openbao_operation",
            "error_class",
            "status",
            "probe_kind",
            "reason",
            // Another verdict is another event, and another node another trouble.
            "reasons",
            "endpoint",
        ] {
            if let Some(value) = self.map.get(label) {
                key.push('|');
                key.push_str(&plain(value));
            }
        }
        key
    }

    fn line(self, format: Format, level: Level) -> String {
        let mut line = match format {
            Format::Json => self.json(level),
            Format::Text => self.text(level),
        };
        line.push('\n');
        line
    }

    fn json(self, level: Level) -> String {
        let mut object = Map::new();
        object.insert("ts".into(), jiff::Timestamp::now().to_string().into());
        object.insert("level".into(), level.as_str().to_ascii_lowercase().into());
        object.insert("message".into(), self.message.into());
        object.extend(self.map);
        Value::Object(object).to_string()
    }

    fn text(&self, level: Level) -> String {
        let mut line = format!(
            "{} {level:>5} {}",
            jiff::Timestamp::now(),
            one_line(&self.message)
        );
        for (key, value) in &self.map {
            let value = plain(value);
            if value.contains([' ', '"', '=']) || value.is_empty() {
                line.push_str(&format!(" {key}={value:?}"));
            } else {
                line.push_str(&format!(" {key}={}", one_line(&value)));
            }
        }
        line
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Control characters would let a caller's text forge lines or drive a terminal.
fn one_line(text: &str) -> String {
    if text.chars().any(char::is_control) {
        text.escape_debug().to_string()
    } else {
        text.into()
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = plain(&value);
        } else {
            self.map.insert(field.name().into(), value);
        }
    }
}

enum Admission {
    /// Write it, saying how many like it were dropped before.
    Pass {
        suppressed: u64,
    },
    Drop,
}

#[derive(Default)]
struct Limiter {
    seen: HashMap<String, Window>,
}

struct Window {
    began: Instant,
    passed: u32,
    dropped: u64,
}

impl Limiter {
    fn admit(&mut self, key: String, now: Instant) -> Admission {
        if self.seen.len() >= REMEMBERED && !self.seen.contains_key(&key) {
            self.forget_oldest();
        }
        let window = self.seen.entry(key).or_insert(Window {
            began: now,
            passed: 0,
            dropped: 0,
        });
        if now.duration_since(window.began) >= WINDOW {
            let suppressed = std::mem::take(&mut window.dropped);
            (window.began, window.passed) = (now, 1);
            return Admission::Pass { suppressed };
        }
        if window.passed < BURST {
            window.passed += 1;
            return Admission::Pass { suppressed: 0 };
        }
        window.dropped += 1;
        Admission::Drop
    }

    fn forget_oldest(&mut self) {
        let oldest = self.seen.iter().min_by_key(|(_, window)| window.began);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.seen.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Format, work: impl FnOnce()) -> Vec<String> {
        let page = Page::default();
        let sink = page.clone();
        let lines = Lines::new(format, move || sink.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), work);
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn a_json_line_starts_with_time_level_and_event_name() {
        let lines = written(Format::Json, || {
            tracing::info!(key_version = 3u64, healthz = "ok", "status.probe");
        });
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        let keys: Vec<_> = line
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, ["ts", "level", "message", "key_version", "healthz"]);
        assert_eq!(line["level"], "info");
        assert_eq!(line["message"], "status.probe");
        assert!(
            line["ts"]
                .as_str()
                .unwrap()
                .parse::<jiff::Timestamp>()
                .is_ok()
        );
    }

    #[test]
    fn control_characters_of_a_caller_cannot_forge_a_text_line() {
        let lines = written(Format::Text, || {
            tracing::info!(uid = "a\nERROR forged=yes\x1b[2J", "kms.request");
        });
        assert_eq!(lines.len(), 1);
        assert!(!lines[0].contains('\x1b'));
    }

    #[test]
    fn repeated_warnings_are_counted_and_different_ones_are_not() {
        let lines = written(Format::Json, || {
            for duration_ms in 0..100u64 {
                tracing::warn!(error_class = "timeout", duration_ms, "kms.request");
            }
            tracing::warn!(error_class = "openbao_sealed", "kms.request");
            tracing::info!("kms.request");
        });
        assert_eq!(lines.len(), BURST as usize + 2);
    }

    #[test]
    fn another_verdict_or_endpoint_is_another_warning() {
        let lines = written(Format::Json, || {
            for number in 0..20 {
                tracing::warn!(
                    reasons = format!("metadata_stale,{number}"),
                    "status.changed"
                );
                tracing::warn!(endpoint = format!("bao-{number}:8200"), "openbao.request");
            }
        });
        assert_eq!(lines.len(), 40);
    }

    #[test]
    fn the_first_line_after_a_window_says_how_many_were_dropped() {
        let mut limiter = Limiter::default();
        let start = Instant::now();
        for _ in 0..BURST + 7 {
            limiter.admit("a".into(), start);
        }
        let later = limiter.admit("a".into(), start + WINDOW);
        assert!(matches!(later, Admission::Pass { suppressed: 7 }));
    }

    #[test]
    fn memory_for_distinct_warnings_is_bounded() {
        let mut limiter = Limiter::default();
        let start = Instant::now();
        for number in 0..10 * REMEMBERED {
            limiter.admit(number.to_string(), start);
        }
        assert!(limiter.seen.len() <= REMEMBERED);
    }
}
