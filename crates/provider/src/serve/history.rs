//! The last ten minutes of the counters, for the page that people look at.
//!
//! Counters only grow; what happened lately is the difference of two samples. They are read from
//! the exposition, so that no room has to know of this one.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus_client::{encoding::text::encode, registry::Registry};

const EVERY: Duration = Duration::from_secs(10);
/// Ten minutes, and the sample that they begin with.
const KEPT: usize = 61;

/// The counters at one instant.
#[derive(Debug, Clone, Default, PartialEq)]
struct Sample {
    /// Failed requests to OpenBao, by class.
    errors: BTreeMap<String, u64>,
    encrypt: Calls,
    decrypt: Calls,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Calls {
    count: f64,
    seconds: f64,
}

/// What happened lately.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Lately {
    /// Failed requests to OpenBao, by class, the most frequent first.
    pub(super) errors: Vec<(String, u64)>,
    /// Mean milliseconds of each ten seconds, oldest first; `None` without a call.
    pub(super) encrypt: Vec<Option<f64>>,
    /// As `encrypt`.
    pub(super) decrypt: Vec<Option<f64>>,
}

/// Takes the samples.
pub(super) struct History {
    registry: Arc<Registry>,
    samples: Mutex<VecDeque<Sample>>,
}

impl History {
    /// Begins now.
    pub(super) fn of(registry: Arc<Registry>) -> Arc<Self> {
        let history = Self {
            registry,
            samples: Mutex::default(),
        };
        history.take();
        Arc::new(history)
    }

    /// Takes a sample every ten seconds until `stop`.
    pub(super) async fn keep(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + EVERY, EVERY);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return,
                _ = beat.tick() => self.take(),
            }
        }
    }

    /// The time since the oldest sample, up to now.
    pub(super) fn lately(&self) -> Lately {
        let now = self.sample();
        let samples = self.lock();
        let all: Vec<&Sample> = samples.iter().chain([&now]).collect();
        lately(&all)
    }

    fn take(&self) {
        let sample = self.sample();
        let mut samples = self.lock();
        if samples.len() == KEPT {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    fn sample(&self) -> Sample {
        let mut text = String::new();
        // Writing to a string fails only where a metric cannot be written at all.
        let _ = encode(&mut text, &self.registry);
        read(&text)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(exposition: &str) -> Sample {
    let mut sample = Sample::default();
    for line in exposition.lines() {
        let Some((name, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let Some(name) = name.strip_prefix("openbao_kms_") else {
            continue;
        };
        let number = || value.parse::<f64>().unwrap_or_default();
        match name {
            "grpc_duration_seconds_sum{method=\"Encrypt\"}" => sample.encrypt.seconds = number(),
            "grpc_duration_seconds_count{method=\"Encrypt\"}" => sample.encrypt.count = number(),
            "grpc_duration_seconds_sum{method=\"Decrypt\"}" => sample.decrypt.seconds = number(),
            "grpc_duration_seconds_count{method=\"Decrypt\"}" => sample.decrypt.count = number(),
            other => {
                let labels = other.strip_prefix("openbao_requests_total{");
                let status = labels.and_then(|labels| labels.split_once("status=\""));
                let class = status.and_then(|(_, tail)| Some(tail.split_once('"')?.0));
                if let Some(class) = class.filter(|class| *class != "ok") {
                    let errors = sample.errors.entry(class.to_owned()).or_default();
                    *errors += value.parse::<u64>().unwrap_or_default();
                }
            }
        }
    }
    sample
}

fn lately(samples: &[&Sample]) -> Lately {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return Lately::default();
    };
    let mut errors: Vec<(String, u64)> = last
        .errors
        .iter()
        .map(|(class, now)| {
            let before = first.errors.get(class).copied().unwrap_or_default();
            (class.clone(), now.saturating_sub(before))
        })
        .filter(|(_, count)| *count > 0)
        .collect();
    errors.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let means = |of: fn(&Sample) -> Calls| {
        let pairs = samples.iter().zip(samples.iter().skip(1));
        pairs.map(|(a, b)| mean(of(a), of(b))).collect()
    };
    Lately {
        errors,
        encrypt: means(|sample| sample.encrypt),
        decrypt: means(|sample| sample.decrypt),
    }
}

fn mean(before: Calls, after: Calls) -> Option<f64> {
    let count = after.count - before.count;
    (count > 0.0).then(|| (after.seconds - before.seconds) / count * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposition(sealed: u64, count: u64, seconds: f64) -> String {
        format!(
            "# TYPE openbao_kms_openbao_requests counter\n\
             openbao_kms_openbao_requests_total{{operation=\"a\",status=\"ok\"}} 99\n\
             openbao_kms_openbao_requests_total{{operation=\"a\",status=\"openbao_sealed\"}} {sealed}\n\
             openbao_kms_openbao_requests_total{{operation=\"b\",status=\"openbao_sealed\"}} 1\n\
             openbao_kms_openbao_requests_total{{operation=\"b\",status=\"timeout\"}} 7\n\
             openbao_kms_grpc_duration_seconds_sum{{method=\"Encrypt\"}} {seconds}\n\
             openbao_kms_grpc_duration_seconds_count{{method=\"Encrypt\"}} {count}\n\
             # EOF\n"
        )
    }

    #[test]
    fn what_happened_lately_is_the_difference_of_samples() {
        let samples = [(0, 0, 0.0), (0, 0, 0.0), (4, 10, 0.05)]
            .map(|(sealed, count, seconds)| read(&exposition(sealed, count, seconds)));
        let seen = lately(&samples.each_ref());
        assert_eq!(seen.errors, [("openbao_sealed".to_owned(), 4)]);
        assert_eq!(seen.encrypt, [None, Some(5.0)]);
        assert_eq!(seen.decrypt, [None, None]);
        assert_eq!(lately(&[]), Lately::default());
    }

    #[test]
    fn ten_minutes_are_kept_and_no_more() {
        let history = History::of(Arc::new(Registry::default()));
        for _ in 0..200 {
            history.take();
        }
        assert_eq!(history.lock().len(), KEPT);
        assert_eq!(history.lately().encrypt.len(), KEPT);
    }
}
