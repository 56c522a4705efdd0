//! The test program without a process: what it has said and done by a moment.

use std::{collections::BTreeMap, time::Duration};

use crate::script::{Step, parse};

/// A program that is not the test program runs until it is told to end.
const OPAQUE: &[Step] = &[Step::Hang];
/// SIGKILL.
pub(super) const KILLED: i32 = 137;
/// The first process of a namespace is spared SIGABRT; what abort does then is a SIGSEGV.
const ABORTED: i32 = 139;
/// Two ticks are never at one moment.
const SHORTEST: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stream {
    Out,
    Err,
}

/// Something that was printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) at: Duration,
    pub(super) stream: Stream,
    pub(super) text: String,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) at: Duration,
    pub(super) code: i32,
    pub(super) out_of_memory: bool,
}

/// Whether the kernel would find a program to run: nothing is below `/no/`.
pub(super) fn exists(command: &[String]) -> bool {
    command
        .first()
        .is_some_and(|program| !program.starts_with("/no/"))
}

/// A program that runs.
pub(super) struct Actor {
    steps: Vec<Step>,
    next: usize,
    /// When the next step is taken.
    at: Duration,
    environment: BTreeMap<String, String>,
    /// Bytes; zero is all there is.
    memory: i64,
    eaten: i64,
    ticks: u64,
    /// What SIGTERM does.
    code: Option<u8>,
    drain: Duration,
    is_told: bool,
    /// SIGTERM was heeded: nothing is done but to wait for the end.
    is_draining: bool,
    doom: Option<Ending>,
    said: Vec<Said>,
}

impl Actor {
    pub(super) fn new(
        command: &[String],
        environment: BTreeMap<String, String>,
        memory: i64,
        now: Duration,
    ) -> Self {
        let mut said = Vec::new();
        let steps = match command.split_first() {
            Some((program, words)) if program == "/workload" => {
                parse(words).unwrap_or_else(|fault| {
                    let text = format!("{fault}\n");
                    said.push(Said {
                        at: now,
                        stream: Stream::Err,
                        text,
                    });
                    vec![Step::Exit(2)]
                })
            }
            _ => OPAQUE.to_vec(),
        };
        Self {
            steps,
            next: 0,
            at: now,
            environment,
            memory,
            eaten: 0,
            ticks: 0,
            code: Some(0),
            drain: Duration::ZERO,
            is_told: false,
            is_draining: false,
            doom: None,
            said,
        }
    }

