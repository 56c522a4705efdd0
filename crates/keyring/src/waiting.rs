//! Waiting in order, each caller until its own deadline, in a room with a bounded number of seats.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

/// Counts who waits. Whoever finds no seat is refused at once.
#[derive(Debug)]
pub(crate) struct Room {
    seats: usize,
    taken: AtomicUsize,
}

/// One caller who waits; gives the seat back on drop, so that a cancelled caller leaks none.
#[derive(Debug)]
pub(crate) struct Seat {
    room: Arc<Room>,
}

impl Room {
    /// An empty room.
    pub(crate) fn new(seats: usize) -> Arc<Self> {
        Arc::new(Self {
            seats,
            taken: AtomicUsize::new(0),
        })
    }

    /// Takes a seat, if one is left.
    pub(crate) fn sit(self: &Arc<Self>) -> Option<Seat> {
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                (taken < self.seats).then_some(taken + 1)
            })
            .ok()?;
        Some(Seat {
            room: Arc::clone(self),
        })
    }

    /// How many seats are taken.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Why a caller was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No seat left.
    Full,
    /// The caller's deadline came first.
    Deadline,
}

/// A number of places to be served at, and the waiting room before them.
#[derive(Debug)]
pub(crate) struct Places {
    free: Semaphore,
    room: Arc<Room>,
}

impl Places {
    /// `places` served at once, `seats` waiting.
    pub(crate) fn new(places: usize, seats: usize) -> Self {
        Self {
            // More than anybody configures, and below what the semaphore panics at.
            free: Semaphore::new(places.min(1 << 20)),
            room: Room::new(seats),
        }
    }

    /// Takes a place, in the order of arrival; the semaphore is fair.
    pub(crate) async fn enter(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Refused> {
        if let Ok(place) = self.free.try_acquire() {
            return Ok(place);
        }
        let _seat = self.room.sit().ok_or(Refused::Full)?;
        match timeout_at(deadline, self.free.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            // The semaphore is never closed, so this is the deadline.
            Ok(Err(_)) | Err(_) => Err(Refused::Deadline),
        }
    }

    /// Free places and waiting callers.
    #[cfg(test)]
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.free.available_permits(), self.room.taken())
    }
}
