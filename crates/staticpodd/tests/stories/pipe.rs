//! A way into the network of a node, for clients of this process.

use std::{
    io::{self, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::Arc,
};

use pod_rig::Rig;
use rustls::{
    ClientConfig, ClientConnection, StreamOwned,
    pki_types::{IpAddr, Ipv4Addr, ServerName},
};

/// A connection to a port on the node's loopback, through a process that lives there.
pub(crate) struct Pipe {
    child: Child,
    into: Option<ChildStdin>,
    out: ChildStdout,
}

impl Pipe {
    pub(crate) fn open(rig: &Rig, port: u16) -> Self {
        // What goes in comes by a descriptor of its own, because a shell gives none to the process
        // behind. The other end decides when it is over.
        let script =
            format!("exec 3<>/dev/tcp/127.0.0.1/{port} 4<&0 && {{ cat <&4 >&3 & cat <&3; }}");
        let mut child = rig
            .enter("timeout")
            .args(["30", "bash", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (into, out) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, into, out }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.out.read(buffer)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.into.as_mut().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.as_mut().unwrap().flush()
    }
}

/// What is left ends by itself as soon as both sides are closed.
impl Drop for Pipe {
    fn drop(&mut self) {
        self.into = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status and body of an answer.
pub(crate) type Answer = (u16, String);

/// One question over plain HTTP. None where nobody answers.
pub(crate) fn ask(rig: &Rig, port: u16, question: &Question<'_>) -> Option<Answer> {
    question.put(&mut Pipe::open(rig, port))
}

/// As [`ask`], over TLS.
pub(crate) fn ask_securely(
    rig: &Rig,
    port: u16,
    trust: &Arc<ClientConfig>,
    question: &Question<'_>,
) -> Option<Answer> {
    let loopback = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([127, 0, 0, 1])));
    let connection = ClientConnection::new(Arc::clone(trust), loopback).unwrap();
    question.put(&mut StreamOwned::new(connection, Pipe::open(rig, port)))
}

/// A request.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// Whole lines.
    pub(crate) headers: &'a str,
    pub(crate) body: &'a str,
}

impl Question<'_> {
    fn put(&self, stream: &mut (impl Read + Write)) -> Option<Answer> {
        let Self {
            method,
            path,
            headers,
            body,
        } = self;
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.0\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).ok()?;
        stream.flush().ok()?;
        let mut answer = Vec::new();
        // Some servers go without a farewell.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }
}
