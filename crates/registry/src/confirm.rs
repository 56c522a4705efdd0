//! Patience with answers that a lagging standby can invent.

use std::time::Duration;

/// How many identical answers in a row make a fact.
pub const ANSWERS: u32 = 3;
/// How far apart they must be, each on a new connection, to be independent opinions.
pub const APART: Duration = Duration::from_secs(2);

/// What to make of a doubtful answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opinion {
    /// Heard often enough.
    Confirmed,
    /// Not yet: ask again on a new connection after this time.
    AskAgain(Duration),
}

/// Counts identical doubtful answers. A failed read is no answer: it is not heard here,
/// and it neither counts nor breaks the row.
#[derive(Debug)]
pub struct Confirm<A> {
    held: Option<Held<A>>,
}

#[derive(Debug)]
struct Held<A> {
    answer: A,
    heard: u32,
    last: Option<Duration>,
}

impl<A> Default for Confirm<A> {
    fn default() -> Self {
        Self { held: None }
    }
}

impl<A: PartialEq> Confirm<A> {
    /// Hears a doubtful answer that came at `mono`. An answer on a used connection is
    /// remembered and does not count: it may be the opinion of the same node again.
    pub fn hear(&mut self, answer: A, new_connection: bool, mono: Duration) -> Opinion {
        let held = match self.held.take() {
            Some(held) if held.answer == answer => held,
            _ => Held {
                answer,
                heard: 0,
                last: None,
            },
        };
        let held = self.held.insert(held);
        let far_enough = held
            .last
            .is_none_or(|last| mono.saturating_sub(last) >= APART);
        if new_connection && far_enough {
            held.heard = held.heard.saturating_add(1);
            held.last = Some(mono);
        }
        if held.heard >= ANSWERS {
            return Opinion::Confirmed;
        }
        let due = held.last.unwrap_or(mono).saturating_add(APART);
        Opinion::AskAgain(due.saturating_sub(mono))
    }

    /// Another answer came: the row is broken.
    pub fn clear(&mut self) {
        self.held = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn three_identical_answers_two_seconds_apart_on_new_connections_confirm() {
        let mut confirm = Confirm::default();
        assert_eq!(confirm.hear('a', true, ms(0)), Opinion::AskAgain(ms(2000)));
        assert_eq!(
            confirm.hear('a', true, ms(2000)),
            Opinion::AskAgain(ms(2000))
        );
        assert_eq!(confirm.hear('a', true, ms(4000)), Opinion::Confirmed);
        assert_eq!(confirm.hear('a', false, ms(4001)), Opinion::Confirmed);
    }

    #[test]
    fn answers_too_close_or_on_a_used_connection_do_not_count() {
        let mut confirm = Confirm::default();
        assert_eq!(confirm.hear('a', false, ms(0)), Opinion::AskAgain(ms(2000)));
        assert_eq!(
            confirm.hear('a', true, ms(2000)),
            Opinion::AskAgain(ms(2000))
        );
        assert_eq!(confirm.hear('a', true, ms(3999)), Opinion::AskAgain(ms(1)));
        assert_eq!(
            confirm.hear('a', true, ms(4000)),
            Opinion::AskAgain(ms(2000))
        );
        assert_eq!(confirm.hear('a', false, ms(6000)), Opinion::AskAgain(ms(0)));
        assert_eq!(confirm.hear('a', true, ms(6000)), Opinion::Confirmed);
    }

    #[test]
    fn another_answer_breaks_the_row() {
        let mut confirm = Confirm::default();
        confirm.hear('a', true, ms(0));
        confirm.hear('a', true, ms(2000));
        confirm.hear('b', true, ms(4000));
        assert_eq!(
            confirm.hear('a', true, ms(6000)),
            Opinion::AskAgain(ms(2000))
        );
        confirm.hear('a', true, ms(8000));
        confirm.clear();
        assert_eq!(
            confirm.hear('a', true, ms(10_000)),
            Opinion::AskAgain(ms(2000))
        );
    }
}
