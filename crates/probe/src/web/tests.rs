use std::sync::{Arc, Mutex};

use super::*;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};

/// A server that answers each request by its path.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Answers = fn(&str, u16) -> String;

impl Server {
    async fn start(tls: bool, answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let acceptor = tls.then(|| dial::tests::acceptor(b"http/1.1"));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                match &acceptor {
                    None => serve(stream, port, answers, &log).await,
                    Some(acceptor) => match acceptor.accept(stream).await {
                        Ok(stream) => serve(stream, port, answers, &log).await,
                        Err(_) => continue,
                    },
                }
            }
        });
        Self { port, asked, task }
    }

    fn target(&self, path: &str) -> HttpTarget {
        HttpTarget {
            tls: false,
            host: "127.0.0.1".into(),
            port: self.port,
            path: path.into(),
            headers: HeaderMap::new(),
        }
    }

    async fn get(&self, path: &str) -> Outcome {
        get(&self.target(path), &Tls::new().unwrap()).await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve<S>(mut stream: S, port: u16, answers: Answers, log: &Mutex<Vec<String>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap().to_owned();
    log.lock().unwrap().push(request);
    let _ = stream.write_all(answers(&path, port).as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

#[tokio::test]
async fn from_200_to_399_is_a_success_and_the_rest_a_failure_with_what_was_said() {
    let server = Server::start(false, |path, _| {
        let status = path[1..].parse().unwrap();
        answer(status, "", "why\n")
    })
    .await;
    for status in [200, 201, 299, 300, 304, 399] {
        assert_eq!(
            server.get(&format!("/{status}")).await,
            Outcome::Success,
            "{status}"
        );
    }
    for status in [400, 404, 500, 503] {
        let failure = format!("HTTP probe failed with statuscode: {status}: why");
        assert_eq!(
            server.get(&format!("/{status}")).await,
            Outcome::Failure(failure)
        );
    }
}

#[tokio::test]
async fn https_is_asked_without_looking_at_the_certificate() {
    let server = Server::start(true, |_, _| answer(200, "", "ok")).await;
    let target = HttpTarget {
        tls: true,
        ..server.target("/healthz?x=1")
    };
    let tls = Tls::new().unwrap();
    assert_eq!(get(&target, &tls).await, Outcome::Success);
    assert!(server.asked()[0].starts_with("GET /healthz?x=1 HTTP/1.1\r\n"));
    let plain = server.target("/");
    assert!(matches!(get(&plain, &tls).await, Outcome::Failure(_)));
}

#[tokio::test]
async fn a_probe_asks_on_a_connection_of_its_own_and_names_its_host() {
    let server = Server::start(false, |_, _| answer(200, "", "")).await;
    let mut target = server.target("/");
    target
        .headers
        .append("x-one", HeaderValue::from_static("1"));
    target
        .headers
        .append("x-one", HeaderValue::from_static("2"));
    let tls = Tls::new().unwrap();
    get(&target, &tls).await;
    target
        .headers
        .insert(HOST, HeaderValue::from_static("site.example"));
    get(&target, &tls).await;
    let asked = server.asked();
    assert!(
        asked[0].contains(&format!("host: 127.0.0.1:{}\r\n", server.port)),
        "{}",
        asked[0]
    );
    assert!(asked[0].contains("connection: close\r\n"), "{}", asked[0]);
    assert!(
        asked[0].contains("x-one: 1\r\nx-one: 2\r\n"),
        "{}",
        asked[0]
    );
    assert!(asked[1].contains("host: site.example\r\n"), "{}", asked[1]);
    assert_eq!(asked[1].matches("host:").count(), 1);
}

#[tokio::test]
async fn redirects_are_followed_to_the_same_host_and_no_further() {
    let server = Server::start(false, |path, port| match path {
        "/start" => answer(302, "location: /a/b\r\n", ""),
        "/a/b" => answer(307, "location: ../c?x=1\r\n", ""),
        "/c?x=1" => answer(
            301,
            &format!("location: http://127.0.0.1:{port}/bad\r\n"),
            "",
        ),
        "/away" => answer(302, "location: http://other.example/\r\n", ""),
        "/loop" => answer(302, "location: /loop\r\n", ""),
        "/nowhere" => answer(302, "", ""),
        "/scheme" => answer(302, "location: ftp://127.0.0.1/\r\n", ""),
        _ => answer(500, "", ""),
    })
    .await;
    let failed = "HTTP probe failed with statuscode: 500".to_owned();
    assert_eq!(server.get("/start").await, Outcome::Failure(failed));
    assert_eq!(server.asked().len(), 4);
    let Outcome::Warning(why) = server.get("/away").await else {
        panic!("another host is not followed");
    };
    assert!(why.contains("other.example"), "{why}");
    let before = server.asked().len();
    assert!(matches!(server.get("/loop").await, Outcome::Failure(_)));
    assert_eq!(server.asked().len() - before, MAX_REDIRECTS + 1);
    assert_eq!(server.get("/nowhere").await, Outcome::Success);
    assert!(matches!(server.get("/scheme").await, Outcome::Failure(_)));
}

#[tokio::test]
async fn a_long_answer_is_read_in_part_and_a_broken_one_is_a_failure() {
    let server = Server::start(false, |path, _| match path {
        "/long" => answer(500, "", &"x".repeat(1 << 20)),
        "/short" => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab".into(),
        "/none" => String::new(),
        _ => "SSH-2.0-x\r\n".into(),
    })
    .await;
    let Outcome::Failure(why) = server.get("/long").await else {
        panic!("500 is a failure");
    };
    assert!(why.len() < MOST + 100, "{}", why.len());
    for path in ["/short", "/none", "/ssh"] {
        assert!(
            matches!(server.get(path).await, Outcome::Failure(_)),
            "{path}"
        );
    }
}

#[test]
fn locations_are_joined_as_a_browser_joins_them() {
    let here = HttpTarget {
        tls: true,
        host: "h".into(),
        port: 8443,
        path: "/a/b?q".into(),
        headers: HeaderMap::new(),
    };
    for (location, tls, host, port, path) in [
        ("/x", true, "h", 8443, "/x"),
        ("x", true, "h", 8443, "/a/x"),
        ("./x?y=/../z", true, "h", 8443, "/a/x?y=/../z"),
        ("../../../x", true, "h", 8443, "/x"),
        ("..", true, "h", 8443, "/"),
        ("?z", true, "h", 8443, "/a/b?z"),
        ("", true, "h", 8443, "/a/b"),
        ("x#f", true, "h", 8443, "/a/x"),
        ("//g/x", true, "g", 443, "/x"),
        ("http://h/x", false, "h", 80, "/x"),
        ("https://[::1]:9/x?y", true, "::1", 9, "/x?y"),
        ("https://h", true, "h", 443, "/"),
        ("/x?to=http://g/", true, "h", 8443, "/x?to=http://g/"),
    ] {
        let next = redirected(&here, location).unwrap();
        let found = (next.tls, next.host.as_str(), next.port, next.path.as_str());
        assert_eq!(found, (tls, host, port, path), "{location}");
    }
    for location in ["ftp://h/", "http://", "/a b", "https://h:99999/"] {
        assert_eq!(redirected(&here, location), None, "{location}");
    }
}

#[test]
fn a_host_header_goes_along_to_relative_locations_only() {
    let mut here = HttpTarget {
        tls: false,
        host: "h".into(),
        port: 80,
        path: "/".into(),
        headers: HeaderMap::new(),
    };
    here.headers.insert(HOST, HeaderValue::from_static("site"));
    assert!(redirected(&here, "/x").unwrap().headers.contains_key(HOST));
    assert!(
        !redirected(&here, "http://h/x")
            .unwrap()
            .headers
            .contains_key(HOST)
    );
}
