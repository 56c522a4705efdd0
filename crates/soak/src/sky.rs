//! What the weather was when a call ran, and so whether its failure is excused.

use std::time::{Duration, Instant};

use crate::{
    pacing::Pacing,
    weather::{Unhealthy, Weather},
};

/// Kind of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Status,
    Encrypt,
    Decrypt,
    Forged,
}

impl Call {
    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Status => "Status",
            Self::Encrypt => "Encrypt",
            Self::Decrypt => "Decrypt",
            Self::Forged => "forged Decrypt",
        }
    }
}

/// An unhealthy Status, as a class.
pub(crate) const UNHEALTHY: &str = "unhealthy";
const STALE: &str = "status_stale";
/// A token is lost and there is no other yet.
const AUTH: &str = "auth_failed";
/// Who waits for a lane behind those that wait for a token.
const BEHIND: &str = "timeout";
/// A connection ended, and the one repetition was spent already.
const DISCONNECTED: &str = "openbao_connection_failed";
/// A rotation so long before bad weather may not have been promoted when it came.
const YOUNG: Duration = Duration::from_secs(10);
/// Within so long after bad weather a probe has passed.
const PROBED: Duration = Duration::from_secs(2);

/// A call in time: the node that answered, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) node: usize,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
}

#[derive(Debug)]
struct Episode {
    weather: &'static Weather,
    /// None: all nodes.
    node: Option<usize>,
    began: Instant,
    ended: Option<Instant>,
}

/// All weather so far.
#[derive(Debug)]
pub(crate) struct Sky {
    pacing: Pacing,
    episodes: Vec<Episode>,
    rotations: Vec<Instant>,
}

/// The weather that excuses a failure, and how long it had been over when the call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Excuse {
    pub(crate) name: &'static str,
    pub(crate) after: Duration,
}

impl Sky {
    pub(crate) fn new(pacing: Pacing) -> Self {
        Self {
            pacing,
            episodes: Vec::new(),
            rotations: Vec::new(),
        }
    }

    /// Bad weather begins; gives its number. `node`: the only one it concerns.
    pub(crate) fn begin(
        &mut self,
        weather: &'static Weather,
        node: Option<usize>,
        now: Instant,
    ) -> usize {
        self.episodes.push(Episode {
            weather,
            node,
            began: now,
            ended: None,
        });
        self.episodes.len() - 1
    }

    /// It is over; what it left behind may take its time to go.
    pub(crate) fn end(&mut self, number: usize, now: Instant) {
        if let Some(episode) = self.episodes.get_mut(number) {
            episode.ended = Some(now);
        }
    }

    /// The key was rotated.
    pub(crate) fn rotated(&mut self, now: Instant) {
        self.rotations.push(now);
    }

    /// Why the call may have failed with `class`; `None`: it must not.
    pub(crate) fn excuse(&self, call: Call, class: &str, span: Span) -> Option<Excuse> {
        let excused = |episode: &&Episode| {
            self.touches(episode, self.settle_of(episode, call, class), span)
                && self.allows(episode, class, span)
        };
        // The latest one is the likeliest cause.
        let episode = self.episodes.iter().rev().find(excused)?;
        let over = episode.ended.unwrap_or(span.ended);
        Some(Excuse {
            name: episode.weather.name,
            after: span.ended.saturating_duration_since(over),
        })
    }

    /// Whether no weather touches the call.
    pub(crate) fn is_calm(&self, call: Call, span: Span) -> bool {
        !self
            .episodes
            .iter()
            .any(|episode| self.touches(episode, self.settle(episode, call), span))
    }

    /// Since when nothing at all has been wrong, `start` at the earliest; `None` while something is.
    pub(crate) fn clear_since(&self, start: Instant) -> Option<Instant> {
        self.episodes
            .iter()
            .try_fold(start, |latest, episode| Some(latest.max(episode.ended?)))
    }

    /// When nothing that has been excuses anything any more, should no more come.
    pub(crate) fn settled_at(&self, now: Instant) -> Instant {
        let over = |episode: &Episode| {
            let ended = episode.ended.unwrap_or(now);
            ended + self.settle(episode, Call::Encrypt)
        };
        self.episodes.iter().map(over).fold(now, Instant::max)
    }

    fn touches(&self, episode: &Episode, settle: Duration, span: Span) -> bool {
        let over = episode.ended.map(|ended| ended + settle);
        episode.node.is_none_or(|node| node == span.node)
            && episode.began <= span.ended
            && over.is_none_or(|over| span.began <= over)
    }

    fn settle(&self, episode: &Episode, call: Call) -> Duration {
        match call {
            Call::Decrypt | Call::Forged => self.pacing.settle_reads,
            _ if episode.weather.is_restart() || self.delays_a_rotation(episode) => {
                self.pacing.settle_restart
            }
            Call::Status | Call::Encrypt => self.pacing.settle_writes,
        }
    }

