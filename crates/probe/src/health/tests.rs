use proptest::prelude::{any, proptest};
use tokio::{net::TcpListener, task::JoinHandle};

use super::*;

/// Answers one call with these bytes and trailers.
async fn server(body: &'static [u8], trailers: Trailers) -> (u16, JoinHandle<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        answer(stream, body, trailers).await
    });
    (port, task)
}

type Trailers = &'static [(&'static str, &'static str)];
type Asked = (Request<()>, Vec<u8>);

async fn answer<S>(stream: S, body: &'static [u8], trailers: Trailers) -> Asked
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let (request, mut respond) = connection.accept().await.unwrap().unwrap();
    let (head, mut asked) = request.into_parts();
    let talk = async {
        let asked = asked.data().await.unwrap().unwrap().to_vec();
        let mut map = HeaderMap::new();
        for (name, value) in trailers {
            map.insert(*name, value.parse().unwrap());
        }
        let mut response = http::Response::new(());
        if body.is_empty() {
            // A call that failed has its trailers for headers, and nothing else.
            *response.headers_mut() = map;
            respond.send_response(response, true).unwrap();
            return asked;
        }
        let mut stream = respond.send_response(response, false).unwrap();
        stream.send_data(Bytes::from_static(body), false).unwrap();
        stream.send_trailers(map).unwrap();
        asked
    };
    let asked = driven(
        async {
            // Ends when the client goes.
            std::future::poll_fn(|cx| connection.poll_closed(cx)).await
        },
        talk,
    )
    .await;
    let _ = std::future::poll_fn(|cx| connection.poll_closed(cx)).await;
    (Request::from_parts(head, ()), asked)
}

#[tokio::test]
async fn over_tls_nobody_looks_at_the_certificate() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = dial::tests::acceptor(b"h2").accept(stream).await.unwrap();
        answer(stream, &[0, 0, 0, 0, 2, 8, 1], &[("grpc-status", "0")]).await
    });
    let tls = Tls::new().unwrap();
    assert_eq!(
        check("127.0.0.1", port, "", Some(&tls)).await,
        Outcome::Success
    );
    assert_eq!(task.await.unwrap().0.uri().scheme_str(), Some("https"));
}

#[tokio::test]
async fn serving_is_a_success_and_the_question_is_what_grpc_expects() {
    let (port, task) = server(&[0, 0, 0, 0, 2, 8, 1], &[("grpc-status", "0")]).await;
    assert_eq!(
        check("127.0.0.1", port, "etcd", None).await,
        Outcome::Success
    );
    let (request, asked) = task.await.unwrap();
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    assert_eq!(request.headers()["content-type"], "application/grpc");
    assert_eq!(request.headers()["te"], "trailers");
    assert_eq!(request.headers()["user-agent"], AGENT);
    assert_eq!(
        request.uri().authority().unwrap().as_str(),
        format!("127.0.0.1:{port}")
    );
    assert_eq!(asked, [&[0, 0, 0, 0, 6, 0x0a, 4][..], b"etcd"].concat());
}

#[tokio::test]
async fn every_other_answer_is_a_failure_with_its_reason() {
    type Case = (
        &'static [u8],
        &'static [(&'static str, &'static str)],
        &'static str,
    );
    let cases: [Case; 7] = [
        (
            &[0, 0, 0, 0, 2, 8, 2],
            &[("grpc-status", "0")],
            "NOT_SERVING",
        ),
        (&[0, 0, 0, 0, 0], &[("grpc-status", "0")], "UNKNOWN"),
        (b"", &[("grpc-status", "12")], "does not implement"),
        (
            b"",
            &[("grpc-status", "5"), ("grpc-message", "unknown service")],
            "code 5 unknown service",
        ),
        (&[0, 0, 0, 0, 2, 8, 1], &[("grpc-status", "13")], "code 13"),
        (
            &[0, 0, 0, 0, 9, 8, 1],
            &[("grpc-status", "0")],
            "no health status",
        ),
        (
            &[1, 0, 0, 0, 2, 8, 1],
            &[("grpc-status", "0")],
            "no health status",
        ),
    ];
    for (body, trailers, part) in cases {
        let (port, _task) = server(body, trailers).await;
        let Outcome::Failure(why) = check("127.0.0.1", port, "", None).await else {
            panic!("{part} is a failure");
        };
        assert!(why.contains(part), "{why}");
    }
}

#[tokio::test]
async fn what_speaks_no_grpc_or_is_not_there_has_failed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 X\r\n\r\n").await;
    });
    assert!(matches!(
        check("127.0.0.1", port, "", None).await,
        Outcome::Failure(_)
    ));
    task.await.unwrap();
    assert!(matches!(
        check("127.0.0.1", port, "", None).await,
        Outcome::Failure(_)
    ));
}

#[test]
fn a_long_service_name_has_a_long_length() {
    let name = "x".repeat(300);
    let frame = message(&name);
    assert_eq!(frame[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    assert_eq!(message(""), [0, 0, 0, 0, 0][..]);
}

#[test]
fn fields_of_later_versions_are_passed_over() {
    let frame = |message: &[u8]| {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0], &length[..], message].concat()
    };
    let message = [
        0x12, 2, 9, 9, 0x08, 0x01, 0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8, 0x28, 7,
    ];
    assert_eq!(status(&frame(&message)), Some(1));
    assert_eq!(status(&frame(&[0x08])), None);
    assert_eq!(status(&frame(&[0x0b])), None);
    assert_eq!(status(&frame(&[0x12, 9, 1])), None);
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = status(&bytes);
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        let _ = status(&[&[0], &length[..], &bytes].concat());
    }
}
