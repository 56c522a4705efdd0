//! Why there is no verdict, as opposed to a bad one.

use std::{io, path::PathBuf};

/// What kept the counting from its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("usage: cost [--record] FILE, or cost --path NAME under valgrind")]
    Usage,
    #[error("there is no path `{0}`")]
    UnknownPath(String),
    #[error("{0} does not start; install it (Debian: apt-get install valgrind)")]
    NoTool(&'static str, #[source] io::Error),
    #[error("this program does not find its own file, which valgrind needs")]
    Lost(#[source] io::Error),
    #[error("`{name}` failed under valgrind: {said}")]
    Failed { name: &'static str, said: String },
    #[error(
        "valgrind counted nothing for `{0}`: was the program stripped, or its counted function renamed?"
    )]
    NothingCounted(&'static str),
    #[error("{}: the file cannot be read or written", .path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: not a file of counts", .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("{0} cannot be made")]
    Stand(
        &'static str,
        #[source] Box<dyn std::error::Error + Send + Sync>,
    ),
    #[error("{0} of {1} calls of `{2}` were not answered as they should be")]
    WrongAnswers(usize, usize, &'static str),
    #[error("`{name}` sent OpenBao {sent} requests where it should send {asked}")]
    WrongRequests {
        name: &'static str,
        sent: u64,
        asked: u64,
    },
}
