//! Who waits and who flies: the state of the lanes, and its changes, without any IO.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use openbao::transit::DecryptItem;
use tokio::{sync::Notify, time::Instant};

use super::Call;
use crate::waiting::{Refused, Room, Seat};

/// Items of one batch: Transit's request stays far below the server's limit of 1,000 JSON
/// strings in a body, and more items hardly cheapen the single one.
pub(super) const BATCH_MAX: usize = 64;

/// One Decrypt in the queue.
pub(super) struct Queued {
    item: DecryptItem,
    call: Arc<Call>,
    /// The longest of those who wait for it.
    deadline: Instant,
    /// Who finds a free lane needs none.
    _seat: Option<Seat>,
}

/// One Decrypt in flight.
pub(super) struct Passenger {
    number: u64,
    /// Where its answer goes.
    pub(super) call: Arc<Call>,
}

/// One request: an item, or several as a batch.
pub(super) struct Flight {
    /// What Transit gets, in the order of `passengers`.
    pub(super) items: Vec<DecryptItem>,
    /// Who gets the answers.
    pub(super) passengers: Vec<Passenger>,
    /// The longest among its passengers.
    pub(super) deadline: Instant,
    /// How many of them still want their answer.
    pub(super) aboard: Arc<Headcount>,
}

/// How many still wait for a flight, which need not go on without them.
pub(super) struct Headcount {
    left: AtomicUsize,
    nobody: Notify,
}

impl Headcount {
    fn leave(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.nobody.notify_one();
        }
    }

    /// Resolves when the last has left.
    pub(super) async fn empty(&self) {
        self.nobody.notified().await;
    }
}

/// What follows when a lane frees.
pub(super) struct Departure {
    /// The next request; the lane stays busy with it.
    pub(super) flight: Option<Flight>,
    /// Those whose deadline came while they waited.
    pub(super) expired: Vec<Arc<Call>>,
}

/// Numbers are given in the order of arrival, and the lowest leaves first. While anybody is
/// queued, all lanes are busy.
pub(super) struct Board {
    lanes: usize,
    busy: usize,
    next_number: u64,
    queue: BTreeMap<u64, Queued>,
    flying: HashMap<u64, Arc<Headcount>>,
}

impl Board {
    pub(super) fn new(lanes: usize) -> Self {
        Self {
            lanes: lanes.max(1),
            busy: 0,
            next_number: 0,
            queue: BTreeMap::new(),
            flying: HashMap::new(),
        }
    }

    /// Gives a number, and a flight when a lane is free.
    pub(super) fn arrive(
        &mut self,
        room: &Arc<Room>,
        item: DecryptItem,
        call: &Arc<Call>,
        deadline: Instant,
    ) -> Result<(u64, Option<Flight>), Refused> {
        let free = self.busy < self.lanes;
        let seat = if free {
            None
        } else {
            Some(room.sit().ok_or(Refused::Full)?)
        };
        let number = self.next_number;
        self.next_number += 1;
        let queued = Queued {
            item,
            call: Arc::clone(call),
            deadline,
            _seat: seat,
        };
        if free {
            self.busy += 1;
            return Ok((
                number,
                Some(self.board_all(vec![(number, queued)], deadline)),
            ));
        }
        self.queue.insert(number, queued);
        Ok((number, None))
    }

    /// A later deadline for one that is still queued.
    pub(super) fn extend(&mut self, number: u64, deadline: Instant) {
        if let Some(queued) = self.queue.get_mut(&number) {
            queued.deadline = queued.deadline.max(deadline);
        }
    }

    /// Nobody waits for `number` any more. What it held in the queue is returned, to be
    /// dropped without the lock.
    pub(super) fn leave(&mut self, number: u64) -> Option<Queued> {
        if let Some(headcount) = self.flying.remove(&number) {
            headcount.leave();
        }
        self.queue.remove(&number)
    }

    /// The answers of `flight` are there.
    pub(super) fn land(&mut self, flight: &Flight) {
        for passenger in &flight.passengers {
            self.flying.remove(&passenger.number);
        }
    }

    /// Whether nobody waits and at most one request is in flight.
    pub(super) fn is_quiet(&self) -> bool {
        self.busy <= 1 && self.queue.is_empty()
    }

    /// A lane frees: up to a batch of those who waited longest take it.
    pub(super) fn depart(&mut self, now: Instant) -> Departure {
        let mut expired = Vec::new();
        let mut boarding: Vec<(u64, Queued)> = Vec::new();
        while boarding.len() < BATCH_MAX {
            let Some((number, queued)) = self.queue.pop_first() else {
                break;
            };
            if queued.deadline <= now {
                queued.call.limit.get_or_init(|| queued.deadline);
                expired.push(queued.call);
            } else {
                boarding.push((number, queued));
            }
        }
        let deadline = boarding.iter().map(|(_, queued)| queued.deadline).max();
        let flight = deadline.map(|deadline| self.board_all(boarding, deadline));
        if flight.is_none() {
            self.busy = self.busy.saturating_sub(1);
        }
        Departure { flight, expired }
    }

    /// A lane frees, and nothing will be asked any more: who waited gets no flight.
    pub(super) fn close(&mut self) -> Vec<Arc<Call>> {
        self.busy = self.busy.saturating_sub(1);
        let queue = std::mem::take(&mut self.queue);
        queue.into_values().map(|queued| queued.call).collect()
    }

    fn board_all(&mut self, boarding: Vec<(u64, Queued)>, deadline: Instant) -> Flight {
        let aboard = Arc::new(Headcount {
            left: AtomicUsize::new(boarding.len()),
            nobody: Notify::new(),
        });
        let mut flight = Flight {
            items: Vec::with_capacity(boarding.len()),
            passengers: Vec::with_capacity(boarding.len()),
            deadline,
            aboard: Arc::clone(&aboard),
        };
        for (number, queued) in boarding {
            self.flying.insert(number, Arc::clone(&aboard));
            queued.call.limit.get_or_init(|| deadline);
            flight.items.push(queued.item);
            flight.passengers.push(Passenger {
                number,
                call: queued.call,
            });
        }
        flight
    }

    #[cfg(test)]
    pub(super) fn load(&self) -> (usize, usize) {
        (self.busy, self.queue.len())
    }
}
