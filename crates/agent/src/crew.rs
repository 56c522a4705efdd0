//! Everybody who works for the loop: each in a task of its own, named, bounded and awaited.

use std::{collections::HashMap, sync::Arc, time::Duration};

use plan::{Action, Order, Outcome};
use tokio::{
    sync::{Semaphore, watch},
    task::{Id, JoinError, JoinSet},
    time::Instant,
};

use crate::work::{Known, Tools, Work};

/// An order that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) order: Order,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

/// Orders at work.
pub(crate) struct Crew {
    tools: Tools,
    tasks: JoinSet<Outcome>,
    orders: HashMap<Id, (Order, Instant)>,
    cancels: HashMap<u64, watch::Sender<bool>>,
    /// Starts wait for starts, and ends for ends, so that nothing that has to end waits behind
    /// images that do not come.
    starts: Arc<Semaphore>,
    ends: Arc<Semaphore>,
}

impl Crew {
    /// At most `most` starts, and as many ends, at a time.
    pub(crate) fn new(tools: Tools, most: usize) -> Self {
        Self {
            tools,
            tasks: JoinSet::new(),
            orders: HashMap::new(),
            cancels: HashMap::new(),
            starts: Arc::new(Semaphore::new(most)),
            ends: Arc::new(Semaphore::new(most)),
        }
    }

    /// Begins an order.
    pub(crate) fn begin(&mut self, order: Order, known: Known) {
        let (cancel, cancelled) = watch::channel(false);
        let starts = matches!(
            order.action,
            Action::CreateSandbox { .. } | Action::StartContainer { .. }
        );
        let places = Arc::clone(if starts { &self.starts } else { &self.ends });
        let mut turn = cancelled.clone();
        let work = Work {
            tools: self.tools.clone(),
            known,
            cancelled,
        };
        let action = order.action.clone();
        let handle = self.tasks.spawn(async move {
            let _place = tokio::select! {
                place = places.acquire_owned() => place,
                _ = turn.wait_for(|cancelled| *cancelled) => return Outcome::Lost,
            };
            work.carry_out(action).await
        });
        let _ = self.cancels.insert(order.id, cancel);
        let _ = self.orders.insert(handle.id(), (order, Instant::now()));
    }

    /// Asks an order to give up; it ends all the same.
    pub(crate) fn cancel(&self, order: u64) {
        if let Some(cancel) = self.cancels.get(&order) {
            let _ = cancel.send_replace(true);
        }
    }

    /// The next order that ends; never, while there is none. May be dropped.
    pub(crate) async fn next(&mut self) -> Done {
        loop {
            let Some(ended) = self.tasks.join_next_with_id().await else {
                return std::future::pending().await;
            };
            if let Some(done) = self.ended(ended) {
                return done;
            }
        }
    }

    /// An order that has ended, if there is one.
    pub(crate) fn try_next(&mut self) -> Option<Done> {
        let ended = self.tasks.try_join_next_with_id()?;
        self.ended(ended)
    }

    fn ended(&mut self, ended: Result<(Id, Outcome), JoinError>) -> Option<Done> {
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            // A task that panicked did nobody knows what.
            Err(error) => (error.id(), Outcome::Lost),
        };
        let (order, since) = self.orders.remove(&id)?;
        let _ = self.cancels.remove(&order.id);
        Some(Done {
            order,
            outcome,
            took: since.elapsed(),
        })
    }

    /// Gives what is under way `limit` to end, then leaves it; the next run of the agent finds
    /// out what came of it.
    pub(crate) async fn finish(mut self, limit: Duration) {
        for cancel in self.cancels.values() {
            let _ = cancel.send_replace(true);
        }
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(limit, all).await;
        self.tasks.shutdown().await;
    }
}
