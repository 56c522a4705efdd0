//! What goes wrong, on which call.

use std::time::Duration;

use cri::{Call, Fault};

/// What happens to a call instead of, or beside, what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing is done, and this is the answer.
    Fail(Fault),
    /// Nothing is done, and there is no answer: the deadline of the call passes, as it does for
    /// the real client.
    Hang,
    /// It is done, and the answer is lost.
    Lose,
    /// It is done, later.
    Slow(Duration),
}

/// A trouble, and the calls that meet it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    call: Call,
    containing: String,
    skip: u32,
    times: Option<u32>,
    trouble: Trouble,
}

impl Plan {
    /// Every call of this kind from now on.
    #[must_use]
    pub fn new(call: Call, trouble: Trouble) -> Self {
        Self {
            call,
            containing: String::new(),
            skip: 0,
            times: None,
            trouble,
        }
    }

    /// Only calls whose subject, as an error names it, contains this.
    #[must_use]
    pub fn about(self, text: &str) -> Self {
        let containing = text.to_owned();
        Self { containing, ..self }
    }

    /// Not the first so many.
    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// So many, and then no more.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        let times = Some(times);
        Self { times, ..self }
    }
}

/// The plans that are in force.
#[derive(Default)]
pub(super) struct Plans(Vec<Plan>);

impl Plans {
    pub(super) fn add(&mut self, plan: Plan) {
        self.0.push(plan);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The first trouble that this call meets.
    pub(super) fn meet(&mut self, call: Call, subject: &str) -> Option<Trouble> {
        let mut fits = self.0.iter_mut().filter(|plan| {
            plan.call == call && subject.contains(&plan.containing) && plan.times != Some(0)
        });
        fits.find_map(|plan| {
            if plan.skip > 0 {
                plan.skip -= 1;
                return None;
            }
            plan.times = plan.times.map(|left| left - 1);
            Some(plan.trouble.clone())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_meets_the_calls_that_it_names() {
        let mut plans = Plans::default();
        let plan = Plan::new(Call::StartContainer, Trouble::Lose);
        plans.add(plan.about("web").after(1).times(2));
        let mut meets = |call, subject| plans.meet(call, subject).is_some();
        assert!(!meets(Call::StopContainer, "web"));
        assert!(!meets(Call::StartContainer, "db"));
        let web: Vec<bool> = (0..4)
            .map(|_| meets(Call::StartContainer, "a web"))
            .collect();
        assert_eq!(web, [false, true, true, false]);
        plans.clear();
        assert_eq!(plans.meet(Call::StartContainer, "web"), None);
    }
}
