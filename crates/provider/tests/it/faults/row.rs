//! One row of the table: what happens to OpenBao, and what must be seen of it.

use std::time::Duration;

use serde_json::Value;
use tonic::Code;

use super::rig::Rig;

/// `status.probeInterval` of the providers in this table.
pub(super) const PROBE: Duration = Duration::from_millis(500);
/// `status.deepProbeInterval`
pub(super) const DEEP: Duration = Duration::from_millis(1500);
/// `status.statusMaxStaleness`
pub(super) const STALE: Duration = Duration::from_millis(2500);
/// `openbao.timeout`
pub(super) const TIMEOUT: Duration = Duration::from_millis(1000);
/// Three identical answers, the first of them remembered only, each two seconds apart.
const CONFIRMED: Duration = Duration::from_secs(6);
/// What a busy machine may add to every upper bound but the caller's own deadline.
pub(super) const NOISE: Duration = Duration::from_millis(1200);
/// What the API server waits.
const PATIENCE: Duration = Duration::from_secs(3);

/// A refusal as the caller sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) Code, pub(super) &'static str);

/// What callers get while it lasts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answers {
    /// Every call is answered.
    Works,
    /// Every call is refused in one of these ways, and in the first of them at least once.
    Fails(&'static [Refusal]),
    /// Some calls are answered and some refused in this way.
    Partly(&'static [Refusal]),
    /// Calls are answered, with bytes that OpenBao has forged.
    Deceived,
}

/// What Status says while it lasts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Health {
    /// `ok` with one key_id, without a gap, to the end.
    Steady,
    /// `ok` without a gap; the key_id moves on.
    Rotates,
    /// `ok` until then; `unhealthy` without a key_id from then on, for this reason.
    Unhealthy(When, &'static str),
}

/// How long Status holds out.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// The next metadata probe tells.
    NextProbe,
    /// The next deep probe tells.
    NextDeepProbe,
    /// Until the last good metadata probe is too old.
    Stale,
    /// Until the last good deep probe is too old.
    DeepStale,
    /// A lagging node could have invented it: until it is heard three times.
    Confirmed,
}

/// How soon all is well when the cause has ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Again {
    /// The first call that begins afterwards is answered without delay.
    AtOnce,
    /// Requests that hang hold their lanes for the rest of their time.
    WhenRequestsHaveTimedOut,
    /// Failed logins are repeated every 5 s while somebody waits.
    NextLogin,
    /// Two probe intervals.
    TwoProbes,
    /// After [`Again::NextLogin`], two probe intervals.
    LoginAndTwoProbes,
    /// That a contradiction has gone needs to be heard three times as well.
    Confirmed,
}

/// What the operator can look at besides `/ready`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sign {
    /// A log line of this event with this class or word.
    Log(&'static str, &'static str),
    /// A sample of this family (without prefix) with this label above zero.
    Metric(&'static str, &'static str),
}

/// Acts on the backend.
pub(super) type Act = fn(&Rig);

