//! Clients that do not take the answers that they were given, or do not end their requests.
//!
//! HTTP/2 keeps an answer until the client gives a window for it and reads it. A client that
//! goes on asking and never takes, and still answers pings, would fill the memory. So every
//! answer that waits is counted, the oldest first: its client is cut off when it has waited for
//! too long, and at once when there are too many in all and he holds more than a share. Among
//! those, age decides: whoever reads has no old ones, however many he asked for at the same time.
//!
//! Requests that do not come to their end are given up one by one. Their client is cut off when
//! that happens again and again. How many they were does not count, because a stop of a machine
//! can break the requests of a good client, and as many at once as there are. What has come of the
//! bodies of its unended requests is bounded for each client alone, so that nobody pays for another.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::Notify;

use crate::metrics::Cut;

/// How many answers may wait in all: eight times what one connection can ask for at once. Each
/// is two or three KiB with all that hangs on it.
pub(crate) const MOST: u32 = 16_384;
/// What every connection may leave waiting, whatever the others do. All shares together are no
/// more than the most, so that somebody exceeds his when there are too many.
pub(crate) const SHARE: u32 = 128;
/// After so many looks a waiting answer is old. Looks and not seconds, because a process that
/// was stopped for an hour must find its clients as they were.
pub(crate) const OLD: u64 = 20;
/// Within so many looks, a minute, requests may be given up this many times; together with
/// others is once.
pub(crate) const AGAIN: (u64, u32) = (120, 5);
/// How many bytes of requests that have not come to their end are kept for one connection. On
/// all its streams at once they are 2 KiB each, which no request of an API server reaches; and
/// those come in one piece, and are not counted.
pub(crate) const BEGUN: usize = 4 * 1024 * 1024;

/// All answers that wait. Cheap to clone; one for all connections.
#[derive(Clone, Default)]
pub(crate) struct Untaken(Arc<Mutex<Ledger>>);

#[derive(Default)]
struct Ledger {
    looks: u64,
    next: u64,
    total: u32,
    /// The oldest first.
    waiting: BTreeMap<u64, Entry>,
}

struct Entry {
    /// How many looks there were before it.
    since: u64,
    kind: Kind,
    client: Arc<Client>,
}

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One answer.
    Answer,
    /// Whatever the client could ask for at once: it does not read, so that the answers behind
    /// a full pipe cannot be told apart. The number of calls that it may have open.
    FullPipe(u32),
}

impl Kind {
    fn answers(self) -> u32 {
        match self {
            Self::Answer => 1,
            Self::FullPipe(answers) => answers,
        }
    }
}

#[derive(Default)]
struct Client {
    /// Answers that wait for it; changed under the ledger's lock.
    weight: AtomicU32,
    cut: OnceLock<CutOff>,
    told: Notify,
    given_up: Mutex<GivenUp>,
    /// Bytes of requests that have not come to their end.
    begun: AtomicUsize,
}

impl Client {
    fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }
}

/// When requests of a client were given up, in looks.
#[derive(Debug, Default)]
struct GivenUp {
    first: u64,
    last: u64,
    times: u32,
}

impl GivenUp {
    /// Once more. Gives how many times it happened lately.
    fn again(&mut self, looks: u64) -> u32 {
        if self.times == 0 || looks - self.first >= AGAIN.0 {
            *self = Self {
                first: looks,
                last: looks,
                times: 1,
            };
        } else if looks > self.last {
            self.last = looks;
            self.times += 1;
        }
        self.times
    }
}

/// Why a client is cut off, and what it had left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CutOff {
    pub(crate) reason: Cut,
    /// Answers that waited for a window.
    pub(crate) answers: u32,
    /// Whether it had left its pipe full.
    pub(crate) full_pipe: bool,
}

impl Untaken {
    /// One more client.
    pub(crate) fn client(&self) -> Taker {
        Taker {
            untaken: self.clone(),
            client: Arc::default(),
        }
    }

