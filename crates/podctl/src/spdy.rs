//! Streams of a command, in the protocol of runtimes: SPDY/3.1 with the subprotocol
//! `v4.channel.k8s.io`.
//!
//! Runtimes speak WebSocket too, in which a standard input cannot end before the command does:
//! `exec -i pod -- cat < file` would hang. Of SPDY little is needed. Headers must be compressed by
//! the letter of it, and may be "compressed" into blocks that are stored as they are; those that
//! come back say nothing of interest. Runtimes do not limit what may be in flight, and take no
//! updates of windows.

use std::collections::BTreeMap;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

const VERSION: u16 = 3;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const FIN: u8 = 1;
const HEAD: usize = 8;
/// A frame's data at most, as this side sends it.
pub(crate) const PIECE: usize = 16 * 1024;
/// A frame that is longer is none: the length has 24 bits, and nobody sends such frames.
const LONGEST: usize = 1024 * 1024;

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// How the command ended.
    Error,
    /// Its standard input.
    Stdin,
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
    /// Sizes of its terminal.
    Resize,
}

impl Use {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Stdin => "stdin",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Resize => "resize",
        }
    }
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Came {
    /// A stream may be used; runtimes throw away what comes before.
    Opened(Use),
    /// Data of a stream, and whether it is its last.
    Data(Use, Bytes, bool),
    /// Something to be sent back.
    Reply(Bytes),
    /// The other side goes.
    End,
}

/// The bytes are no SPDY.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the runtime sent a frame that is none: {0}")]
pub(crate) struct Broken(String);

/// One connection: pure, from bytes to bytes.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    streams: BTreeMap<u32, Use>,
    last: u32,
    /// The header of the compressed headers was sent.
    begun: bool,
    came: BytesMut,
}

impl Connection {
    /// Opens a stream.
    pub(crate) fn open(&mut self, what: Use) -> Bytes {
        self.last = if self.last == 0 { 1 } else { self.last + 2 };
        let _ = self.streams.insert(self.last, what);
        let mut pairs = BytesMut::new();
        pairs.put_u32(1);
        for text in ["streamtype", what.name()] {
            pairs.put_u32(u32::try_from(text.len()).unwrap_or_default());
            pairs.put_slice(text.as_bytes());
        }
        let headers = self.stored(&pairs);
        let mut body = BytesMut::new();
        body.put_u32(self.last);
        // Belongs to no other stream, and has no priority.
        body.put_u32(0);
        body.put_u16(0);
        body.put_slice(&headers);
        control(SYN_STREAM, &body)
    }

    /// One zlib stream goes through all headers of a connection: its own header once, then per
    /// frame a block that is stored, and an empty one that lets the reader have it.
    fn stored(&mut self, data: &[u8]) -> Bytes {
        let mut text = BytesMut::new();
        if !self.begun {
            self.begun = true;
            text.put_slice(&[0x78, 0x01]);
        }
        for block in [data, &[]] {
            let length = u16::try_from(block.len()).unwrap_or_default();
            text.put_u8(0);
            text.put_u16_le(length);
            text.put_u16_le(!length);
            text.put_slice(block);
        }
        text.freeze()
    }

    /// Data for a stream; `last` ends it. At most [`PIECE`] at a time.
    pub(crate) fn data(&self, what: Use, data: &[u8], last: bool) -> Bytes {
        let id = self.streams.iter().find(|(_, of)| **of == what);
        let mut frame = BytesMut::with_capacity(HEAD + data.len());
        frame.put_u32(id.map(|(id, _)| *id).unwrap_or_default());
        let length = u32::try_from(data.len()).unwrap_or_default();
        frame.put_u32((u32::from(if last { FIN } else { 0 }) << 24) | (length & 0x00ff_ffff));
        frame.put_slice(data);
        frame.freeze()
    }

