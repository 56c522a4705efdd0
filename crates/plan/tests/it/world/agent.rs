//! The agent of the world: lists, plans, writes down, carries out.

use super::*;

impl World {
    /// Lists, plans, writes down, takes the orders.
    pub(crate) fn round(&mut self) {
        let now = self.now - self.epoch;
        for _ in 0..2 {
            if self.up {
                let ticket = self.planner.ticket();
                self.planner.see_all(ticket, self.list());
                self.planner.leftovers(self.dirs.clone());
            }
            let plan = self.planner.plan(now);
            for key in &plan.changed {
                match self.planner.to_keep(key, now) {
                    Some(kept) => {
                        let text = serde_json::to_string(&kept).unwrap();
                        self.disk.insert(key.clone(), text)
                    }
                    None => self.disk.remove(key),
                };
            }
            assert!(
                self.up || plan.orders.is_empty(),
                "orders while the runtime is down: {:?}",
                plan.orders
            );
            for order in plan.orders {
                self.judge(&order);
                let born = order
                    .key
                    .as_ref()
                    .and_then(|key| self.ledger.changes.get(key));
                let born = born.copied().unwrap_or_default();
                if !matches!(order.action, Action::Cancel { .. }) {
                    self.orders.push(Taken { order, born });
                }
            }
        }
        let again = self.planner.plan(now);
        assert!(again.orders.is_empty(), "given twice: {:?}", again.orders);
    }

    pub(crate) fn finish(&mut self, nth: usize, how: How) {
        if self.orders.is_empty() {
            return;
        }
        let order = self.orders.remove(nth % self.orders.len());
        let outcome = match how {
            How::Failed => failed(FailureClass::Other),
            How::PullFailed => failed(FailureClass::Pull),
            How::Lost => Outcome::Lost,
            How::DoneLost => {
                self.effect(&order);
                Outcome::Lost
            }
            How::Late if matches!(order.order.action, Action::CreateSandbox { .. }) => {
                self.late.push(order.clone());
                Outcome::Lost
            }
            How::Done | How::Late => self.effect(&order),
            How::PostStartFailed => match (self.effect(&order), &order.order.action) {
                (Outcome::Done, Action::StartContainer { .. }) => {
                    let container = format!("c{}", self.serial);
                    self.ledger.bad_hooks.insert(container.clone());
                    failed(FailureClass::PostStart { container })
                }
                (outcome, _) => outcome,
            },
        };
        self.report(&order, &outcome);
    }

    pub(super) fn report(&mut self, taken: &Taken, outcome: &Outcome) {
        let now = self.now - self.epoch;
        self.planner.report(taken.order.id, outcome, now);
    }

    pub(crate) fn idle(&self) -> bool {
        self.orders.is_empty() && self.late.is_empty()
    }

    pub(crate) fn next(&mut self) -> Option<Duration> {
        let next = self.planner.plan(self.now - self.epoch).next?;
        Some((next + self.epoch).saturating_sub(self.now))
    }
}
