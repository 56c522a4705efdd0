//! All findings in a few numbers.

use schemars::JsonSchema;
use serde::Serialize;

use crate::finding::{Checked, Level, Status};

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    /// Texts that were read.
    pub(crate) manifests: usize,
    /// Pods whose names could be read.
    pub(crate) pods: usize,
    /// Files that an agent would not look at.
    pub(crate) ignored: usize,
    /// Findings of the level `error`.
    pub(crate) errors: usize,
    /// Findings of the level `warning`.
    pub(crate) warnings: usize,
}

/// The worst of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// Neither errors nor warnings.
    Pass,
    /// Warnings only.
    Warn,
    /// Errors; or warnings, where they are to count as such.
    Fail,
}

impl Summary {
    /// Counts.
    pub(crate) fn of(checked: &[Checked]) -> Self {
        let mut summary = Self::default();
        for one in checked {
            summary.manifests += usize::from(one.is_text);
            summary.pods += one.pods.len();
            summary.ignored += usize::from(one.status == Status::Ignored);
            for finding in &one.findings {
                match finding.level {
                    Level::Error => summary.errors += 1,
                    Level::Warning => summary.warnings += 1,
                    Level::Note => {}
                }
            }
        }
        summary
    }

    /// `strict`: warnings count as errors.
    pub(crate) fn outcome(&self, strict: bool) -> Outcome {
        match (self.errors, self.warnings) {
            (0, 0) => Outcome::Pass,
            (0, _) if !strict => Outcome::Warn,
            _ => Outcome::Fail,
        }
    }
}