    /// As [`Sky::settle`], for this failure: only the verdict has to wait for a node to catch up.
    fn settle_of(&self, episode: &Episode, call: Call, class: &str) -> Duration {
        let settle = self.settle(episode, call);
        match class {
            UNHEALTHY | STALE => settle,
            _ => settle.min(self.pacing.settle_writes),
        }
    }

    /// A node that missed a rotation may have to catch up with the others before it writes.
    fn delays_a_rotation(&self, episode: &Episode) -> bool {
        self.rotations.iter().any(|rotated| {
            *rotated + YOUNG >= episode.began && episode.ended.is_none_or(|ended| *rotated <= ended)
        })
    }

    /// Login is tried every few seconds only: one lost token is replaced unnoticed, one that is
    /// lost again, or among other trouble, is not.
    fn is_token_lost_in_trouble(&self, episode: &Episode) -> bool {
        let began = self.spell(episode);
        let spell = self.episodes.iter();
        let spell = spell.filter(|other| other.began >= began && other.began <= episode.began);
        let (mut trouble, mut lost) = (0, false);
        for other in spell {
            trouble += 1;
            lost |= other.weather.ends_tokens();
        }
        lost && trouble > 1
    }

    /// A call is repeated once: what its first attempt met, before this, may have been other weather.
    fn is_second_blow(&self, episode: &Episode, span: Span) -> bool {
        self.episodes.iter().any(|other| {
            other.began < episode.began && other.ended.is_none_or(|ended| ended >= span.began)
        })
    }

    fn allows(&self, episode: &Episode, class: &str, span: Span) -> bool {
        if (class == AUTH || class == BEHIND) && self.is_token_lost_in_trouble(episode) {
            return true;
        }
        if class == DISCONNECTED && episode.weather.ends_connections() {
            return self.is_second_blow(episode, span);
        }
        if class != UNHEALTHY && class != STALE {
            return episode.weather.classes.contains(&class);
        }
        match episode.weather.unhealthy {
            Unhealthy::Never => false,
            Unhealthy::AtOnce => true,
            Unhealthy::Stale => {
                // What was over before it was too long for Status is no excuse later.
                let probed = episode.ended.map(|ended| ended + PROBED);
                let until = probed.map_or(span.ended, |probed| probed.min(span.ended));
                let bad_for = until.saturating_duration_since(self.spell(episode));
                bad_for >= self.pacing.fresh
            }
        }
    }

    /// When the unbroken spell of bad weather began that `episode` belongs to.
    fn spell(&self, episode: &Episode) -> Instant {
        let mut began = episode.began;
        for earlier in self.episodes.iter().rev() {
            let over = earlier.ended.map(|ended| ended + self.pacing.settle_writes);
            if earlier.began < began && over.is_none_or(|over| over >= began) {
                began = earlier.began;
            }
        }
        began
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::{Kind, TABLE};

    fn weather(kind: Kind) -> &'static Weather {
        TABLE.iter().find(|row| row.kind == kind).unwrap()
    }

    fn second(zero: Instant, second: u64) -> Instant {
        zero + Duration::from_secs(second)
    }

    fn span(zero: Instant, node: usize, from: u64, to: u64) -> Span {
        Span {
            node,
            began: second(zero, from),
            ended: second(zero, to),
        }
    }

    #[test]
    fn a_failure_is_excused_by_its_weather_and_for_a_while_after_it() {
        let zero = Instant::now();
        let mut sky = Sky::new(Pacing::long());
        let episode = sky.begin(weather(Kind::Sealed), None, second(zero, 100));
        sky.end(episode, second(zero, 110));
        let excuse = |class, from, to| sky.excuse(Call::Decrypt, class, span(zero, 1, from, to));
        assert_eq!(excuse("openbao_sealed", 50, 99), None);
        assert!(excuse("openbao_sealed", 99, 100).is_some());
        assert_eq!(
            excuse("openbao_sealed", 112, 113),
            Some(Excuse {
                name: "sealed",
                after: Duration::from_secs(3)
            })
        );
        assert_eq!(excuse("openbao_sealed", 118, 119), None);
        assert_eq!(excuse("aad_mismatch", 105, 106), None);
    }

    #[test]
    fn one_lost_token_excuses_nothing_and_two_in_a_row_do() {
        let zero = Instant::now();
        let mut sky = Sky::new(Pacing::long());
        let excused = |sky: &Sky, at| {
            let span = span(zero, 0, at, at);
            sky.excuse(Call::Decrypt, AUTH, span).is_some()
        };
        let episode = sky.begin(weather(Kind::TokensRevoked), None, second(zero, 100));
        assert!(!excused(&sky, 101));
        sky.end(episode, second(zero, 102));
        sky.begin(weather(Kind::TokensRevoked), None, second(zero, 103));
        assert!(excused(&sky, 104));
    }

