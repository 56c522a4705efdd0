//! A client's stream that is woken for what it waits for and for nothing else.
//!
//! With each read at its other end a Unix socket tells that it can be written to. Who listens for
//! both directions, as is usual, is woken by that after each answer: one wake-up of three in a call
//! that asks OpenBao, just while the client works on the answer. So this stream listens for
//! requests, writes at once, and listens for room only while the pipe is full.

use std::{
    io::{self, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, unix::AsyncFd};

/// A connected Unix socket.
pub(crate) struct Stream {
    /// What was read of it already, to be read again.
    begun: &'static [u8],
    socket: AsyncFd<UnixStream>,
    /// The same socket, while its pipe is full.
    full: Option<AsyncFd<UnixStream>>,
}

impl Stream {
    /// Reads `begun` and then what comes on `stream`.
    ///
    /// # Errors
    /// When the kernel does not tell any more what happens on it.
    pub(crate) fn new(begun: &'static [u8], stream: tokio::net::UnixStream) -> io::Result<Self> {
        let socket = stream.into_std()?;
        Ok(Self {
            begun,
            socket: registered(socket, Interest::READABLE)?,
            full: None,
        })
    }

    /// Writes once there is room.
    fn write_to_full(full: &AsyncFd<UnixStream>, cx: &mut Context<'_>, bytes: &[u8]) -> Outcome {
        loop {
            let mut guard = ready!(full.poll_write_ready(cx))?;
            if let Ok(written) = guard.try_io(|socket| write(socket.get_ref(), bytes)) {
                return Poll::Ready(written);
            }
        }
    }
}

type Outcome = Poll<io::Result<usize>>;

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let begun = self.begun;
        if let Some((now, later)) = begun.split_at_checked(begun.len().min(buffer.remaining()))
            && !now.is_empty()
        {
            buffer.put_slice(now);
            self.begun = later;
            return Poll::Ready(Ok(()));
        }
        loop {
            let mut guard = ready!(self.socket.poll_read_ready(cx))?;
            let room = buffer.initialize_unfilled();
            let size = room.len();
            match guard.try_io(|socket| read(socket.get_ref(), room)) {
                Ok(Ok(count)) => {
                    // There was no more; the next read need not find that out.
                    if (1..size).contains(&count) {
                        guard.clear_ready();
                    }
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Outcome {
        let full = match self.full.take() {
            Some(full) => full,
            None => match write(self.socket.get_ref(), bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // A descriptor of its own, so that whoever waits to read goes on waiting.
                    let again = self.socket.get_ref().try_clone()?;
                    registered(again, Interest::WRITABLE)?
                }
                written => return Poll::Ready(written),
            },
        };
        let written = Self::write_to_full(&full, cx, bytes);
        if written.is_pending() {
            self.full = Some(full);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe, for the sake of types that do not keep to one descriptor; this one does"
)]
fn registered(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    AsyncFd::with_interest(socket, interest)
}

fn read(mut socket: &UnixStream, room: &mut [u8]) -> io::Result<usize> {
    uninterrupted(|| socket.read(room))
}

fn write(mut socket: &UnixStream, bytes: &[u8]) -> io::Result<usize> {
    uninterrupted(|| socket.write(bytes))
}

fn uninterrupted(mut act: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match act() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering::Relaxed},
        },
        task::Wake,
    };

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::UnixStream as Client,
    };

    use super::*;

    fn pair() -> (Stream, Client) {
        let (near, far) = Client::pair().unwrap();
        (Stream::new(b"", near).unwrap(), far)
    }

    /// Lets the runtime hear all that has happened on sockets until now.
    async fn hear_everything() {
        for _ in 0..3 {
            let (mut one, mut other) = Client::pair().unwrap();
            one.write_all(b"x").await.unwrap();
            other.read_u8().await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_was_read_already_is_read_first_in_whatever_portions() {
        let (near, mut far) = Client::pair().unwrap();
        far.write_all(b"and the rest").await.unwrap();
        drop(far);
        let mut stream = Stream::new(b"begun ", near).unwrap();
        let mut first = [0; 4];
        stream.read_exact(&mut first).await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!((&first, rest.as_str()), (b"begu", "n and the rest"));
    }

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Alarm(AtomicU32);

    impl Wake for Alarm {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[tokio::test]
    async fn a_client_that_reads_its_answer_wakes_nobody_and_one_that_asks_does() {
        let (mut stream, mut client) = pair();
        let alarm = Arc::new(Alarm::default());
        let waker = Arc::clone(&alarm).into();
        let mut cx = Context::from_waker(&waker);
        let mut room = [0; 64];
        let mut room = ReadBuf::new(&mut room);
        stream.write_all(b"answer").await.unwrap();
        hear_everything().await;
        let nothing = Pin::new(&mut stream).poll_read(&mut cx, &mut room);
        assert!(nothing.is_pending());
        client.read_exact(&mut [0; 6]).await.unwrap();
        hear_everything().await;
        assert_eq!(alarm.0.load(Relaxed), 0);
        let room_to_write = stream.socket.poll_write_ready(&mut cx);
        assert!(room_to_write.is_pending(), "the kernel told of a read");
        client.write_all(b"question").await.unwrap();
        hear_everything().await;
        assert_eq!(alarm.0.load(Relaxed), 1);
        let asked = Pin::new(&mut stream).poll_read(&mut cx, &mut room);
        assert!(matches!(asked, Poll::Ready(Ok(()))));
        assert_eq!(room.filled(), b"question");
    }

    #[tokio::test]
    async fn an_end_behind_the_last_request_is_seen() {
        let (mut stream, mut client) = pair();
        client.write_all(b"last").await.unwrap();
        drop(client);
        hear_everything().await;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"last");
        assert!(stream.write_all(b"answer").await.is_err());
    }

    #[tokio::test]
    async fn a_full_pipe_is_written_on_as_soon_as_the_client_reads() {
        const SIZE: usize = 4 << 20;
        let (mut stream, mut client) = pair();
        let bytes: Vec<u8> = (0..SIZE).map(|i| (i / 7) as u8).collect();
        let mut read = vec![0; SIZE];
        let (written, got) = tokio::join!(stream.write_all(&bytes), client.read_exact(&mut read));
        written.unwrap();
        got.unwrap();
        assert!(read == bytes);
        assert!(stream.full.is_none(), "nobody waits for room any more");
    }
}
