//! Canaries: whatever goes wrong, no secret comes out.

use bao_dev::testing::{Action, Fault, Jwt};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    stage::put,
    world::{Sealed, World},
};

const PLAINTEXT: &[u8] = b"CANARY-of-a-seed-0123456789-abcd";

/// A text that a test must not find, and what it is.
type Canary = (String, &'static str);

fn canaries(world: &World, jwts: &[String], sealed: &Sealed) -> Vec<Canary> {
    let text = String::from_utf8(sealed.ciphertext.clone()).unwrap();
    let mut canaries = vec![
        (String::from_utf8(PLAINTEXT.to_vec()).unwrap(), "plaintext"),
        ("CANARY".into(), "plaintext"),
        (
            STANDARD.encode(PLAINTEXT).trim_end_matches('=').into(),
            "plaintext in base64",
        ),
        (format!("{PLAINTEXT:?}"), "plaintext as numbers"),
        (text.rsplit(':').next().unwrap().into(), "ciphertext"),
        (STANDARD.encode(&sealed.ciphertext), "ciphertext in base64"),
        (format!("{:?}", sealed.ciphertext), "ciphertext as numbers"),
        (world.bao.root_token().into(), "the root token"),
    ];
    for jwt in jwts {
        let parts = jwt
            .split('.')
            .skip(1)
            .map(|part| (part.to_owned(), "a part of a JWT"));
        canaries.extend(parts);
    }
    canaries
}

/// Whether it holds what looks like a token of OpenBao's: `s.` and 20 characters or more.
fn holds_a_token(text: &str) -> bool {
    text.match_indices("s.").any(|(at, _)| {
        let word = text.split_at(at + 2).1;
        word.chars().take_while(char::is_ascii_alphanumeric).count() >= 20
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_failure_writes_a_secret_to_log_metrics_or_pages() {
    let mut world = World::new().await;
    world.stage.hasten();
    world.stage.set("logging.level", "trace");
    let provider = world.healthy().await;
    let mut client = provider.client().await;
    let sealed = Sealed::of(&mut client, PLAINTEXT.to_vec()).await.unwrap();
    sealed.open(&mut client).await.unwrap();

    let echo = format!("{} {}", world.bao.root_token(), STANDARD.encode(PLAINTEXT));
    let failures = [
        Action::error(500, &echo),
        Action::error(400, &echo),
        Action::wrapped(403, &echo),
        Action::error(404, &echo),
        Action::error(429, &echo),
        Action::Junk,
        Action::Reset,
        Action::LoseAnswer,
        Action::ResetMidBody,
        Action::Redirect {
            to: format!("https://{}", world.bao.root_token()),
        },
        Action::Edit {
            pointer: "/data/ciphertext".into(),
            value: Some("vault:v9:CANARY".into()),
        },
        Action::Edit {
            pointer: "/data/ciphertext".into(),
            value: None,
        },
    ];
    for action in failures {
        let rule = world.control().fault(Fault::new(action));
        let _ = sealed.open(&mut client).await;
        let _ = Sealed::of(&mut client, PLAINTEXT.to_vec()).await;
        world.control().fault_remove(rule).unwrap();
    }
    let mut forged = sealed.clone();
    forged.ciphertext.extend(b"x");
    let _ = forged.open(&mut client).await;
    forged.annotations.clear();
    let _ = forged.open(&mut client).await;
    forged.key_id = "obk2.CANARY".into();
    let _ = forged.open(&mut client).await;
    let _ = Sealed::of(&mut client, PLAINTEXT.repeat(30)).await;

    let expired = world
        .bao
        .mint(&Jwt {
            expires_in: Some(-9),
            ..Jwt::default()
        })
        .unwrap();
    let foreign = world
        .bao
        .mint(&Jwt {
            foreign_key: true,
            ..Jwt::default()
        })
        .unwrap();
    for jwt in [&expired, &foreign] {
        put(&world.stage.jwt_file(), jwt, 0o640);
        world.control().tokens_revoke_all();
        let _ = sealed.open(&mut client).await;
    }
    provider.unhealthy("metadata_stale").await;

    let ready = provider.http("health", "GET", "/ready").await.body;
    let front = provider.http("health", "GET", "/").await.body;
    let metrics = provider.metrics().await;
    let log = provider.terminated().await.text;
    assert!(
        log.contains("\"level\":\"debug\"") && log.lines().count() > 50,
        "too little to look at"
    );
    let jwts = [world.bao.jwt().to_owned(), expired, foreign];
    for (sink, text) in [
        ("the log", &log),
        ("/metrics", &metrics),
        ("/ready", &ready),
        ("/", &front),
    ] {
        for (canary, what) in canaries(&world, &jwts, &sealed) {
            let line = text.lines().find(|line| line.contains(&canary));
            assert_eq!(line, None, "{what} is in {sink}");
        }
        let token = text.lines().find(|line| holds_a_token(line));
        assert_eq!(token, None, "a token is in {sink}");
    }
}
