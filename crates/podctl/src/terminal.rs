//! The terminal of whoever runs a command.

use std::{
    io::{self, IsTerminal as _, stdin, stdout},
    os::fd::AsFd as _,
};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::fs::File;

/// Whether somebody types into this process.
pub(crate) fn is_there() -> bool {
    stdin().is_terminal()
}

/// The standard input. Reading it holds a thread up that nobody can call back: the runtime must
/// be shut down without waiting for it.
pub(crate) fn input() -> io::Result<File> {
    let own = stdin().as_fd().try_clone_to_owned()?;
    Ok(File::from_std(own.into()))
}

/// Columns and rows of the output, where it is a terminal.
pub(crate) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdout()).ok()?;
    Some((size.ws_col, size.ws_row)).filter(|(columns, rows)| *columns > 0 && *rows > 0)
}

/// The terminal hands over every key as it is, until this is dropped.
pub(crate) struct Raw(Termios);

impl Raw {
    pub(crate) fn begin() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.0);
    }
}
