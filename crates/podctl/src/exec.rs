//! `exec`: a command in a container, with the streams of this process.

use std::io::Write;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf},
    signal::unix::{SignalKind, signal},
};

use crate::{
    client::Agent,
    ending,
    fault::Fault,
    request,
    spdy::{Came, Connection, PIECE, Use},
    terminal::{self, Raw},
};

/// The runtime's last word about a command, at most.
const LAST_WORD: usize = 64 * 1024;

/// Runs a command and gives its exit code. `out` and `err` take what it writes.
///
/// # Errors
/// [`Fault`]: it was not run, or nobody knows how it ended.
pub(crate) async fn exec(
    agent: &Agent,
    request: &request::Exec,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
) -> Result<u8, Fault> {
    let streams = agent.exec(request).await?;
    // From here on the terminal is the command's, and given back at the end.
    let _raw = match request.tty && terminal::is_there() {
        true => Some(Raw::begin().map_err(Fault::Terminal)?),
        false => None,
    };
    let (from, to) = tokio::io::split(streams);
    let mut talk = Talk {
        connection: Connection::default(),
        to,
        last_word: Vec::new(),
        open: Vec::new(),
    };
    talk.begin(request).await?;
    let input = match request.stdin {
        true => Some(terminal::input().map_err(Fault::Terminal)?),
        false => None,
    };
    talk.go_on(from, input, request.tty, out, err).await?;
    ending::code(&talk.last_word)
}

struct Talk {
    connection: Connection,
    to: WriteHalf<TokioIo<Upgraded>>,
    last_word: Vec<u8>,
    /// Streams that still bring something.
    open: Vec<Use>,
}

impl Talk {
    async fn begin(&mut self, request: &request::Exec) -> Result<(), Fault> {
        self.open = vec![Use::Error, Use::Stdout];
        if !request.tty {
            self.open.push(Use::Stderr);
        }
        let mut all = self.open.clone();
        if request.stdin {
            all.push(Use::Stdin);
        }
        if request.tty {
            all.push(Use::Resize);
        }
        for stream in all {
            let frame = self.connection.open(stream);
            self.send(&frame).await?;
        }
        Ok(())
    }

    async fn go_on(
        &mut self,
        mut from: ReadHalf<TokioIo<Upgraded>>,
        mut input: Option<impl AsyncRead + Unpin>,
        tty: bool,
        out: &mut (dyn Write + Send),
        err: &mut (dyn Write + Send),
    ) -> Result<(), Fault> {
        let mut resized = signal(SignalKind::window_change()).map_err(Fault::Terminal)?;
        let mut typed = vec![0; PIECE];
        let mut came = vec![0; 4 * PIECE];
        if tty {
            self.resize().await?;
        }
        while !self.open.is_empty() {
            tokio::select! {
                read = from.read(&mut came) => {
                    let length = read.unwrap_or(0);
                    let bytes = came.get(..length).unwrap_or_default();
                    if bytes.is_empty() || !self.take(bytes, out, err).await? {
                        break;
                    }
                }
                read = some(&mut input, &mut typed) => {
                    let length = read.unwrap_or(0);
                    let bytes = typed.get(..length).unwrap_or_default();
                    let frame = self.connection.data(Use::Stdin, bytes, bytes.is_empty());
                    if bytes.is_empty() {
                        input = None;
                    }
                    self.send(&frame).await?;
                }
                Some(()) = resized.recv(), if tty => self.resize().await?,
            }
        }
        Ok(())
    }

    /// Takes in what came; `false` when it was the last.
    async fn take(
        &mut self,
        bytes: &[u8],
        out: &mut (dyn Write + Send),
        err: &mut (dyn Write + Send),
    ) -> Result<bool, Fault> {
        self.connection.take(bytes);
        loop {
            let next = self.connection.next();
            let next = next.map_err(|broken| Fault::Refused(broken.to_string()))?;
            match next {
                None => return Ok(true),
                Some(Came::End) => return Ok(false),
                Some(Came::Reply(frame)) => self.send(&frame).await?,
                Some(Came::Data(stream, data, is_last)) => {
                    match stream {
                        Use::Stdout => write(out, &data)?,
                        Use::Stderr => write(err, &data)?,
                        Use::Error if self.last_word.len() < LAST_WORD => {
                            self.last_word.extend_from_slice(&data);
                        }
                        _ => {}
                    }
                    if is_last {
                        self.open.retain(|open| *open != stream);
                    }
                }
            }
        }
    }

    async fn resize(&mut self) -> Result<(), Fault> {
        let Some((columns, rows)) = terminal::size() else {
            return Ok(());
        };
        let size = format!("{{\"Width\":{columns},\"Height\":{rows}}}\n");
        let frame = self.connection.data(Use::Resize, size.as_bytes(), false);
        self.send(&frame).await
    }

    /// Where nobody takes it any more, what comes from there says why.
    async fn send(&mut self, frame: &[u8]) -> Result<(), Fault> {
        let _ = self.to.write_all(frame).await;
        let _ = self.to.flush().await;
        Ok(())
    }
}

async fn some(
    input: &mut Option<impl AsyncRead + Unpin>,
    into: &mut [u8],
) -> std::io::Result<usize> {
    match input {
        Some(input) => input.read(into).await,
        None => std::future::pending().await,
    }
}

fn write(to: &mut (dyn Write + Send), data: &[u8]) -> Result<(), Fault> {
    to.write_all(data)?;
    to.flush()?;
    Ok(())
}
