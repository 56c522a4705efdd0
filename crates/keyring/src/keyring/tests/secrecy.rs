//! A planted plaintext appears in no log line, error, metric or debug form.

use std::io::Write;

use openbao::error::Class;
use registry::record::RecordState::*;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::testing::{error, metadata, view};

const CANARY: &str = "canary-4711-plaintext";

#[derive(Clone, Default)]
struct Sink(Arc<std::sync::Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn the_plaintext_is_in_no_sink_on_any_path() {
    let sink = Sink::default();
    let subscriber = |sink: Sink| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(sink)
            .finish()
    };
    // While there is just one subscriber, an event that another test's thread reaches first is
    // switched off for all threads; with two, every subscriber is asked.
    let _second = tracing::Dispatch::new(subscriber(Sink::default()));
    let _log = tracing::subscriber::set_default(subscriber(sink.clone()));
    let rig = Rig::new(view(&[(1, Active)]));
    let mut said = String::new();
    let canary = CANARY.as_bytes();

    let encrypted = rig.encrypt(canary).await.unwrap();
    assert!(rig.decrypt(request(1, canary)).await.is_ok());
    for class in [
        Class::Sealed,
        Class::CiphertextRejected,
        Class::OwnInput,
        Class::Deadline,
    ] {
        rig.transit.script().down = Some(error(class));
        said += &format!("{:?}", rig.encrypt(canary).await);
        said += &format!("{:?}", rig.decrypt(request(1, canary)).await);
        said += &format!("{}", rig.decrypt(request(1, canary)).await.unwrap_err());
        said += &format!("{:?}", rig.decrypt(request(2, canary)).await);
    }
    rig.transit.script().down = None;
    rig.transit.script().metadata = Ok(metadata(&[1, 3]));
    tokio::time::advance(SETTINGS.probe_interval).await;
    assert!(rig.decrypt(request(3, canary)).await.is_ok());
    let text = String::from_utf8(request(1, canary).ciphertext).unwrap();
    rig.transit.script().poison.insert(text.clone());
    said += &format!("{:?}", rig.decrypt(request(1, canary)).await);
    rig.transit.script().latency = millis(10);
    rig.transit.script().batch_errors = [error(Class::Sealed)].into();
    let calls = distinct(30)
        .into_iter()
        .map(|(request, _)| rig.decrypt(request));
    for answer in futures_util::future::join_all(calls).await {
        said += &format!("{:?}", answer.err());
    }
    said += &format!("{:?}", rig.encrypt(&canary.repeat(40)).await);
    said += &rig.metrics();
    said += &String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();

    for event in ["refresh_failed", "versions_discovered", "job_panicked"] {
        assert!(said.contains(event), "the test has not reached {event}");
    }
    assert!(!said.contains(CANARY));
    // Nor in the form that the fake gives it, which stands for any ciphertext.
    let inner = text.split(':').nth(2).unwrap();
    assert!(!said.contains(inner));
    assert!(!said.contains(&encrypted.ciphertext));
    assert!(!said.contains("scripted panic"), "the payload of a panic");
}