pub(super) struct Row {
    pub(super) id: &'static str,
    /// For people who read at night.
    pub(super) cause: &'static str,
    pub(super) config: Vec<(&'static str, Value)>,
    /// Whether the provider knows the standby as well.
    pub(super) standby: bool,
    /// Whether there was a rotation before: data of two versions.
    pub(super) rotated: bool,
    /// What happens before that rotation.
    pub(super) prepare: Act,
    pub(super) patience: Duration,
    /// At least; where Status shows it, until it does.
    pub(super) lasts: Duration,
    pub(super) starts: Act,
    pub(super) ends: Act,
    pub(super) status: Health,
    /// What Status would show if it lasted; the row ends before.
    pub(super) in_the_end: Option<When>,
    pub(super) encrypt: Answers,
    /// Of data under the write key.
    pub(super) decrypt: Answers,
    /// Of data under the version before it.
    pub(super) older: Option<Answers>,
    /// The longest that any answer takes, without noise.
    pub(super) longest: Duration,
    pub(super) decrypt_again: Again,
    pub(super) status_again: Again,
    pub(super) signs: Vec<Sign>,
    /// What was encrypted meanwhile cannot come back.
    pub(super) loses_what_is_made: bool,
    /// Something else that must hold at the end; its text says what did not.
    pub(super) also: fn(&Rig) -> Option<String>,
}

impl Row {
    /// Calm weather: nothing happens, and nothing is seen.
    pub(super) fn new(id: &'static str, cause: &'static str) -> Self {
        Self {
            id,
            cause,
            config: Vec::new(),
            standby: false,
            rotated: false,
            prepare: |_| {},
            patience: PATIENCE,
            lasts: Duration::from_millis(1400),
            starts: |_| {},
            ends: |rig| rig.control().faults_clear(),
            status: Health::Steady,
            in_the_end: None,
            encrypt: Answers::Works,
            decrypt: Answers::Works,
            older: None,
            longest: Duration::from_millis(300),
            decrypt_again: Again::AtOnce,
            status_again: Again::TwoProbes,
            signs: Vec::new(),
            loses_what_is_made: false,
            also: |_| None,
        }
    }

    pub(super) fn starts(mut self, act: Act) -> Self {
        self.starts = act;
        self
    }

    pub(super) fn ends(mut self, act: Act) -> Self {
        self.ends = act;
        self
    }

    pub(super) fn config(mut self, field: &'static str, value: impl Into<Value>) -> Self {
        self.config.push((field, value.into()));
        self
    }

    pub(super) fn with_standby(mut self) -> Self {
        self.standby = true;
        self
    }

    pub(super) fn rotated(mut self, older: Answers) -> Self {
        self.rotated = true;
        self.older = Some(older);
        self
    }

    pub(super) fn prepare(mut self, act: Act) -> Self {
        self.prepare = act;
        self
    }

    pub(super) fn loses_what_is_made(mut self) -> Self {
        self.loses_what_is_made = true;
        self
    }

    pub(super) fn lasts_ms(mut self, lasts: u64) -> Self {
        self.lasts = Duration::from_millis(lasts);
        self
    }

    pub(super) fn patience_ms(mut self, patience: u64) -> Self {
        self.patience = Duration::from_millis(patience);
        self
    }

    pub(super) fn longest_ms(mut self, longest: u64) -> Self {
        self.longest = Duration::from_millis(longest);
        self
    }

    pub(super) fn encrypt(mut self, answers: Answers) -> Self {
        self.encrypt = answers;
        self
    }

    pub(super) fn decrypt(mut self, answers: Answers) -> Self {
        self.decrypt = answers;
        self
    }

    /// Encrypt and Decrypt alike.
    pub(super) fn fails(self, how: &'static [Refusal]) -> Self {
        self.encrypt(Answers::Fails(how))
            .decrypt(Answers::Fails(how))
    }

    /// So long that Status shows it.
    pub(super) fn unhealthy(mut self, when: When, reason: &'static str) -> Self {
        self.status = Health::Unhealthy(when, reason);
        self.lasts = Duration::from_millis(500);
        if matches!(when, When::Confirmed) {
            // Else it would be stale before it is confirmed.
            self = self.config("status.statusMaxStaleness", "20s");
        }
        self
    }

    /// By its nature too short for Status to show it.
    pub(super) fn for_a_moment(self) -> Self {
        self.config("status.statusMaxStaleness", "20s")
    }

    /// Ends here before Status shows it, and need not end so soon in life.
    pub(super) fn cut_short(mut self, in_the_end: When) -> Self {
        self.in_the_end = Some(in_the_end);
        self.for_a_moment()
    }

    /// A request to OpenBao that fails so is logged and counted.
    pub(super) fn refused_by_openbao(self, class: &'static str) -> Self {
        self.log("openbao.request", class)
            .metric("openbao_requests_total", class)
    }

