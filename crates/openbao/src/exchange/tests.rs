use bytes::Bytes;
use http::Method;
use prometheus_client::registry::Registry;
use proptest::prelude::{Just, Strategy, prop_assert, prop_oneof, proptest};

use super::*;
use crate::testing::{Fake, Reply, TokioClock};

const SEC: Duration = Duration::from_secs(1);

fn exchange(fake: &Arc<Fake>) -> Exchange {
    let mut registry = Registry::default();
    Exchange::new(
        Arc::clone(fake) as Arc<dyn Transport>,
        TokioClock::start(),
        Metrics::register(&mut registry, "jwt"),
        2 * SEC,
        true,
    )
}

fn request(operation: Operation) -> Request {
    Request {
        operation,
        method: Method::POST,
        path: "/v1/x".to_owned(),
        body: Bytes::new(),
        token: None,
    }
}

fn way(time: Duration) -> Way {
    Way {
        deadline: Instant::now() + time,
        new_connection: false,
        second_choice: false,
    }
}

/// Whether the JSON has `data`.
fn parse(body: &[u8]) -> Result<(), Junk> {
    serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|value| value.get("data").map(|_| ()))
        .ok_or(Junk)
}

async fn ask(exchange: &Exchange, time: Duration) -> Result<(), Class> {
    let mut budget = Budget::full();
    exchange
        .ask(&request(Operation::Decrypt), way(time), &mut budget, parse)
        .await
        .map_err(|fault| fault.finding.class)
}

fn good() -> Reply {
    Reply::data("{}")
}

