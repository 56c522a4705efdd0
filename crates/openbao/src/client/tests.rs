use super::*;
use crate::{
    error::Class,
    testing::{Bench, Fake, Reply, Sent, within},
    transport::Failure,
};

/// A server that logs everybody in and leaves the rest to `answer`.
fn server(mut answer: impl FnMut(&Sent) -> Reply + Send) -> impl FnMut(&Sent) -> Reply + Send {
    let mut logins = 0;
    move |sent| {
        if sent.operation == "jwt_login" {
            logins += 1;
            return Reply::grant(&format!("t{logins}"), 3600, true);
        }
        answer(sent)
    }
}

fn items(count: usize) -> Vec<DecryptItem> {
    (0..count)
        .map(|n| DecryptItem {
            ciphertext: format!("vault:v1:{n}"),
            associated_data: "QUFE".to_owned(),
        })
        .collect()
}

/// One result of a batch: `Ok` holds base64.
fn result(item: Result<&str, &str>) -> String {
    match item {
        Ok(plaintext) => format!(r#"{{"plaintext":"{plaintext}","reference":""}}"#),
        Err(text) => format!(r#"{{"plaintext":"","error":"{text}","reference":""}}"#),
    }
}

fn results(items: &[Result<&str, &str>]) -> String {
    let items: Vec<_> = items.iter().map(|item| result(*item)).collect();
    format!(r#"{{"batch_results":[{}]}}"#, items.join(","))
}

async fn batch(bench: &Bench, count: usize) -> Result<Vec<Result<Vec<u8>, Class>>, Class> {
    let items = items(count);
    let answer = bench
        .run(bench.client.decrypt_batch(&items, within(2000)))
        .await;
    answer.map_err(|error| error.class).map(|results| {
        results
            .into_iter()
            .map(|r| r.map(|p| p.expose_secret().to_vec()).map_err(|e| e.class))
            .collect()
    })
}

const TOO_NEW: &str = "invalid ciphertext: version is too new";

#[tokio::test(start_paused = true)]
async fn idle_connections_are_let_go_of_also_when_nobody_calls() {
    let fake = Fake::new(1, server(|_| Reply::data("{}")));
    let bench = Bench::new(&fake);
    bench.run(sleep(Duration::from_secs(100))).await;
    let tidied = fake.tidied();
    assert_eq!(tidied.len(), 3, "{tidied:?}");
}

#[tokio::test(start_paused = true)]
async fn encrypt_and_decrypt_go_to_their_paths_with_version_and_associated_data() {
    let bench = Bench::new(&Fake::new(
        1,
        server(|sent| match sent.operation {
            "transit_encrypt" => Reply::data(r#"{"ciphertext":"vault:v7:x","key_version":7}"#),
            _ => Reply::data(r#"{"plaintext":"aGVsbG8="}"#),
        }),
    ));
    bench
        .run(async {
            let plaintext = SecretBytes::new(b"hello".to_vec());
            let client = &bench.client;
            let sealed = client.encrypt(7, &plaintext, "QUFE", within(1000)).await;
            let sealed = sealed.unwrap();
            assert_eq!(sealed.ciphertext, "vault:v7:x");
            assert_eq!(sealed.key_version, 7);
            let item = &items(1)[0];
            let opened = client.decrypt(item, within(1000)).await.ok().unwrap();
            assert_eq!(opened.expose_secret(), b"hello");
        })
        .await;
    let sent = bench.fake.sent();
    assert_eq!(sent[1].path, "/v1/transit/encrypt/k8s");
    assert!(sent[1].body.contains(r#""key_version":7"#));
    assert_eq!(sent[2].path, "/v1/transit/decrypt/k8s");
    assert!(sent[2].body.contains(r#""associated_data":"QUFE""#));
}

#[tokio::test(start_paused = true)]
async fn every_item_of_a_batch_has_its_own_result_whatever_the_status() {
    for status in [200, 400, 500, 202] {
        let bench = Bench::new(&Fake::new(
            1,
            server(move |_| {
                let data = results(&[
                    Ok("aGVsbG8="),
                    Err("cipher: message authentication failed"),
                    Err("no such key version"),
                ]);
                Reply::Answer(status, format!(r#"{{"data":{data}}}"#))
            }),
        ));
        assert_eq!(
            batch(&bench, 3).await.unwrap(),
            [
                Ok(b"hello".to_vec()),
                Err(Class::CiphertextRejected),
                Err(Class::VersionUnavailable)
            ]
        );
        assert_eq!(bench.fake.count("transit_batch_decrypt"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_refused_for_its_shape_is_asked_item_by_item_in_order() {
    let bench = Bench::new(&Fake::new(
        1,
        server(|sent| match sent.operation {
            "transit_batch_decrypt" => Reply::error(
                500,
                "1 error occurred:\n\t* failed to parse batch input: [0] expected a map\n\n",
            ),
            _ if sent.body.contains("vault:v1:1\"") => Reply::error(400, "no such key version"),
            _ if sent.body.contains("vault:v1:0\"") => Reply::data(r#"{"plaintext":"YQ=="}"#),
            _ => Reply::data(r#"{"plaintext":"Yg=="}"#),
        }),
    ));
    assert_eq!(
        batch(&bench, 3).await.unwrap(),
        [
            Ok(b"a".to_vec()),
            Err(Class::VersionUnavailable),
            Ok(b"b".to_vec())
        ]
    );
    assert_eq!(bench.fake.count("transit_decrypt"), 3);
}

#[tokio::test(start_paused = true)]
async fn any_other_failure_of_a_batch_is_every_items_and_asked_once_more_at_most() {
    for (reply, class, requests) in [
        (|| Reply::error(503, "Vault is sealed"), Class::Sealed, 2),
        (
            || Reply::error(400, "encryption key not found"),
            Class::KeyMissing,
            1,
        ),
        (
            || Reply::data(r#"{"batch_results":[]}"#),
            Class::Unavailable,
            1,
        ),
        (|| Reply::Answer(200, "x".to_owned()), Class::Unavailable, 1),
        (|| Reply::Fail(Failure::TooLarge), Class::Unavailable, 1),
    ] as [(fn() -> Reply, Class, usize); 5]
    {
        let bench = Bench::new(&Fake::new(1, server(move |_| reply())));
        assert_eq!(batch(&bench, 2).await, Err(class));
        assert_eq!(bench.fake.count("transit_batch_decrypt"), requests);
        assert_eq!(bench.fake.count("transit_decrypt"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_items_that_are_too_new_are_asked_again_elsewhere_and_once() {
    let bench = Bench::new(&Fake::new(
        2,
        server(|sent| match sent.endpoint {
            0 => Reply::data(&results(&[
                Ok("YQ=="),
                Err(TOO_NEW),
                Ok("Yg=="),
                Err(TOO_NEW),
            ])),
            _ => Reply::data(&results(&[Ok("Yw=="), Err(TOO_NEW)])),
        }),
    ));
    assert_eq!(
        batch(&bench, 4).await.unwrap(),
        [
            Ok(b"a".to_vec()),
            Ok(b"c".to_vec()),
            Ok(b"b".to_vec()),
            Err(Class::VersionTooNew)
        ]
    );
    let sent = bench.fake.sent();
    assert_eq!(sent.len(), 3);
    assert!(sent[2].new_connection);
    assert!(sent[2].body.contains("vault:v1:1\"") && sent[2].body.contains("vault:v1:3\""));
    assert!(!sent[2].body.contains("vault:v1:0\""));
}

#[tokio::test(start_paused = true)]
async fn an_empty_batch_asks_nothing() {
    let bench = Bench::new(&Fake::new(1, server(|_| Reply::Hang)));
    assert_eq!(batch(&bench, 0).await.unwrap(), []);
    assert_eq!(bench.fake.count("transit_batch_decrypt"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_makes_at_most_one_retry_and_one_repetition_after_a_login() {
    let bench = Bench::new(&Fake::new(
        1,
        server(|sent| match sent.token.as_deref() {
            Some("t1") if !sent.new_connection => Reply::error(503, "x"),
            Some("t1") => Reply::error(403, "permission denied"),
            Some("t2") => Reply::error(503, "x"),
            _ => unreachable!(),
        }),
    ));
    let answer = bench
        .run(bench.client.read_disable_upsert(within(5000)))
        .await;
    assert_eq!(answer.unwrap_err().class, Class::Unavailable);
    assert_eq!(bench.fake.count("transit_disable_upsert_read"), 3);
    assert_eq!(bench.fake.count("jwt_login"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_asks_for_a_new_connection_gets_one() {
    let bench = Bench::new(&Fake::new(
        1,
        server(|_| Reply::data(r#"{"disable_upsert":false}"#)),
    ));
    let options = CallOptions {
        new_connection: true,
        ..within(1000)
    };
    let answer = bench.run(bench.client.read_disable_upsert(options)).await;
    assert_eq!(answer, Ok(false));
    let sent = bench.fake.sent();
    assert!(sent[1].new_connection);
    assert_eq!(sent[1].path, "/v1/transit/config/keys");
}

#[tokio::test(start_paused = true)]
async fn the_token_ttl_is_computed_when_it_is_scraped() {
    let bench = Bench::new(&Fake::new(1, server(|_| Reply::Hang)));
    assert!(bench.metrics().contains("token_ttl_seconds 0.0"));
    bench.run(sleep(Duration::from_secs(100))).await;
    assert!(bench.metrics().contains("token_ttl_seconds 3500.0"));
}

#[tokio::test(start_paused = true)]
async fn errors_say_what_was_asked_and_what_came_back() {
    let bench = Bench::new(&Fake::new(
        1,
        server(|_| Reply::error(503, "Vault is sealed")),
    ));
    let answer = bench
        .run(bench.client.read_key(within(5000)))
        .await
        .unwrap_err();
    assert_eq!(
        answer.to_string(),
        "transit_metadata_read: OpenBao or its namespace is sealed; unseal it, or initialise it if it is new"
    );
    assert_eq!(answer.status, Some(503));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_a_failed_login_at_first_and_a_denial_after_a_new_login() {
    let bench = Bench::new(&Fake::new(
        1,
        server(|_| Reply::error(403, "permission denied")),
    ));
    let answer = bench.run(bench.client.read_key(within(5000))).await;
    let error = answer.unwrap_err();
    assert_eq!(error.class, Class::PolicyDenied);
    assert!(error.reason.ends_with("even after a new login"), "{error}");
    let metrics = bench.metrics();
    for status in ["auth_failed", "transit_policy_denied"] {
        let line = format!(
            "openbao_requests_total{{operation=\"transit_metadata_read\",status=\"{status}\"}} 1"
        );
        assert!(metrics.contains(&line), "{line} is missing in\n{metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_way_in_which_a_token_is_not_had_is_counted_from_zero() {
    let bench = Bench::new(&Fake::new(1, server(|_| Reply::Hang)));
    let metrics = bench.metrics();
    for family in ["auth_login_total", "auth_renewal_total"] {
        for status in ["auth_failed", "auth_expired", "openbao_sealed", "timeout"] {
            let line = format!("{family}{{status=\"{status}\"}} 0");
            assert!(metrics.contains(&line), "{line} is missing in\n{metrics}");
        }
    }
}

thread_local! {
    /// What was logged on this thread, on which a test's client runs.
    static PAGE: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

struct Page;

impl std::io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        PAGE.with_borrow_mut(|page| page.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is logged at `info` and above while `reply` answers a read.
async fn logged(reply: fn() -> Reply) -> String {
    // One for the process: a subscriber of one thread may be overlooked when another thread
    // is the first to come by an event.
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(|| Page);
        tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    });
    PAGE.take();
    let bench = Bench::new(&Fake::new(1, server(move |_| reply())));
    let _ = bench.run(bench.client.read_key(within(5000))).await;
    String::from_utf8(PAGE.take()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_names_the_request_id_that_its_answer_had() {
    let log = logged(|| Reply::Answer(200, r#"{"request_id":"0a-1b"}"#.to_owned())).await;
    let line = log.lines().find(|line| line.contains("openbao.request"));
    let line = line.unwrap_or_else(|| panic!("no line in {log}"));
    assert!(line.contains("0a-1b") && line.contains("WARN"), "{line}");
    let log = logged(|| Reply::error(404, "")).await;
    assert!(log.contains("openbao.request") && !log.contains("openbao_request_id"));
}