    /// What was said since this was asked last.
    pub(super) fn take_said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }

    /// Does all that is due; the end, if that came.
    pub(super) fn play_until(&mut self, now: Duration) -> Option<Ending> {
        loop {
            if let Some(doom) = self.doom
                && doom.at <= now
                && (self.is_draining || doom.at <= self.at)
            {
                return Some(doom);
            }
            if self.is_draining || self.at > now {
                return None;
            }
            let Some(step) = self.steps.get(self.next).cloned() else {
                return Some(self.end(0));
            };
            if !self.take(&step) {
                // It waits for something: only its doom moves on.
                self.at = now.max(self.at);
                return self.doom.filter(|doom| doom.at <= now);
            }
            if let Some(doom) = self
                .doom
                .filter(|doom| doom.at <= self.at && doom.at <= now)
            {
                return Some(doom);
            }
        }
    }

    /// SIGTERM, which is sent once.
    pub(super) fn terminate(&mut self, now: Duration) {
        if std::mem::replace(&mut self.is_told, true) {
            return;
        }
        match self.code {
            None => self.say(now, Stream::Out, "ignored\n"),
            Some(code) => {
                self.say(now, Stream::Out, "terminated\n");
                self.is_draining = true;
                self.doom_at(now.saturating_add(self.drain), i32::from(code));
            }
        }
    }

    /// An end at a moment, unless one comes sooner.
    pub(super) fn doom_at(&mut self, at: Duration, code: i32) {
        if self.doom.is_none_or(|doom| at < doom.at) {
            self.doom = Some(Ending {
                at,
                code,
                out_of_memory: false,
            });
        }
    }

    /// Whether nothing will happen any more unless somebody does something.
    pub(super) fn is_idle(&self) -> bool {
        let waits = matches!(self.steps.get(self.next), Some(Step::Hang | Step::Fifo(_)));
        waits && self.doom.is_none()
    }

    /// When it will end, if that is sure.
    pub(super) fn doomed(&self) -> Option<Ending> {
        self.doom
    }

    fn end(&self, code: i32) -> Ending {
        Ending {
            at: self.at,
            code,
            out_of_memory: false,
        }
    }

    fn say(&mut self, at: Duration, stream: Stream, text: &str) {
        let text = text.to_owned();
        self.said.push(Said { at, stream, text });
    }

    fn line(&mut self, text: &str) {
        self.say(self.at, Stream::Out, &format!("{text}\n"));
    }

    /// One step; `false` where it cannot be finished yet.
    fn take(&mut self, step: &Step) -> bool {
        match step {
            Step::Out(text) => self.line(text),
            Step::Err(text) => self.say(self.at, Stream::Err, &format!("{text}\n")),
            Step::Raw(text) => self.say(self.at, Stream::Out, text),
            Step::Env(name) => {
                let value = self.environment.get(name).cloned();
                self.line(&value.unwrap_or_else(|| "unset".to_owned()));
            }
            Step::Fill(bytes) => self.line(&"x".repeat(*bytes)),
            Step::Count(lines) => (1..=*lines).for_each(|number| self.line(&number.to_string())),
            Step::Tick(pause) => {
                self.ticks += 1;
                self.line(&self.ticks.to_string());
                self.at = self.at.saturating_add((*pause).max(SHORTEST));
                return true;
            }
            Step::Id => self.line("0 0 "),
            Step::Sleep(time) => self.at = self.at.saturating_add(*time),
            Step::Eat(mebibytes) => {
                self.eaten = self.eaten.saturating_add_unsigned(mebibytes << 20);
                if self.memory > 0 && self.eaten > self.memory {
                    self.doom = Some(Ending {
                        out_of_memory: true,
                        ..self.end(KILLED)
                    });
                }
            }
            Step::Term(code) => self.code = *code,
            Step::Drain(time) => self.drain = *time,
            Step::Exit(code) => self.doom = Some(self.end(i32::from(*code))),
            Step::Abort => self.doom = Some(self.end(ABORTED)),
            Step::Wait(path) if !path.exists() => return false,
            Step::Hang | Step::Fifo(_) => return false,
            // There is no file system and no network in here.
            Step::Wait(_) | Step::Write(..) | Step::Cat(_) | Step::Serve(..) => {}
        }
        self.next += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn actor(words: &[&str], memory: i64) -> Actor {
        let command = std::iter::once(&"/workload").chain(words);
        let command: Vec<String> = command.map(|word| (*word).to_owned()).collect();
        let environment = [("A".to_owned(), "b".to_owned())].into();
        Actor::new(&command, environment, memory, Duration::ZERO)
    }

    fn texts(actor: &mut Actor) -> String {
        actor
            .take_said()
            .into_iter()
            .map(|said| said.text)
            .collect()
    }

    #[test]
    fn what_is_due_is_done_and_no_more() {
        let mut actor = actor(&["out=1", "env=A", "sleep=10", "out=2", "exit=3"], 0);
        assert_eq!(actor.play_until(9 * MS), None);
        assert_eq!(texts(&mut actor), "1\nb\n");
        let end = actor.play_until(100 * MS).unwrap();
        assert_eq!((end.at, end.code), (10 * MS, 3));
        assert_eq!(texts(&mut actor), "2\n");
    }

    #[test]
    fn ticks_come_in_their_time_until_the_end() {
        let mut actor = actor(&["tick=10"], 0);
        assert_eq!(actor.play_until(25 * MS), None);
        assert_eq!(texts(&mut actor), "1\n2\n3\n");
        actor.terminate(35 * MS);
        assert_eq!(actor.play_until(50 * MS).unwrap().at, 35 * MS);
    }

    #[test]
    fn a_drain_goes_before_what_the_script_still_has_and_a_kill_before_a_drain() {
        let mut polite = actor(&["drain=20", "sleep=10", "exit=5"], 0);
        assert_eq!(polite.play_until(MS), None);
        polite.terminate(5 * MS);
        assert_eq!(polite.play_until(24 * MS), None);
        assert_eq!(polite.play_until(30 * MS).unwrap().code, 0);
        let mut slow = actor(&["drain=20", "hang"], 0);
        slow.play_until(MS);
        slow.terminate(5 * MS);
        slow.doom_at(10 * MS, KILLED);
        let end = slow.play_until(30 * MS).unwrap();
        assert_eq!((end.at, end.code), (10 * MS, KILLED));
    }

    #[test]
    fn who_ignores_the_signal_is_killed() {
        let mut actor = actor(&["term=ignore", "hang"], 0);
        actor.play_until(MS);
        actor.terminate(2 * MS);
        actor.doom_at(9 * MS, KILLED);
        assert_eq!(actor.play_until(8 * MS), None);
        assert_eq!(actor.play_until(9 * MS).unwrap().code, KILLED);
    }

    #[test]
    fn more_than_the_limit_is_too_much() {
        let end = actor(&["eat=3", "hang"], 2 << 20).play_until(MS).unwrap();
        assert!(end.out_of_memory && end.code == KILLED);
        assert_eq!(actor(&["eat=2", "hang"], 2 << 20).play_until(MS), None);
    }
}