    /// Takes bytes in as they come.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.came.put_slice(bytes);
    }

    /// The next thing that is complete.
    pub(crate) fn next(&mut self) -> Result<Option<Came>, Broken> {
        loop {
            let Some(mut head) = self.came.get(..HEAD) else {
                return Ok(None);
            };
            let (first, second) = (head.get_u32(), head.get_u32());
            let length = usize::try_from(second & 0x00ff_ffff).unwrap_or(usize::MAX);
            if length > LONGEST {
                return Err(Broken(format!("{length} bytes long")));
            }
            if self.came.len() < HEAD + length {
                return Ok(None);
            }
            self.came.advance(HEAD);
            let body = self.came.split_to(length).freeze();
            let is_last = second >> 24 & u32::from(FIN) != 0;
            if let Some(came) = self.frame(first, body, is_last)? {
                return Ok(Some(came));
            }
        }
    }

    fn frame(&mut self, first: u32, body: Bytes, is_last: bool) -> Result<Option<Came>, Broken> {
        if first >> 31 == 0 {
            // Of a stream that was not opened: nobody would miss it.
            let of = self.streams.get(&first).copied();
            return Ok(of.map(|of| Came::Data(of, body, is_last)));
        }
        let version = u16::try_from(first >> 16 & 0x7fff).unwrap_or_default();
        if version != VERSION {
            return Err(Broken(format!("of version {version}")));
        }
        let kind = u16::try_from(first & 0xffff).unwrap_or_default();
        let of = body.get(..4).map(|mut id| id.get_u32());
        let of = of.and_then(|id| self.streams.get(&id).copied());
        Ok(match kind {
            PING => Some(Came::Reply(control(PING, &body))),
            SYN_REPLY => of.map(Came::Opened),
            RST_STREAM => of.map(|of| Came::Data(of, Bytes::new(), true)),
            GOAWAY => Some(Came::End),
            _ => None,
        })
    }
}

fn control(kind: u16, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD + body.len());
    frame.put_u16(0x8000 | VERSION);
    frame.put_u16(kind);
    frame.put_u32(u32::try_from(body.len()).unwrap_or_default() & 0x00ff_ffff);
    frame.put_slice(body);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_opened_with_headers_that_any_zlib_reads() {
        let mut connection = Connection::default();
        let first = connection.open(Use::Error);
        assert_eq!(first[..4], [0x80, 3, 0, 1]);
        assert_eq!(usize::from(first[7]), first.len() - HEAD);
        assert_eq!(first[8..12], [0, 0, 0, 1], "the first stream is 1");
        let text = &first[18..];
        assert_eq!(text[..2], [0x78, 0x01]);
        // 1 pair, "streamtype", "error": 4 + 4 + 10 + 4 + 5 bytes.
        assert_eq!(text[2..7], [0, 27, 0, !27, 0xff]);
        assert!(text.ends_with(b"\x00\x00\x00\x05error\x00\x00\x00\xff\xff"));
        let second = connection.open(Use::Stdin);
        assert_eq!(second[8..12], [0, 0, 0, 3]);
        assert_eq!(second[18], 0, "the stream of headers goes on");
    }

    #[test]
    fn frames_are_read_whole_however_they_come() {
        let mut connection = Connection::default();
        let _ = connection.open(Use::Error);
        let _ = connection.open(Use::Stdout);
        let mut bytes = Vec::new();
        // A stream is opened, and there is data of one that nobody opened.
        bytes.extend([0x80, 3, 0, 2, 0, 0, 0, 4, 0, 0, 0, 1]);
        bytes.extend([0, 0, 0, 9, 0, 0, 0, 1, b'x']);
        bytes.extend([0, 0, 0, 3, 0, 0, 0, 2, b'h', b'i']);
        bytes.extend([0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 2]);
        bytes.extend([0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 1]);
        bytes.extend([0, 0, 0, 1, 1, 0, 0, 0]);
        bytes.extend([0x80, 3, 0, 7, 0, 0, 0, 0]);
        let mut came = Vec::new();
        for byte in bytes {
            connection.take(&[byte]);
            while let Some(one) = connection.next().unwrap() {
                came.push(one);
            }
        }
        assert_eq!(
            came,
            [
                Came::Opened(Use::Error),
                Came::Data(Use::Stdout, Bytes::from_static(b"hi"), false),
                Came::Reply(Bytes::from_static(&[0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 2])),
                Came::Data(Use::Stdout, Bytes::new(), true),
                Came::Data(Use::Error, Bytes::new(), true),
                Came::End,
            ]
        );
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        for bytes in [b"HTTP/1.1", b"\x80\x02\x00\x07\x00\x00\x00\x00"] {
            let mut connection = Connection::default();
            connection.take(bytes);
            assert!(connection.next().is_err(), "{bytes:?}");
        }
    }
}