    #[test]
    fn a_rotation_in_bad_weather_gives_writes_more_time_afterwards() {
        let zero = Instant::now();
        let mut sky = Sky::new(Pacing::long());
        let excused = |sky: &Sky, call| {
            let span = span(zero, 0, 125, 125);
            sky.excuse(call, UNHEALTHY, span).is_some()
        };
        let episode = sky.begin(weather(Kind::Sealed), None, second(zero, 100));
        sky.end(episode, second(zero, 110));
        assert!(!excused(&sky, Call::Status));
        sky.rotated(second(zero, 105));
        assert!(excused(&sky, Call::Status));
        assert!(!excused(&sky, Call::Decrypt));
    }

    #[test]
    fn status_has_to_bear_a_short_outage_and_may_not_bear_a_definite_finding() {
        let zero = Instant::now();
        let mut sky = Sky::new(Pacing::long());
        sky.begin(weather(Kind::Sealed), None, second(zero, 100));
        let excused = |sky: &Sky, at| {
            let span = span(zero, 0, at, at);
            sky.excuse(Call::Status, UNHEALTHY, span).is_some()
        };
        assert!(!excused(&sky, 101));
        assert!(excused(&sky, 107));
        sky.begin(weather(Kind::UpsertAllowed), None, second(zero, 101));
        assert!(excused(&sky, 101));
    }

    #[test]
    fn a_short_outage_excuses_no_status_that_fails_when_it_is_long_over() {
        let zero = Instant::now();
        let mut sky = Sky::new(Pacing::long());
        let episode = sky.begin(weather(Kind::Sealed), None, second(zero, 100));
        sky.end(episode, second(zero, 101));
        let status = |sky: &Sky, at| {
            let span = span(zero, 0, at, at);
            sky.excuse(Call::Status, UNHEALTHY, span)
        };
        assert_eq!(status(&sky, 107), None);
        let episode = sky.begin(weather(Kind::Sealed), None, second(zero, 200));
        sky.end(episode, second(zero, 204));
        assert!(status(&sky, 207).is_some());
    }

    #[test]
    fn only_the_verdict_has_more_time_after_a_rotation_or_a_restart() {
        let zero = Instant::now();
        let mut sky = Sky::new(Pacing::long());
        sky.rotated(second(zero, 105));
        let episode = sky.begin(weather(Kind::Sealed), None, second(zero, 100));
        sky.end(episode, second(zero, 110));
        let encrypt = |class| {
            let span = span(zero, 0, 125, 125);
            sky.excuse(Call::Encrypt, class, span).is_some()
        };
        assert!(encrypt(STALE));
        assert!(!encrypt("openbao_sealed"));
    }

    #[test]
    fn a_login_that_fails_excuses_those_who_wait_behind_it() {
        let zero = Instant::now();
        let mut sky = Sky::new(Pacing::long());
        sky.begin(weather(Kind::SigningKeyChanged), None, second(zero, 100));
        let excuse = sky.excuse(Call::Decrypt, BEHIND, span(zero, 0, 101, 104));
        assert!(excuse.is_some());
    }

    #[test]
    fn one_lost_connection_excuses_nothing_and_one_after_other_weather_does() {
        let zero = Instant::now();
        let mut sky = Sky::new(Pacing::long());
        let hangs = sky.begin(weather(Kind::Hanging), None, second(zero, 90));
        sky.end(hangs, second(zero, 100));
        sky.begin(weather(Kind::TlsOld), None, second(zero, 100));
        let excuse = |from, to| sky.excuse(Call::Decrypt, DISCONNECTED, span(zero, 0, from, to));
        assert!(excuse(99, 101).is_some());
        assert_eq!(excuse(101, 102), None);
    }

    #[test]
    fn a_restart_excuses_one_node_only_and_weather_that_lasts_is_not_clear() {
        let zero = Instant::now();
        let mut sky = Sky::new(Pacing::long());
        let episode = sky.begin(weather(Kind::Killed), Some(0), second(zero, 100));
        let excused = |sky: &Sky, node| {
            let span = span(zero, node, 101, 101);
            sky.excuse(Call::Encrypt, crate::failure::GONE, span)
                .is_some()
        };
        assert!(excused(&sky, 0) && !excused(&sky, 1));
        assert_eq!(sky.clear_since(zero), None);
        sky.end(episode, second(zero, 103));
        assert_eq!(sky.clear_since(zero), Some(second(zero, 103)));
    }
}
