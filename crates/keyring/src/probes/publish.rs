//! From records and facts to the one view that all calls read.

use std::{collections::HashMap, sync::Arc};

use registry::{
    health::Verdict,
    record::{Record, RecordState},
    snapshot::Snapshot,
};

use super::{Facts, Probes};
use crate::view::{FINDINGS, Slot, View};

impl Probes {
    pub(super) fn active(&self) -> Option<&Record> {
        self.records
            .iter()
            .find(|record| record.state == RecordState::Active)
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.health
            .verdict(&self.settings.health, self.active().is_some(), self.mono())
    }

    /// Swaps the view: write key, records and verdict change in the same instant.
    pub(super) fn publish(&mut self) {
        let verdict = self.verdict();
        let failures = [&self.metadata, &self.deep]
            .into_iter()
            .filter_map(|kind| kind.failures.sentence());
        // The first generation may be waiting for the disk.
        let disk = self
            .disk
            .state_lags()
            .then(|| "the registry cannot be written; the log events state.* say why".to_owned());
        self.reported.verdict(
            &verdict.reasons,
            self.health.findings(),
            failures.chain(disk),
        );
        let before = self.doors.view.load_full();
        let mut view = View {
            active: None,
            records: HashMap::with_capacity(self.records.len()),
            healthy_until: verdict.healthy_until,
            reasons: verdict.reasons,
            findings: self.health.findings().take(FINDINGS).cloned().collect(),
            findings_omitted: self.health.findings().skip(FINDINGS).count(),
            metadata: self.metadata.failures.sight(),
            deep: self.deep.failures.sight(),
            generation: self.generation,
            disk: self.disk.trouble(),
        };
        for record in &self.records {
            let snapshot = self.snapshot(&before, record);
            if record.state == RecordState::Active {
                view.active = Some(Arc::clone(&snapshot));
            }
            let slot = Slot {
                state: record.state,
                snapshot,
            };
            view.records.insert(record.key_id.clone(), slot);
        }
        self.doors.view.store(Arc::new(view));
        self.metrics.publish(Facts {
            generation: self.generation,
            metadata_good: self.health.metadata_good().unwrap_or(self.started),
            metadata_breaker: self.metadata.breaker.clone(),
            deep_breaker: self.deep.breaker.clone(),
            state_lags: self.disk.state_lags(),
            checkpoint_lags: self.disk.checkpoint_lags(),
        });
    }

    /// Derived once per version and process.
    fn snapshot(&self, before: &View, record: &Record) -> Arc<Snapshot> {
        if let Some(slot) = before.records.get(&record.key_id) {
            return Arc::clone(&slot.snapshot);
        }
        Arc::new(Snapshot::new(
            &self.scope,
            &self.plugin_version,
            record.version,
            record.created_unix,
        ))
    }
}
