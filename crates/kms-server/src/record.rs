//! What is known about one call, and the guard that counts and logs it however it ends.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::Instant;
use tonic::Code;
use tracing::Level;

use crate::{
    metrics::{Method, Metrics},
    settings::Correlation,
    status::{Cause, Refusal, code_name, refuse},
};

/// Facts that the service learns and the log wants. Shared through the request.
#[derive(Debug, Default)]
pub(crate) struct Record {
    key_id: OnceLock<String>,
    version: OnceLock<u64>,
    uid_hash: OnceLock<String>,
    refusal: OnceLock<(Refusal, String)>,
    reached: OnceLock<()>,
    /// Whether the caller's uid is wanted.
    named: bool,
}

impl Record {
    /// The message was read: from here on every answer is ours and not the library's.
    pub(crate) fn reach(&self, uid: &str) {
        let _ = self.reached.set(());
        if self.named && !uid.is_empty() {
            let _ = self.uid_hash.set(registry::scope::hash(uid));
        }
    }

    pub(crate) fn was_reached(&self) -> bool {
        self.reached.get().is_some()
    }

    /// The key_id that the call is about; the log shows its hash.
    pub(crate) fn note_key_id(&self, key_id: &str) {
        let _ = self.key_id.set(key_id.to_owned());
    }

    /// The key version that the call's ciphertext names. A ciphertext that names none in the
    /// one form that Transit writes leaves it out.
    pub(crate) fn note_version(&self, ciphertext: &[u8]) {
        let text = std::str::from_utf8(ciphertext).unwrap_or_default();
        if let Ok(version) = registry::ciphertext::version_of(text) {
            let _ = self.version.set(version);
        }
    }

    /// Why the call was refused; `reason` is for our log only.
    pub(crate) fn note_refusal(&self, refusal: Refusal, reason: String) {
        let _ = self.refusal.set((refusal, reason));
    }
}

/// One call from its headers to its end. Dropping it before [`Call::end`] says that the
/// caller went away: that is how a canceled call looks from inside.
pub(crate) struct Call {
    method: Method,
    began: Instant,
    metrics: Metrics,
    correlation: Option<Arc<Correlation>>,
    record: Arc<Record>,
    code: Option<Code>,
}

impl Call {
    pub(crate) fn begin(
        method: Method,
        metrics: &Metrics,
        correlation: Option<&Arc<Correlation>>,
        began: Instant,
    ) -> Self {
        metrics.began(method);
        let correlation = correlation.filter(|c| began < c.until).cloned();
        Self {
            method,
            began,
            metrics: metrics.clone(),
            record: Arc::new(Record {
                named: correlation.is_some(),
                ..Record::default()
            }),
            correlation,
            code: None,
        }
    }

    pub(crate) fn record(&self) -> &Arc<Record> {
        &self.record
    }

    pub(crate) fn method(&self) -> Method {
        self.method
    }

    /// The call has its answer.
    pub(crate) fn end(mut self, code: Code) {
        self.code = Some(code);
    }

    fn log(&self, code: Code, took: Duration) {
        let panicked = || matches!(self.record.refusal.get(), Some((r, _)) if r.class == "panic");
        let level = match code {
            Code::Ok | Code::Cancelled => Level::DEBUG,
            Code::Internal if panicked() => Level::ERROR,
            _ => Level::WARN,
        };
        // Not worth a hash when nobody reads it.
        if level == Level::DEBUG && !tracing::enabled!(Level::DEBUG) {
            return;
        }
        let canceled = || refuse(&Cause::Canceled).class;
        let refused = self.record.refusal.get();
        let line = Line {
            operation: self.method.as_str(),
            status: code_name(code),
            duration_ms: pace::millis(took),
            key_id_hash: self.record.key_id.get().map(|id| registry::scope::hash(id)),
            version: self.record.version.get().copied(),
            error_class: match refused {
                Some((refusal, _)) => Some(refusal.class),
                None => (code == Code::Cancelled).then(canceled),
            },
            reason: refused.map(|(_, reason)| reason.as_str()),
            uid_hash: self.record.uid_hash.get().map(String::as_str),
            correlation: self.correlation.as_deref(),
        };
        match level {
            Level::DEBUG => line.debug(),
            Level::ERROR => line.error(),
            _ => line.warn(),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let code = self.code.unwrap_or(Code::Cancelled);
        let took = self.began.elapsed();
        self.metrics.ended(self.method, code, took);
        self.log(code, took);
    }
}

struct Line<'a> {
    operation: &'static str,
    status: &'static str,
    duration_ms: f64,
    key_id_hash: Option<String>,
    version: Option<u64>,
    error_class: Option<&'static str>,
    reason: Option<&'a str>,
    uid_hash: Option<&'a str>,
    correlation: Option<&'a Correlation>,
}

/// A level is part of a callsite, so each level needs its own.
macro_rules! write_line {
    ($level:expr, $line:expr) => {
        tracing::event!(
            $level,
            operation = $line.operation,
            status = $line.status,
            duration_ms = $line.duration_ms,
            key_id_hash = $line.key_id_hash.as_deref(),
            transit_key_version = $line.version,
            error_class = $line.error_class,
            reason = $line.reason,
            request_uid_hash = $line.uid_hash,
            debug_correlation_incident = $line.correlation.map(|c| c.incident.as_str()),
            debug_correlation_expires_at = $line.correlation.map(|c| c.expires_at.as_str()),
            "kms.request"
        )
    };
}

impl Line<'_> {
    fn debug(&self) {
        write_line!(Level::DEBUG, self);
    }

    fn warn(&self) {
        write_line!(Level::WARN, self);
    }

    fn error(&self) {
        write_line!(Level::ERROR, self);
    }
}
