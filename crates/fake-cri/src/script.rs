//! What the test program does, as words on its command line.
//!
//! `cri-workload out=hello sleep=500 exit=3` prints a line, waits half a second and ends with 3.
//! The real program and the fake runtime read the same words, so that one contract can be put to
//! both. A program that runs out of words ends with 0.

use std::{path::PathBuf, time::Duration};

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `out=TEXT`: a line to standard output.
    Out(String),
    /// `err=TEXT`: a line to standard error.
    Err(String),
    /// `raw=TEXT`: to standard output, without an end of line.
    Raw(String),
    /// `env=NAME`: a line with the variable's value, or `unset`.
    Env(String),
    /// `fill=BYTES`: one line of so many `x`.
    Fill(usize),
    /// `count=N`: lines `1` to `N`.
    Count(u64),
    /// `tick=MS`: a numbered line every so often, for ever.
    Tick(Duration),
    /// `write=PATH=TEXT`: a file.
    Write(PathBuf, String),
    /// `cat=PATH`: a file, or why not.
    Cat(PathBuf),
    /// `id`: a line `UID GID GROUP,GROUP`.
    Id,
    /// `wait=PATH`: until it exists.
    Wait(PathBuf),
    /// `fifo=PATH`: what is written there becomes lines, for ever.
    Fifo(PathBuf),
    /// `sleep=MS`.
    Sleep(Duration),
    /// `eat=MIB`: takes memory, and keeps it.
    Eat(u64),
    /// `serve=ADDRESS=TEXT`: a web server that answers with the text, or where that is `$NAME`
    /// with the variable's value; with 503 while the file `/tmp/sick` exists. Goes on with the
    /// next word.
    Serve(String, String),
    /// `term=ignore`, or `term=CODE`: what SIGTERM does from here on. Ends with 0 otherwise.
    Term(Option<u8>),
    /// `drain=MS`: how long the end takes after SIGTERM.
    Drain(Duration),
    /// `hang`: until a signal comes.
    Hang,
    /// `exit=CODE`.
    Exit(u8),
    /// `abort`: a crash.
    Abort,
}

/// Words that mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the test program does not know the word {0:?}")]
pub struct UnknownWord(pub String);

/// Reads words.
///
/// # Errors
/// The first [`UnknownWord`].
pub fn parse<S: AsRef<str>>(words: &[S]) -> Result<Vec<Step>, UnknownWord> {
    words.iter().map(|word| step(word.as_ref())).collect()
}

fn step(word: &str) -> Result<Step, UnknownWord> {
    let (verb, operand) = match word.split_once('=') {
        Some((verb, operand)) => (verb, Some(operand)),
        None => (word, None),
    };
    known(verb, operand).ok_or_else(|| UnknownWord(word.to_owned()))
}

fn known(verb: &str, operand: Option<&str>) -> Option<Step> {
    let Some(operand) = operand else {
        return match verb {
            "id" => Some(Step::Id),
            "hang" => Some(Step::Hang),
            "abort" => Some(Step::Abort),
            _ => None,
        };
    };
    let text = || operand.to_owned();
    let path = || PathBuf::from(operand);
    let time = || Some(Duration::from_millis(operand.parse().ok()?));
    Some(match verb {
        "out" => Step::Out(text()),
        "err" => Step::Err(text()),
        "raw" => Step::Raw(text()),
        "env" => Step::Env(text()),
        "fill" => Step::Fill(operand.parse().ok()?),
        "count" => Step::Count(operand.parse().ok()?),
        "tick" => Step::Tick(time()?),
        "write" => {
            let (path, text) = operand.split_once('=')?;
            Step::Write(PathBuf::from(path), text.to_owned())
        }
        "cat" => Step::Cat(path()),
        "wait" => Step::Wait(path()),
        "fifo" => Step::Fifo(path()),
        "sleep" => Step::Sleep(time()?),
        "eat" => Step::Eat(operand.parse().ok()?),
        "serve" => {
            let (address, text) = operand.split_once('=')?;
            Step::Serve(address.to_owned(), text.to_owned())
        }
        "term" if operand == "ignore" => Step::Term(None),
        "term" => Step::Term(Some(operand.parse().ok()?)),
        "drain" => Step::Drain(time()?),
        "exit" => Step::Exit(operand.parse().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_steps() {
        let words = [
            "out=a=b",
            "write=/x=y=z",
            "sleep=5",
            "term=ignore",
            "exit=3",
        ];
        let expected = [
            Step::Out("a=b".into()),
            Step::Write("/x".into(), "y=z".into()),
            Step::Sleep(Duration::from_millis(5)),
            Step::Term(None),
            Step::Exit(3),
        ];
        assert_eq!(parse(&words).unwrap(), expected);
    }

    #[test]
    fn an_unknown_word_is_named() {
        for word in [
            "", "nope", "exit=300", "sleep=x", "hang=1", "exit", "write=/x",
        ] {
            assert_eq!(parse(&[word]), Err(UnknownWord(word.to_owned())));
        }
    }
}
