//! One fetch for somebody who only wants to look: nothing is kept, nothing is in force.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::{
    address::Address,
    fetch::{Question, fetch},
    folder::with_cause,
    remote::Answer,
    trust::Trust,
};

/// What `address` answers now. An https host is believed when the system's authorities vouch for
/// it.
///
/// # Errors
/// Why there is no answer that could be a manifest: a sentence part that follows the URL.
pub async fn once(address: &Address) -> Result<Arc<[u8]>, String> {
    let mut trust = None;
    if address.tls {
        let made = spawn_blocking(|| Trust::new(None).config()).await;
        let made = made.map_err(|_| "cannot be fetched: no CA bundle was read".to_owned())?;
        trust = Some(made.map_err(|error| with_cause(&error))?);
    }
    let question = Question {
        address,
        headers: &[],
        tag: None,
        trust,
    };
    match fetch(question).await {
        Ok(Answer::Body { bytes, .. }) => Ok(bytes),
        Ok(_) => Err("answered that nothing changed, though it was not asked that".into()),
        Err(error) => Err(with_cause(&error)),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    async fn asked(answer: &'static str) -> Result<Arc<[u8]>, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = Address::parse(&format!("http://127.0.0.1:{port}/pods"), false).unwrap();
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /pods HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        let (outcome, _stream) = tokio::join!(once(&address), serving);
        outcome
    }

    #[tokio::test]
    async fn one_answer_is_given_as_it_came() {
        let answer = asked("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na: 1").await;
        assert_eq!(&*answer.unwrap(), b"a: 1");
    }

    #[tokio::test]
    async fn what_is_no_manifest_is_said() {
        for (answer, why) in [
            (
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                "answered 404",
            ),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n",
                "answered that nothing changed, though it was not asked that",
            ),
        ] {
            assert_eq!(asked(answer).await.unwrap_err(), why);
        }
    }
}
