//! `exec`: a command in a container, with the streams of this process.

use std::io::Write;

use bytes::{Buf as _, BytesMut};
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
        unsent: BytesMut::new(),
        last_word: Vec::new(),
        open: Vec::new(),
        ready: Vec::new(),
    };
    talk.begin(request);
    let input = match request.stdin {
        true => Some(terminal::input().map_err(Fault::Terminal)?),
        false => None,
    };
    talk.go_on(from, input, out, err).await?;
    ending::code(&talk.last_word)
}

struct Talk {
    connection: Connection,
    to: WriteHalf<TokioIo<Upgraded>>,
    unsent: BytesMut,
    last_word: Vec<u8>,
    /// Streams that still bring something.
    open: Vec<Use>,
    /// Streams that the runtime takes something on.
    ready: Vec<Use>,
}

impl Talk {
    fn begin(&mut self, request: &request::Exec) {
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
            self.send(&frame);
        }
    }

    async fn go_on(
        &mut self,
        mut from: ReadHalf<TokioIo<Upgraded>>,
        mut input: Option<impl AsyncRead + Unpin>,
        out: &mut (dyn Write + Send),
        err: &mut (dyn Write + Send),
    ) -> Result<(), Fault> {
        let mut resized = signal(SignalKind::window_change()).map_err(Fault::Terminal)?;
        let mut typed = vec![0; PIECE];
        let mut came = vec![0; 4 * PIECE];
        while !self.open.is_empty() {
            tokio::select! {
                read = from.read(&mut came) => {
                    let length = read.unwrap_or(0);
                    let bytes = came.get(..length).unwrap_or_default();
                    if bytes.is_empty() || !self.take(bytes, out, err)? {
                        break;
                    }
                }
                // Where nobody takes it any more, what comes from there says why.
                written = self.to.write(&self.unsent), if !self.unsent.is_empty() => {
                    match written {
                        Ok(length) if length > 0 => self.unsent.advance(length),
                        _ => self.unsent.clear(),
                    }
                }
                read = some(&mut input, &mut typed), if self.takes_input() => {
                    let length = read.unwrap_or(0);
                    let bytes = typed.get(..length).unwrap_or_default();
                    let frame = self.connection.data(Use::Stdin, bytes, bytes.is_empty());
                    if bytes.is_empty() {
                        input = None;
                    }
                    self.send(&frame);
                }
                Some(()) = resized.recv(), if self.ready.contains(&Use::Resize) => {
                    self.resize();
                }
            }
        }
        Ok(())
    }

    fn takes_input(&self) -> bool {
        self.ready.contains(&Use::Stdin) && self.unsent.len() < 4 * PIECE
    }

    /// Takes in what came; `false` when it was the last.
    fn take(
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
                Some(Came::Reply(frame)) => self.send(&frame),
                Some(Came::Opened(stream)) => {
                    self.ready.push(stream);
                    if stream == Use::Resize {
                        self.resize();
                    }
                }
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

    fn resize(&mut self) {
        if let Some((columns, rows)) = terminal::size() {
            let size = format!("{{\"Width\":{columns},\"Height\":{rows}}}\n");
            let frame = self.connection.data(Use::Resize, size.as_bytes(), false);
            self.send(&frame);
        }
    }

    /// Never waits: while the command's output is not read, its input may not be taken either.
    fn send(&mut self, frame: &[u8]) {
        self.unsent.extend_from_slice(frame);
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