    pub(super) fn status(mut self, status: Health) -> Self {
        self.status = status;
        self
    }

    pub(super) fn again(mut self, decrypt: Again, status: Again) -> Self {
        self.decrypt_again = decrypt;
        self.status_again = status;
        self
    }

    pub(super) fn log(mut self, event: &'static str, word: &'static str) -> Self {
        self.signs.push(Sign::Log(event, word));
        self
    }

    pub(super) fn metric(mut self, family: &'static str, label: &'static str) -> Self {
        self.signs.push(Sign::Metric(family, label));
        self
    }

    pub(super) fn also(mut self, check: fn(&Rig) -> Option<String>) -> Self {
        self.also = check;
        self
    }

    /// Whether all goes well throughout and nobody is told anything.
    pub(super) fn is_quiet(&self) -> bool {
        let works = |answers: Answers| matches!(answers, Answers::Works);
        self.signs.is_empty()
            && matches!(self.status, Health::Steady | Health::Rotates)
            && works(self.encrypt)
            && works(self.decrypt)
            && self.older.is_none_or(works)
    }

    /// How soon an Encrypt is answered again: not before Status is healthy.
    pub(super) fn encrypt_again(&self) -> Again {
        match self.status {
            Health::Steady | Health::Rotates => self.decrypt_again,
            Health::Unhealthy(..) => self.status_again,
        }
    }
}

impl When {
    /// Not before and not after, counted from the beginning, without noise.
    pub(super) fn bounds(self) -> (Duration, Duration) {
        let before_stale = STALE - PROBE * 3 / 2 - Duration::from_millis(300);
        match self {
            Self::NextProbe => (Duration::ZERO, PROBE * 5 / 4),
            Self::NextDeepProbe => (Duration::ZERO, DEEP * 5 / 4),
            Self::Stale => (before_stale, STALE + Duration::from_millis(200)),
            Self::DeepStale => (before_stale, STALE + DEEP * 2),
            Self::Confirmed => (CONFIRMED - PROBE, CONFIRMED + PROBE * 3 / 2),
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::NextProbe => "with the next probe",
            Self::NextDeepProbe => "with the next deep probe",
            Self::Stale => "when the last good probe is older than `statusMaxStaleness`",
            Self::DeepStale => {
                "when the last good deep probe is older than `deepProbeInterval` and \
                 `statusMaxStaleness` together"
            }
            Self::Confirmed => "after 6 s, when three new connections have said the same",
        }
    }

    /// How long Status is `ok` before.
    pub(super) fn until_words(self) -> &'static str {
        match self {
            Self::NextProbe => "until the next probe",
            Self::NextDeepProbe => "until the next deep probe",
            Self::Stale => "until `statusMaxStaleness` is over",
            Self::DeepStale => {
                "until `deepProbeInterval` and `statusMaxStaleness` together are over"
            }
            Self::Confirmed => "until three new connections have said the same for 6 s",
        }
    }
}

impl Again {
    /// From the end of the cause, without noise.
    pub(super) fn bound(self) -> Duration {
        let login = Duration::from_secs(7);
        match self {
            Self::AtOnce => Duration::from_millis(300),
            Self::WhenRequestsHaveTimedOut => TIMEOUT * 2,
            Self::NextLogin => login,
            Self::TwoProbes => PROBE * 2,
            Self::LoginAndTwoProbes => login + PROBE * 2,
            Self::Confirmed => CONFIRMED + PROBE * 2,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::AtOnce => "at once",
            Self::WhenRequestsHaveTimedOut => "at most two `openbao.timeout` later",
            Self::NextLogin => "within 7 s",
            Self::TwoProbes => "within two probe intervals",
            Self::LoginAndTwoProbes => "within 7 s and two probe intervals",
            Self::Confirmed => "after 6 s and two probe intervals",
        }
    }
}
