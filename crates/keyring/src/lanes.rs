//! Distinct Decrypts on their way to Transit: at once while a lane is free, else together.
//!
//! A lane is one request in flight. Who finds all lanes busy waits; when a lane frees, up to
//! 64 that wait leave as one batch, in the order of their arrival. No timer delays anybody:
//! batches form only where requests queue anyway, and there they cost the server a thirtieth.

mod board;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use openbao::{
    error::{Class, Error},
    transit::{CallOptions, DecryptItem, Transit},
};
use secret::SecretBytes;
use tokio::{
    sync::Notify,
    task::yield_now,
    time::{Instant, timeout_at},
};

use crate::{
    crew::Crew,
    signals::Signals,
    waiting::{Refused, Room},
};
use board::{Board, Flight};

/// Turns of the runtime from an answer to the lane's next request: what has arrived is read in the
/// first, becomes a task in the second and is queued in the third; one more, as answers and requests
/// come in any order. Microseconds, and no timer.
const TURNS: usize = 4;

/// What Transit says to one item.
pub(crate) type Answer = Result<SecretBytes, Error>;

/// One Decrypt and its answer, shared by everybody who waits for it.
pub(crate) struct Call {
    answer: OnceLock<Answer>,
    answered: Notify,
    /// The deadline of the request that carried it.
    limit: OnceLock<Instant>,
}

impl Call {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            answer: OnceLock::new(),
            answered: Notify::new(),
            limit: OnceLock::new(),
        })
    }

    /// Waits for the answer. Cancel-safe; any number may wait.
    pub(crate) async fn answer(&self) -> &Answer {
        loop {
            let answered = self.answered.notified();
            if let Some(answer) = self.answer.get() {
                return answer;
            }
            answered.await;
        }
    }

    /// Whether the answer is there.
    pub(crate) fn is_answered(&self) -> bool {
        self.answer.get().is_some()
    }

    /// Whether the answer is only that time ran out, and it did before `deadline`.
    pub(crate) fn was_cut_short_of(&self, deadline: Instant) -> bool {
        let late = |answer: &Answer| answer.as_ref().is_err_and(|e| e.class == Class::Deadline);
        self.answer.get().is_some_and(late) && self.limit.get().is_some_and(|at| *at < deadline)
    }

    /// Whether a request carries it, or carried it.
    pub(crate) fn is_under_way(&self) -> bool {
        self.limit.get().is_some()
    }

    fn resolve(&self, answer: Answer) {
        drop(self.answer.set(answer));
        self.answered.notify_waiters();
    }
}

/// The right to an answer. Dropped before the answer, it takes the Decrypt out of the queue,
/// or out of its flight, which is broken off when nobody on it is left.
pub(crate) struct Ticket {
    number: u64,
    lanes: Arc<Lanes>,
    /// Where the answer arrives.
    pub(crate) call: Arc<Call>,
}

impl Ticket {
    /// Somebody who may wait longer has joined. Counts while the Decrypt is still queued.
    pub(crate) fn extend(&self, deadline: Instant) {
        self.lanes.board().extend(self.number, deadline);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // The queued item is dropped after the lock.
        let _left = self.lanes.board().leave(self.number);
    }
}

/// All lanes and the queue before them.
pub(crate) struct Lanes {
    transit: Arc<dyn Transit>,
    signals: Arc<Signals>,
    crew: Crew,
    room: Arc<Room>,
    board: Mutex<Board>,
}

impl Lanes {
    /// `lanes` requests in flight at most; who waits takes a seat in `room`.
    pub(crate) fn new(
        lanes: usize,
        transit: Arc<dyn Transit>,
        signals: Arc<Signals>,
        crew: Crew,
        room: Arc<Room>,
    ) -> Arc<Self> {
        Arc::new(Self {
            transit,
            signals,
            crew,
            room,
            board: Mutex::new(Board::new(lanes)),
        })
    }

    /// Starts or queues one Decrypt.
    ///
    /// # Errors
    /// [`Refused::Full`] when all lanes are busy and no seat is left.
    pub(crate) fn submit(
        self: &Arc<Self>,
        item: DecryptItem,
        deadline: Instant,
    ) -> Result<Ticket, Refused> {
        let call = Call::new();
        let (number, flight) = {
            let mut board = self.board();
            board.arrive(&self.room, item, &call, deadline)?
        };
        if let Some(flight) = flight {
            self.launch(flight);
        }
        Ok(Ticket {
            number,
            lanes: Arc::clone(self),
            call,
        })
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // Nothing panics under this lock; and if it did, the board would still be whole.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn launch(self: &Arc<Self>, flight: Flight) {
        let aboard = Aboard {
            lanes: Arc::clone(self),
            flight,
            landed: false,
        };
        self.crew.run(Box::pin(aboard.fly()));
    }

