//! What the rules find: errors, for which a manifest is refused, and warnings, which are advice.
//!
//! A rule is `fn(&api::Pod, &mut Report)`. It names the field that it judges and does not care
//! where that stands.

use std::collections::BTreeSet;

use yaml::fault::Fault;

use crate::places::Places;

/// Something that is unwise or without effect, under the stable name of its rule, by which a
/// machine can count or silence it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// For example `ignored-field`.
    pub rule: &'static str,
    /// What, where, and what to do.
    pub fault: Fault,
}

/// Collects what the rules say about one pod.
#[derive(Debug)]
pub struct Report<'a> {
    places: &'a Places,
    errors: Vec<Fault>,
    warnings: Vec<Warning>,
    /// Rule, field and message of each: looking through the others would take a hostile manifest
    /// of many faults minutes to refuse.
    said: BTreeSet<(&'static str, String, String)>,
}

impl<'a> Report<'a> {
    /// Nothing said yet.
    #[must_use]
    pub fn new(places: &'a Places) -> Self {
        Self {
            places,
            errors: Vec::new(),
            warnings: Vec::new(),
            said: BTreeSet::new(),
        }
    }

    /// The manifest cannot run. `message` is a predicate of the field (`must be ...`), `advice`
    /// an imperative; both lower case, without a full stop, and neither quotes a value that may
    /// be a secret. A field that was reported already is not reported again.
    pub fn error(
        &mut self,
        field: impl Into<String>,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        if let Some(fault) = self.new_fault("", field.into(), message.into(), advice.into()) {
            self.errors.push(fault);
        }
    }

    /// The manifest runs, but not as well as it could. `rule` is the stable name of the rule.
    pub fn warn(
        &mut self,
        rule: &'static str,
        field: impl Into<String>,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        if let Some(fault) = self.new_fault(rule, field.into(), message.into(), advice.into()) {
            self.warnings.push(Warning { rule, fault });
        }
    }

    /// Where the fields stand, for the rare rule that must know whether a field was written.
    #[must_use]
    pub fn places(&self) -> &'a Places {
        self.places
    }

    /// Errors and warnings, in the order in which the rules spoke.
    #[must_use]
    pub fn finish(self) -> (Vec<Fault>, Vec<Warning>) {
        (self.errors, self.warnings)
    }

    /// Nothing if the field was reported already, or this was said of it.
    fn new_fault(
        &mut self,
        rule: &'static str,
        field: String,
        message: String,
        advice: String,
    ) -> Option<Fault> {
        if self.places.is_broken(&field)
            || !self.said.insert((rule, field.clone(), message.clone()))
        {
            return None;
        }
        let (place, show) = self.places.find(&field);
        Some(Fault {
            field,
            place,
            message,
            advice,
            show,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use yaml::{
        fault::Show,
        source::{Place, Spot},
    };

    #[test]
    fn a_rule_reports_by_field_and_the_report_knows_the_place_and_what_was_said_before() {
        let mut places = Places::default();
        let spot = Spot {
            line: 7,
            column: 3,
            width: 5,
        };
        places.locate("spec.hostname".into(), Place::Text(spot), Show::Value);
        places.break_off("spec.volumes[0]".into());
        let mut report = Report::new(&places);
        report.error("spec.hostname", "must be a DNS label", "write a name");
        report.error("spec.hostname", "must be a DNS label", "write a name");
        report.error("spec.volumes[0].name", "is required", "add it");
        report.warn("some-rule", "spec.hostname", "is unusual", "reconsider");
        let (errors, warnings) = report.finish();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].place, Place::Text(spot));
        assert_eq!(errors[0].show, Show::Value);
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].rule, "some-rule");
        assert_eq!(warnings[0].fault.place, Place::Text(spot));
    }
}