    /// To be called in equal intervals: cuts off the clients whose answers have become old.
    pub(crate) fn look(&self) {
        let mut ledger = self.lock();
        ledger.looks += 1;
        while let Some((_, oldest)) = ledger.waiting.first_key_value() {
            if ledger.looks - oldest.since <= OLD {
                return;
            }
            let client = Arc::clone(&oldest.client);
            ledger.cut_off(&client, Cut::too_long);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn remove(&mut self, number: u64) {
        if let Some(entry) = self.waiting.remove(&number) {
            self.total -= entry.kind.answers();
            entry.client.weight.fetch_sub(entry.kind.answers(), Relaxed);
        }
    }

    /// Counts the client's answers no more: they go with its connection.
    fn cut_off(&mut self, client: &Arc<Client>, reason: Cut) {
        let mut cut = CutOff {
            reason,
            answers: 0,
            full_pipe: false,
        };
        let theirs = |_: &u64, entry: &mut Entry| Arc::ptr_eq(&entry.client, client);
        for (_, entry) in self.waiting.extract_if(.., theirs) {
            self.total -= entry.kind.answers();
            client.weight.fetch_sub(entry.kind.answers(), Relaxed);
            match entry.kind {
                Kind::Answer => cut.answers += 1,
                Kind::FullPipe(_) => cut.full_pipe = true,
            }
        }
        // A connection is cut off once; what it asked for meanwhile ends with it.
        let _ = client.cut.set(cut);
        client.told.notify_one();
    }
}

/// The client at the other end of a connection.
#[derive(Clone)]
pub(crate) struct Taker {
    untaken: Untaken,
    client: Arc<Client>,
}

impl Taker {
    /// From now on something waits for the client, until the guard is dropped.
    pub(crate) fn hold(&self, kind: Kind) -> Held {
        let mut ledger = self.untaken.lock();
        let number = ledger.next;
        ledger.next += 1;
        ledger.total += kind.answers();
        self.client.weight.fetch_add(kind.answers(), Relaxed);
        let entry = Entry {
            since: ledger.looks,
            kind,
            client: Arc::clone(&self.client),
        };
        ledger.waiting.insert(number, entry);
        while ledger.total > MOST
            && let Some(oldest) = ledger
                .waiting
                .values()
                .find(|one| one.client.weight() > SHARE)
        {
            let client = Arc::clone(&oldest.client);
            ledger.cut_off(&client, Cut::too_many);
        }
        drop(ledger);
        Held {
            untaken: self.untaken.clone(),
            number,
        }
    }

    /// A request of the client did not come to its end and is not waited for any longer.
    pub(crate) fn gave_up_on_a_request(&self) {
        let mut ledger = self.untaken.lock();
        let given_up = self.client.given_up.lock();
        let mut given_up = given_up.unwrap_or_else(PoisonError::into_inner);
        if given_up.again(ledger.looks) > AGAIN.1 {
            ledger.cut_off(&self.client, Cut::not_sent);
        }
    }

    /// More bytes of requests have come, and not their ends.
    pub(crate) fn begun(&self, bytes: usize) {
        if self.client.begun.fetch_add(bytes, Relaxed) + bytes > BEGUN {
            self.untaken.lock().cut_off(&self.client, Cut::not_sent);
        }
    }

    /// So many of those bytes are not kept any longer.
    pub(crate) fn over(&self, bytes: usize) {
        self.client.begun.fetch_sub(bytes, Relaxed);
    }

    /// Completes when the client is to be cut off.
    pub(crate) async fn cut_off(&self) -> CutOff {
        loop {
            if let Some(cut) = self.client.cut.get() {
                return *cut;
            }
            self.client.told.notified().await;
        }
    }
}

/// Something that waits for a client. Dropped when it was taken, or with the call.
pub(crate) struct Held {
    untaken: Untaken,
    number: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.untaken.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    fn cut(taker: &Taker) -> Option<CutOff> {
        taker.cut_off().now_or_never()
    }

    fn hold(taker: &Taker, answers: u32) -> Vec<Held> {
        (0..answers).map(|_| taker.hold(Kind::Answer)).collect()
    }

    fn looks(untaken: &Untaken, times: u64) {
        (0..times).for_each(|_| untaken.look());
    }

    #[test]
    fn whoever_leaves_one_answer_for_too_long_is_cut_off_and_others_are_not() {
        let untaken = Untaken::default();
        let (slow, quick) = (untaken.client(), untaken.client());
        let left = hold(&slow, 3);
        looks(&untaken, 1);
        let fresh = hold(&quick, 5);
        looks(&untaken, OLD - 1);
        assert_eq!((cut(&slow), cut(&quick)), (None, None), "too early");
        drop(fresh);
        let fresh = hold(&quick, 2000);
        looks(&untaken, 1);
        let expected = CutOff {
            reason: Cut::too_long,
            answers: 3,
            full_pipe: false,
        };
        assert_eq!((cut(&slow), cut(&quick)), (Some(expected), None));
        drop((left, fresh));
        looks(&untaken, 100);
        assert_eq!(cut(&quick), None);
        assert_eq!(untaken.lock().total, 0);
    }

    #[test]
    fn when_too_many_wait_the_oldest_client_goes_that_has_more_than_its_share() {
        let untaken = Untaken::default();
        let [modest, slow, busy, last] = std::array::from_fn(|_| untaken.client());
        let oldest = hold(&modest, SHARE);
        let one = slow.hold(Kind::Answer);
        let pipe = slow.hold(Kind::FullPipe(299));
        let many = hold(&busy, MOST - SHARE - 300);
        assert_eq!((cut(&slow), cut(&busy)), (None, None));
        let more = hold(&last, 1);
        let expected = CutOff {
            reason: Cut::too_many,
            answers: 1,
            full_pipe: true,
        };
        assert_eq!(cut(&slow), Some(expected));
        assert_eq!([&modest, &busy, &last].map(cut), [None; 3]);
        assert_eq!(
            untaken.lock().total,
            MOST - 299,
            "what it left counts no more"
        );
        drop((oldest, one, pipe, many, more));
        assert_eq!(untaken.lock().total, 0);
    }

    #[test]
    fn whoever_begins_requests_again_and_again_and_ends_none_is_cut_off() {
        let untaken = Untaken::default();
        let [stopped, rare, often] = std::array::from_fn(|_| untaken.client());
        (0..10_000).for_each(|_| stopped.gave_up_on_a_request());
        for _ in 0..50 {
            looks(&untaken, AGAIN.0 / 5);
            rare.gave_up_on_a_request();
        }
        assert_eq!([&stopped, &rare].map(cut), [None; 2]);
        for _ in 0..AGAIN.1 {
            assert_eq!(cut(&often), None);
            often.gave_up_on_a_request();
            looks(&untaken, 1);
        }
        often.gave_up_on_a_request();
        let expected = CutOff {
            reason: Cut::not_sent,
            answers: 0,
            full_pipe: false,
        };
        assert_eq!(cut(&often), Some(expected));
    }

    proptest! {
        #[test]
        fn the_total_is_what_waits_and_never_more_than_the_most(
            steps in prop::collection::vec((0_usize..4, 0_u8..5, 1..=MOST), 1..60),
        ) {
            let untaken = Untaken::default();
            let clients: Vec<Taker> = (0..4).map(|_| untaken.client()).collect();
            let mut held: Vec<Held> = Vec::new();
            for (client, what, size) in steps {
                match what {
                    0 | 1 => held.push(clients[client].hold(Kind::FullPipe(size))),
                    2 => held.push(clients[client].hold(Kind::Answer)),
                    3 if !held.is_empty() => drop(held.swap_remove(0)),
                    _ => untaken.look(),
                }
                let ledger = untaken.lock();
                let sum: u32 = ledger.waiting.values().map(|one| one.kind.answers()).sum();
                prop_assert_eq!(ledger.total, sum);
                prop_assert!(sum <= MOST);
            }
            held.clear();
            prop_assert_eq!(untaken.lock().total, 0);
        }
    }
}