    /// A request is over: its lane takes the next ones, or becomes free.
    fn release_lane(self: &Arc<Self>) {
        if self.crew.is_dismissed() {
            let rest = self.board().close();
            rest.iter().for_each(|call| call.resolve(Err(lost())));
            return;
        }
        let departure = self.board().depart(Instant::now());
        for call in departure.expired {
            call.resolve(Err(expired()));
        }
        if let Some(flight) = departure.flight {
            self.launch(flight);
        }
    }

    /// Answers those who are still there, and tells the probes.
    fn land(&self, flight: &Flight, answers: Vec<Answer>) {
        for answer in &answers {
            self.tell_probes(answer);
        }
        self.board().land(flight);
        for (passenger, answer) in flight.passengers.iter().zip(answers) {
            passenger.call.resolve(answer);
        }
    }

    /// Before a lane frees, everybody whose request is in the socket already gets into the queue,
    /// so that they leave together: else the first of them takes the lane for itself. Where nobody
    /// else flies or waits there is no crowd to gather, and the lane is free at once.
    async fn let_others_board(&self) {
        if self.board().is_quiet() {
            return;
        }
        for _ in 0..TURNS {
            yield_now().await;
        }
    }

    fn tell_probes(&self, answer: &Answer) {
        match answer {
            Ok(_) => self.signals.live_success(),
            // The ciphertext, or the age of its key version, is the caller's.
            Err(error)
                if matches!(
                    error.class,
                    Class::CiphertextRejected | Class::VersionUnavailable
                ) => {}
            Err(_) => self.signals.deep_probe.notify_one(),
        }
    }

    /// Busy lanes, queued Decrypts, taken seats.
    #[cfg(test)]
    pub(crate) fn load(&self) -> (usize, usize, usize) {
        let (busy, queued) = self.board().load();
        (busy, queued, self.room.taken())
    }
}

/// A flight in its task. However the task ends, its passengers get an answer and its lane
/// is released.
struct Aboard {
    lanes: Arc<Lanes>,
    flight: Flight,
    landed: bool,
}

impl Aboard {
    async fn fly(mut self) {
        let abandoned = Arc::clone(&self.flight.aboard);
        tokio::select! {
            answers = self.ask() => {
                self.landed = true;
                self.lanes.land(&self.flight, answers);
                self.lanes.let_others_board().await;
            }
            () = abandoned.empty() => {}
        }
    }

    /// One answer per passenger. An error of a batch as a whole is everybody's: where it is
    /// worth asking item by item, the client has done so.
    async fn ask(&self) -> Vec<Answer> {
        let deadline = self.flight.deadline;
        let options = CallOptions {
            deadline,
            new_connection: false,
        };
        let transit = &self.lanes.transit;
        let items = &self.flight.items;
        if let [item] = items.as_slice() {
            let call = timeout_at(deadline, transit.decrypt(item, options));
            return vec![call.await.unwrap_or_else(|_| Err(expired()))];
        }
        let call = timeout_at(deadline, transit.decrypt_batch(items, options));
        match call.await.unwrap_or_else(|_| Err(expired())) {
            Ok(answers) if answers.len() == items.len() => answers,
            Ok(_) => vec_of(items.len(), &miscounted()),
            Err(error) => vec_of(items.len(), &error),
        }
    }
}

impl Drop for Aboard {
    fn drop(&mut self) {
        if !self.landed {
            let lost = vec_of(self.flight.items.len(), &lost());
            self.lanes.board().land(&self.flight);
            for (passenger, answer) in self.flight.passengers.iter().zip(lost) {
                passenger.call.resolve(answer);
            }
        }
        self.lanes.release_lane();
    }
}

fn vec_of(count: usize, error: &Error) -> Vec<Answer> {
    (0..count).map(|_| Err(error.clone())).collect()
}

fn failure(class: Class, reason: &str) -> Error {
    Error {
        class,
        operation: "transit_decrypt",
        reason: reason.to_owned(),
        status: None,
    }
}

fn expired() -> Error {
    failure(Class::Deadline, "the deadline of the call ran out")
}

fn miscounted() -> Error {
    failure(
        Class::Unavailable,
        "the answer to a batch holds another number of results than the batch has items",
    )
}

/// A fault of ours, or the end of the daemon.
fn lost() -> Error {
    failure(
        Class::OwnInput,
        "the request was broken off inside this program before an answer came",
    )
}
