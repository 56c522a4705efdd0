//! Nothing secret, and nothing that the server wrote, reaches a log line or an error.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{Arc, Mutex},
};

use bao_dev::testing::{Action, Fault};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use openbao::transit::Transit as _;
use secret::SecretBytes;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::rig::{AAD, Client, Rig, item, within};

const PLAINTEXT: &str = "canary-plaintext-4711";
const TOKEN: &str = "s.CANARYTOKEN4711";
const SERVER_TEXT: &str = "canary server text 4711";
const CIPHERTEXT: &str = "vault:v1:canaryciphertext4711";

/// Everything that was logged.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn body(status: u16, body: String) -> Action {
    Action::Answer {
        status,
        error: None,
        wrapped: None,
        body: Some(body),
        headers: BTreeMap::new(),
    }
}

/// Faults that each lead down another path.
fn faults() -> Vec<Action> {
    let plaintext = STANDARD.encode(PLAINTEXT);
    vec![
        Action::error(400, SERVER_TEXT),
        Action::error(400, "cipher: message authentication failed"),
        Action::error(403, "permission denied"),
        Action::wrapped(403, "permission denied"),
        Action::error(403, SERVER_TEXT),
        Action::error(404, SERVER_TEXT),
        Action::error(500, SERVER_TEXT),
        Action::wrapped(500, &format!("failed to parse batch input: {SERVER_TEXT}")),
        Action::error(503, SERVER_TEXT),
        body(200, format!(r#"{{"data":{{"plaintext":"{plaintext}"}}}}"#)),
        body(200, format!(r#"{{"data":{{"plaintext":"{plaintext}!"}}}}"#)),
        body(
            200,
            format!(
                r#"{{"request_id":"{SERVER_TEXT}","data":{{"plaintext":7,"x":"{SERVER_TEXT}"}}}}"#
            ),
        ),
        body(200, format!("{plaintext} {PLAINTEXT}")),
        Action::Reset,
        Action::ResetMidBody,
        Action::Redirect {
            to: format!("https://{}.invalid", "canary-host-4711"),
        },
    ]
}

async fn every_call(client: &Client, texts: &mut Vec<String>) {
    let plaintext = SecretBytes::new(PLAINTEXT.as_bytes().to_vec());
    let bao = &client.bao;
    if let Err(error) = bao.encrypt(1, &plaintext, AAD, within(150)).await {
        texts.push(format!("{error} {error:?}"));
    }
    if let Err(error) = bao.decrypt(&item(CIPHERTEXT), within(150)).await {
        texts.push(format!("{error} {error:?}"));
    }
    let items = [item(CIPHERTEXT), item(CIPHERTEXT)];
    match bao.decrypt_batch(&items, within(150)).await {
        Err(error) => texts.push(format!("{error} {error:?}")),
        Ok(results) => texts.extend(
            results
                .into_iter()
                .filter_map(Result::err)
                .map(|error| format!("{error} {error:?}")),
        ),
    }
    texts.push(format!("{:?}", bao.login_state()));
    texts.push(client.metrics());
}

#[tokio::test]
async fn planted_secrets_and_server_text_never_come_out() {
    let sink = Sink::default();
    let writer = sink.clone();
    let layer = tracing_subscriber::fmt::layer()
        .json()
        .with_writer(move || writer.clone());
    // No level filter: trace events of every crate are caught, too.
    let subscriber = tracing_subscriber::registry().with(layer);
    // Global, as events of other threads may be ours: the client's tasks, its file reads.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let rig = Rig::start().await;
    let jwt = std::fs::read_to_string(rig.file("jwt")).unwrap();
    let mut texts = Vec::new();
    let grant = format!(
        r#"{{"auth":{{"client_token":"{TOKEN}","lease_duration":3600,"renewable":true}}}}"#
    );
    rig.control().fault(
        Fault::new(body(200, grant))
            .path("/v1/auth/jwt/login")
            .times(1),
    );
    let client = rig.client();
    assert!(client.read().await.is_ok());
    for action in faults() {
        let id = rig
            .control()
            .fault(Fault::new(action).path("/v1/transit/*"));
        every_call(&client, &mut texts).await;
        rig.control().fault_remove(id).unwrap();
    }
    for action in [
        Action::error(400, SERVER_TEXT),
        Action::error(500, SERVER_TEXT),
        body(200, format!(r#"{{"auth":{{"client_token":"{TOKEN}"}}}}"#)),
        body(
            200,
            format!(
                r#"{{"auth":{{"client_token":"{TOKEN}\n","lease_duration":1,"renewable":true}}}}"#
            ),
        ),
    ] {
        let id = rig.control().fault(Fault::new(action));
        let another = rig.client();
        every_call(&another, &mut texts).await;
        rig.control().fault_remove(id).unwrap();
    }

    let log = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    for event in ["openbao.request", "auth.login"] {
        assert!(log.contains(event), "{event} was not logged:\n{log}");
    }
    for line in log
        .lines()
        .filter(|line| line.contains("openbao_request_id"))
    {
        assert!(line.contains("\"DEBUG\""), "{line}");
    }
    assert!(log.contains("openbao_request_id"));
    assert!(log.contains("\"DEBUG\"") && log.contains("\"TRACE\""));
    // The log is the operator's: of several endpoints it says which one was asked. What callers
    // and pages get to see never does. (Libraries may name the address at debug level.)
    let address = rig.server.address().strip_prefix("https://").unwrap();
    assert!(log.contains(&format!("\"endpoint\":\"{address}\"")));
    let (host, _port) = address.split_once(':').unwrap();
    let ours = log
        .lines()
        .filter(|line| line.contains("\"target\":\"openbao"));
    for line in ours.filter(|line| !line.contains("openbao.request")) {
        // Not only of this server: events of other tests come in here, too.
        assert!(!line.contains(host), "{line}");
    }
    for text in &texts {
        assert!(!text.contains(host), "{text}");
    }
    texts.push(log);
    let (_, signature) = jwt.rsplit_once('.').unwrap();
    let encoded = STANDARD.encode(PLAINTEXT);
    for canary in [
        PLAINTEXT,
        &encoded,
        TOKEN,
        SERVER_TEXT,
        "canaryciphertext",
        "canary-host",
        signature,
        AAD,
    ] {
        for text in &texts {
            assert!(!text.contains(canary), "{canary} came out in {text}");
        }
    }
}