#[tokio::test(start_paused = true)]
async fn whatever_may_be_transient_is_repeated_exactly_once() {
    for reply in [
        || Reply::error(412, "x"),
        || Reply::error(429, "x"),
        || Reply::error(502, "x"),
        || Reply::error(503, "Vault is sealed"),
        || Reply::error(503, "x"),
        || Reply::Answer(307, String::new()),
        || Reply::error(500, "internal error"),
        || {
            Reply::error(
                500,
                "local node not active but active cluster node not found",
            )
        },
        || Reply::error(400, "invalid ciphertext: version is too new"),
        || Reply::Fail(Failure::Refused),
        || Reply::Fail(Failure::LostBeforeAnswer),
        || Reply::Hang,
    ] {
        let mut first = true;
        let fake = Fake::new(1, move |_| {
            if std::mem::take(&mut first) {
                reply()
            } else {
                good()
            }
        });
        assert_eq!(ask(&exchange(&fake), 10 * SEC).await, Ok(()));
        assert_eq!(fake.sent().len(), 2);

        let fake = Fake::new(1, move |_| reply());
        assert!(ask(&exchange(&fake), 10 * SEC).await.is_err());
        assert_eq!(fake.sent().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn what_will_not_change_is_not_repeated() {
    for reply in [
        || Reply::error(400, "cipher: message authentication failed"),
        || Reply::error(403, "permission denied"),
        || Reply::error(404, ""),
        || Reply::error(500, "other"),
        || Reply::error(504, "x"),
        || Reply::Answer(200, "junk".to_owned()),
        || Reply::Fail(Failure::LostInAnswer),
        || Reply::Fail(Failure::TooLarge),
        || Reply::Fail(Failure::NotHttp),
        || Reply::Fail(Failure::Timeout { answering: true }),
    ] {
        let fake = Fake::new(2, move |_| reply());
        assert!(ask(&exchange(&fake), 10 * SEC).await.is_err());
        assert_eq!(fake.sent().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_without_the_retry_repeats_nothing() {
    let fake = Fake::new(2, |_| Reply::error(503, "x"));
    let mut budget = Budget {
        retry: false,
        login: true,
    };
    let exchange = exchange(&fake);
    let operation = request(Operation::Decrypt);
    let answer = exchange.ask(&operation, way(SEC), &mut budget, parse).await;
    assert!(answer.is_err());
    assert_eq!(fake.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_repetition_goes_to_the_next_endpoint_on_a_new_connection_without_a_pause() {
    let fake = Fake::new(2, |sent| match sent.endpoint {
        0 => Reply::Answer(307, String::new()),
        _ => good(),
    });
    let exchange = exchange(&fake);
    assert_eq!(ask(&exchange, SEC).await, Ok(()));
    let sent = fake.sent();
    assert_eq!((sent[0].endpoint, sent[0].new_connection), (0, false));
    assert_eq!((sent[1].endpoint, sent[1].new_connection), (1, true));
    assert_eq!(sent[1].at, sent[0].at);
    // The one that answered is the first from now on.
    assert_eq!(ask(&exchange, SEC).await, Ok(()));
    assert_eq!(fake.sent()[2].endpoint, 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_timed_out_or_refused_is_asked_last_for_ten_seconds() {
    for failing in [|| Reply::Hang, || Reply::Fail(Failure::Refused)] {
        let fake = Fake::new(3, move |sent| match sent.endpoint {
            0 if sent.at < SEC => failing(),
            1 => Reply::error(503, "Vault is sealed"),
            _ => good(),
        });
        let exchange = exchange(&fake);
        assert_eq!(ask(&exchange, 10 * SEC).await, Err(Class::Sealed));
        // 0 is shunned, 1 gave no definite answer but is next in the order.
        assert_eq!(ask(&exchange, 10 * SEC).await, Ok(()));
        let order: Vec<_> = fake.sent().iter().map(|s| s.endpoint).collect();
        assert_eq!(order, [0, 1, 1, 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn one_attempt_ends_with_the_request_timeout_and_is_then_unavailable() {
    let fake = Fake::new(1, |_| Reply::Hang);
    let began = Instant::now();
    assert_eq!(
        ask(&exchange(&fake), 10 * SEC).await,
        Err(Class::Unavailable)
    );
    assert_eq!(began.elapsed(), 4 * SEC);
}

#[tokio::test(start_paused = true)]
async fn the_callers_deadline_ends_everything_and_is_named_as_such() {
    let fake = Fake::new(1, |_| Reply::Hang);
    let exchange = exchange(&fake);
    let began = Instant::now();
    assert_eq!(ask(&exchange, SEC).await, Err(Class::Deadline));
    assert_eq!(began.elapsed(), SEC);
    assert_eq!(fake.sent().len(), 1);
    assert_eq!(ask(&exchange, 3 * SEC).await, Err(Class::Deadline));
    assert_eq!(began.elapsed(), 4 * SEC);
    assert_eq!(ask(&exchange, Duration::ZERO).await, Err(Class::Deadline));
    assert_eq!(fake.sent().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_short_deadline_of_the_caller_does_not_shun_the_endpoint() {
    let fake = Fake::new(2, |_| Reply::Hang);
    let exchange = exchange(&fake);
    assert_eq!(ask(&exchange, SEC / 100).await, Err(Class::Deadline));
    assert_eq!(ask(&exchange, SEC / 100).await, Err(Class::Deadline));
    assert_eq!(fake.sent()[1].endpoint, 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_had_half_its_timeout_is_shunned_though_it_was_the_callers_deadline() {
    let fake = Fake::new(2, |sent| match sent.endpoint {
        0 => Reply::Hang,
        _ => good(),
    });
    let exchange = exchange(&fake);
    assert_eq!(ask(&exchange, SEC).await, Err(Class::Deadline));
    assert_eq!(ask(&exchange, SEC).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_when_it_fits_the_deadline() {
    let fake = Fake::new(1, |_| Reply::RetryAfter(429, 1));
    let exchange = exchange(&fake);
    assert_eq!(ask(&exchange, 3 * SEC).await, Err(Class::RateLimited));
    let sent = fake.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1].at - sent[0].at, SEC);
    // Who limits our rate is not asked for another handshake.
    assert!(!sent[1].new_connection);
    assert_eq!(ask(&exchange, SEC).await, Err(Class::RateLimited));
    assert_eq!(fake.sent().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_batch_may_answer_with_results_under_an_error_status() {
    let fake = Fake::new(1, |_| Reply::Answer(400, r#"{"data":{}}"#.to_owned()));
    let exchange = exchange(&fake);
    let batch = request(Operation::BatchDecrypt);
    let mut budget = Budget::full();
    let answer = exchange.ask(&batch, way(SEC), &mut budget, parse).await;
    assert!(answer.is_ok());
    assert!(ask(&exchange, SEC).await.is_err());
}

fn any_reply() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0), Just(1), Just(2), Just(3), Just(4), Just(5)]
}

fn reply(kind: u8) -> Reply {
    match kind {
        0 => good(),
        1 => Reply::error(503, "x"),
        2 => Reply::Hang,
        3 => Reply::Fail(Failure::Refused),
        4 => Reply::After(SEC, Box::new(good())),
        _ => Reply::error(400, "invalid ciphertext: version is too new"),
    }
}

proptest! {
    #[test]
    fn at_most_two_requests_are_sent_and_the_deadline_holds_whatever_happens(
        first in any_reply(), second in any_reply(), ms in 0_u64..6000, endpoints in 1_usize..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut kinds = vec![second, first];
            let fake = Fake::new(endpoints, move |_| reply(kinds.pop().unwrap()));
            let began = Instant::now();
            let time = Duration::from_millis(ms);
            let _ = ask(&exchange(&fake), time).await;
            prop_assert!(fake.sent().len() <= 2);
            prop_assert!(began.elapsed() <= time + Duration::from_millis(1));
            Ok(())
        })?;
    }
}
