use std::sync::Mutex;

use tokio::{net::TcpListener, time::Instant};

use super::*;
use crate::target::HttpTarget;

/// Answers one after the other, and the last one for ever.
struct Script {
    answers: Mutex<Vec<Executed>>,
    asked: Mutex<Vec<(String, Vec<String>, Duration)>>,
}

impl Exec for Script {
    fn exec<'a>(
        &'a self,
        container: &'a str,
        command: &'a [String],
        limit: Duration,
    ) -> BoxFuture<'a, Executed> {
        let asked = (container.to_owned(), command.to_vec(), limit);
        self.asked.lock().unwrap().push(asked);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 {
            answers.remove(0)
        } else {
            answers[0].clone()
        };
        Box::pin(async move { answer })
    }
}

/// Never answers.
struct Hung;

impl Exec for Hung {
    fn exec<'a>(&'a self, _: &'a str, _: &'a [String], _: Duration) -> BoxFuture<'a, Executed> {
        Box::pin(std::future::pending())
    }
}

const LIMIT: Duration = Duration::from_secs(1);

async fn round(answers: Vec<Executed>) -> (Outcome, usize) {
    let script = Arc::new(Script {
        answers: Mutex::new(answers),
        asked: Mutex::new(Vec::new()),
    });
    let prober = Prober::new(Arc::clone(&script) as Arc<dyn Exec>).unwrap();
    let target = Target::Exec {
        command: vec!["check".into()],
    };
    let outcome = prober.round(&target, "c1", LIMIT).await;
    let asked = script.asked.lock().unwrap();
    assert_eq!(asked[0], ("c1".to_owned(), vec!["check".to_owned()], LIMIT));
    (outcome, asked.len())
}

fn exited(code: i32, output: &[u8]) -> Executed {
    Executed::Exited {
        code,
        output: output.to_vec(),
    }
}

fn unavailable() -> Executed {
    Executed::Unavailable("containerd is away".into())
}

#[tokio::test]
async fn a_command_succeeds_with_zero_and_fails_with_anything_else_or_when_it_is_late() {
    assert_eq!(
        round(vec![exited(0, b"noise")]).await,
        (Outcome::Success, 1)
    );
    let failure = |text: &str| (Outcome::Failure(text.to_owned()), 1);
    let said = round(vec![exited(3, b"no\x07 disk\n")]).await;
    assert_eq!(said, failure("exited with code 3: no\u{fffd} disk"));
    assert_eq!(
        round(vec![exited(1, b"")]).await,
        failure("exited with code 1")
    );
    assert_eq!(
        round(vec![Executed::TimedOut]).await,
        failure("the command did not end in time")
    );
    let (Outcome::Failure(long), _) = round(vec![exited(1, &vec![b'x'; 1 << 20])]).await else {
        panic!("1 is a failure");
    };
    assert!(long.len() < MOST + 100);
}

#[tokio::test]
async fn what_says_nothing_is_tried_three_times_and_then_counts_neither_way() {
    let (outcome, attempts) = round(vec![unavailable()]).await;
    assert_eq!(outcome, Outcome::Broken("containerd is away".into()));
    assert_eq!(attempts, 3);
    let twice = vec![unavailable(), unavailable(), exited(0, b"")];
    assert_eq!(round(twice).await, (Outcome::Success, 3));
    let once = vec![unavailable(), exited(1, b""), exited(0, b"")];
    assert_eq!(round(once).await.1, 2, "a failure is not tried again");
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_does_not_answer_is_no_failure_of_the_container() {
    let prober = Prober::new(Arc::new(Hung)).unwrap();
    let target = Target::Exec {
        command: vec!["check".into()],
    };
    let before = Instant::now();
    let outcome = prober.round(&target, "c1", LIMIT).await;
    assert!(matches!(outcome, Outcome::Broken(_)));
    assert_eq!(before.elapsed(), 3 * (LIMIT + SLACK));
}

#[tokio::test]
async fn a_port_that_accepts_is_a_success_and_one_that_does_not_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let prober = Prober::new(Arc::new(Hung)).unwrap();
    let target = Target::Tcp {
        host: "127.0.0.1".into(),
        port,
    };
    assert_eq!(prober.round(&target, "c1", LIMIT).await, Outcome::Success);
    drop(listener);
    assert!(matches!(
        prober.round(&target, "c1", LIMIT).await,
        Outcome::Failure(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn the_limit_covers_everything_and_a_late_answer_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let prober = Prober::new(Arc::new(Hung)).unwrap();
    let host = "127.0.0.1".to_owned();
    for target in [
        Target::Http(HttpTarget {
            tls: false,
            host: host.clone(),
            port,
            path: "/".into(),
            headers: http::HeaderMap::new(),
        }),
        Target::Http(HttpTarget {
            tls: true,
            host: host.clone(),
            port,
            path: "/".into(),
            headers: http::HeaderMap::new(),
        }),
        Target::Grpc {
            tls: false,
            host: host.clone(),
            port,
            service: String::new(),
        },
    ] {
        let outcome = prober.round(&target, "c1", LIMIT).await;
        assert_eq!(
            outcome,
            Outcome::Failure("did not answer within 1 s".into()),
            "{target:?}"
        );
    }
}
