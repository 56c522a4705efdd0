//! A distance to OpenBao: a TCP relay through which all that OpenBao sends arrives later. TLS passes
//! through it untouched, so any OpenBao can be put far away.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::line::Problem;

/// What is read at once, and so many of it may be under way on a connection.
const CHUNK: usize = 16 * 1024;
const UNDER_WAY: usize = 1024;

/// A running relay; it and its connections end with it.
pub(crate) struct Distance {
    /// Host and port to connect to in place of what is far away.
    pub(crate) authority: String,
    _connections: JoinSet<()>,
}

impl Distance {
    /// Puts `target`, host and port, so far away.
    pub(crate) async fn to(target: &str, delay: Duration) -> Result<Self, Problem> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let authority = listener.local_addr()?.to_string();
        let target = target.to_owned();
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut each = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let target = target.clone();
                each.spawn(async move {
                    // Its end shows at both sides.
                    let _ = join(near, &target, delay).await;
                });
                while each.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            authority,
            _connections: connections,
        })
    }
}

async fn join(near: TcpStream, target: &str, delay: Duration) -> io::Result<()> {
    let far = TcpStream::connect(target).await?;
    // The delay is ours alone.
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (mut from_near, to_near) = near.into_split();
    let (from_far, mut to_far) = far.into_split();
    let (sender, receiver) = mpsc::channel(UNDER_WAY);
    let there = async {
        io::copy(&mut from_near, &mut to_far).await?;
        to_far.shutdown().await
    };
    tokio::try_join!(
        there,
        depart(from_far, sender, delay),
        arrive(receiver, to_near)
    )?;
    Ok(())
}

/// Bytes, and when they are there.
type Sent = (Instant, Bytes);

async fn depart(
    mut from: OwnedReadHalf,
    sender: mpsc::Sender<Sent>,
    delay: Duration,
) -> io::Result<()> {
    loop {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        if from.read_buf(&mut chunk).await? == 0 {
            return Ok(());
        }
        let sent = (Instant::now() + delay, chunk.freeze());
        sender.send(sent).await.map_err(io::Error::other)?;
    }
}

async fn arrive(mut receiver: mpsc::Receiver<Sent>, mut to: OwnedWriteHalf) -> io::Result<()> {
    while let Some((at, bytes)) = receiver.recv().await {
        sleep_until(at).await;
        to.write_all(&bytes).await?;
    }
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_back_is_late_and_whole_and_connections_do_not_wait_for_each_other() {
        const DELAY: Duration = Duration::from_millis(100);
        let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let target = server.local_addr().unwrap().to_string();
        let mut servers = JoinSet::new();
        servers.spawn(async move {
            let mut each = JoinSet::new();
            while let Ok((mut stream, _)) = server.accept().await {
                each.spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = io::copy(&mut from, &mut to).await;
                });
            }
        });
        let distance = Distance::to(&target, DELAY).await.unwrap();
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for _ in 0..50 {
            let authority = distance.authority.clone();
            clients.spawn(async move {
                let mut stream = TcpStream::connect(authority).await.unwrap();
                stream.write_all(b"there and back").await.unwrap();
                stream.shutdown().await.unwrap();
                let mut back = Vec::new();
                stream.read_to_end(&mut back).await.unwrap();
                assert_eq!(back, b"there and back");
                assert!(began.elapsed() >= DELAY);
            });
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
        assert!(began.elapsed() < 50 * DELAY, "one after the other");
    }
}
