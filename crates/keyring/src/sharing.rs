//! Equal Decrypts in flight share one Transit call.
//!
//! The API server does not do this: a cold start asks for the same few seeds from up to a
//! hundred places at once. Nobody leads and nobody follows; the call belongs to all who wait
//! for it, runs in a task of its own, and ends with the last of them. Who joins takes no seat
//! in the waiting room before the lanes; all callers together have a larger one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use openbao::transit::DecryptItem;
use secret::SecretBytes;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use crate::{
    kms::{DecryptRequest, Error},
    lanes::{Answer, Lanes, Ticket},
    signals::Signals,
};

/// What makes two Decrypts equal: ciphertext, key_id and annotations. The uid does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// SHA-256 over all parts, each with its length, the annotations sorted by key.
    pub(crate) fn of(request: &DecryptRequest) -> Self {
        let mut digest = Sha256::new();
        let mut part = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        part(&request.ciphertext);
        part(request.key_id.as_bytes());
        let mut annotations: Vec<_> = request.annotations.iter().collect();
        annotations.sort_unstable();
        for (key, value) in annotations {
            part(key.as_bytes());
            part(value);
        }
        Self(digest.finalize().into())
    }
}

struct Entry {
    ticket: Arc<Ticket>,
    waiting: usize,
}

/// The calls in flight, by what they ask.
pub(crate) struct Sharing {
    lanes: Arc<Lanes>,
    signals: Arc<Signals>,
    calls: Mutex<HashMap<Fingerprint, Entry>>,
}

impl Sharing {
    /// Nothing in flight yet.
    pub(crate) fn new(lanes: Arc<Lanes>, signals: Arc<Signals>) -> Self {
        Self {
            lanes,
            signals,
            calls: Mutex::default(),
        }
    }

    /// Asks Transit, or joins those who already do.
    ///
    /// # Errors
    /// `WaitingRoomFull`, `Deadline`, `Backend`.
    pub(crate) async fn decrypt(
        &self,
        fingerprint: Fingerprint,
        item: &DecryptItem,
        deadline: Instant,
    ) -> Result<SecretBytes, Error> {
        loop {
            let waiter = self.join(fingerprint, item, deadline)?;
            let call = &waiter.ticket.call;
            let Ok(answer) = timeout_at(deadline, call.answer()).await else {
                // Time that went by in the queue says nothing about OpenBao.
                if call.is_under_way() {
                    self.signals.deep_probe.notify_one();
                }
                return Err(Error::Deadline);
            };
            // Who joined a request that was already under way got its deadline, not their own.
            // Where that was the shorter one, the time that is left is worth another request.
            if !call.was_cut_short_of(deadline) {
                return copy(answer);
            }
        }
    }

    fn join(
        &self,
        fingerprint: Fingerprint,
        item: &DecryptItem,
        deadline: Instant,
    ) -> Result<Waiter<'_>, Error> {
        let mut calls = self.calls();
        // An answer that is there is over: joining it would make a cache of it, of errors too.
        let open = calls
            .get_mut(&fingerprint)
            .filter(|entry| !entry.ticket.call.is_answered());
        let ticket = if let Some(entry) = open {
            entry.waiting += 1;
            entry.ticket.extend(deadline);
            Arc::clone(&entry.ticket)
        } else {
            let ticket = Arc::new(self.lanes.submit(item.clone(), deadline)?);
            let entry = Entry {
                ticket: Arc::clone(&ticket),
                waiting: 1,
            };
            let replaced = calls.insert(fingerprint, entry);
            drop(calls);
            drop(replaced);
            ticket
        };
        Ok(Waiter {
            sharing: self,
            fingerprint,
            ticket,
        })
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<Fingerprint, Entry>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls that somebody waits for, busy lanes, queued Decrypts, taken seats.
    #[cfg(test)]
    pub(crate) fn load(&self) -> (usize, usize, usize, usize) {
        let (busy, queued, seats) = self.lanes.load();
        (self.calls().len(), busy, queued, seats)
    }
}

/// One of those who wait for a call.
struct Waiter<'a> {
    sharing: &'a Sharing,
    fingerprint: Fingerprint,
    ticket: Arc<Ticket>,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut calls = self.sharing.calls();
        let Some(entry) = calls.get_mut(&self.fingerprint) else {
            return;
        };
        if !Arc::ptr_eq(&entry.ticket, &self.ticket) {
            return;
        }
        entry.waiting -= 1;
        if entry.waiting == 0 {
            // The ticket goes after the lock: its end reaches into the lanes.
            let last = calls.remove(&self.fingerprint);
            drop(calls);
            drop(last);
        }
    }
}

/// Everybody gets bytes of their own, each wiped by its owner.
fn copy(answer: &Answer) -> Result<SecretBytes, Error> {
    match answer {
        Ok(plaintext) => Ok(SecretBytes::new(plaintext.expose_secret().to_vec())),
        Err(error) => Err(Error::Backend(error.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(ciphertext: &str, key_id: &str, annotations: &[(&str, &str)]) -> DecryptRequest {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), value.as_bytes().to_vec());
        DecryptRequest {
            ciphertext: ciphertext.as_bytes().to_vec(),
            key_id: key_id.to_owned(),
            annotations: annotations.iter().map(owned).collect(),
        }
    }

    #[test]
    fn every_part_and_every_boundary_between_parts_counts() {
        let requests = [
            request("ab", "c", &[("d", "e")]),
            request("a", "bc", &[("d", "e")]),
            request("ab", "x", &[("d", "e")]),
            request("ax", "c", &[("d", "e")]),
            request("ab", "c", &[("d", "x")]),
            request("ab", "c", &[("x", "e")]),
            request("ab", "cd", &[("", "e")]),
            request("ab", "c", &[("de", "")]),
            request("ab", "c", &[("d", "e"), ("f", "g")]),
            request("ab", "c", &[]),
        ];
        for (number, one) in requests.iter().enumerate() {
            for (other_number, other) in requests.iter().enumerate() {
                let equal = Fingerprint::of(one) == Fingerprint::of(other);
                assert_eq!(equal, number == other_number, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn the_order_of_annotations_does_not_count() {
        let many: Vec<_> = (0..50)
            .map(|n| (format!("k{n}"), format!("v{n}")))
            .collect();
        let pairs: Vec<_> = many.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let reversed: Vec<_> = pairs.iter().rev().copied().collect();
        let one = Fingerprint::of(&request("a", "b", &pairs));
        assert!(one == Fingerprint::of(&request("a", "b", &reversed)));
    }
}
