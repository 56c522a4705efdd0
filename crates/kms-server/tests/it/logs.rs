//! What a log line says, and what it never says.

use std::{
    cell::RefCell,
    fmt::{Debug, Write as _},
    sync::{Arc, Mutex, Once, atomic::Ordering},
    time::Duration,
};

use keyring::kms::Error;
use kms_server::{inherit::Inherited, settings::Correlation};
use openbao::error::Class;
use secret::SecretBytes;
use tokio::time::Instant;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
};

use crate::{
    fake::{annotations, key_id},
    harness::{Running, eventually},
};

const SEED: &str = "canary-of-a-seed-0123456789abcde";
const UID: &str = "2f6d4a8e-uid\n\u{1b}[31mforged";

/// Every event of one thread as one line, at every level, of every crate.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<String>>);

thread_local! {
    static PAGE: RefCell<Option<Page>> = const { RefCell::new(None) };
}

/// One subscriber for the whole process: which events are wanted is remembered by process,
/// so that subscribers that come and go with threads would miss some.
struct Pages;

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl<S: Subscriber> Layer<S> for Pages {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        PAGE.with_borrow(|page| {
            let Some(Page(page)) = page else { return };
            let mut page = page.lock().unwrap();
            let metadata = event.metadata();
            let _ = write!(page, "{} {}", metadata.level(), metadata.target());
            event.record(&mut Line(&mut page));
            page.push('\n');
        });
    }
}

impl Page {
    /// For this thread, on which a test's service and client both run.
    fn collect() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let subscriber = tracing_subscriber::registry().with(Pages);
            tracing::subscriber::set_global_default(subscriber).unwrap();
        });
        let page = Self::default();
        PAGE.set(Some(page.clone()));
        page
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn requests(&self) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter(|line| line.contains("kms.request"));
        lines.map(str::to_owned).collect()
    }
}

fn seed() -> SecretBytes {
    SecretBytes::new(SEED.as_bytes().to_vec())
}

#[tokio::test]
async fn successes_are_debug_and_failures_are_warnings_with_their_class() {
    let page = Page::collect();
    let service = Running::start();
    let mut client = service.client().await;
    client.encrypt(&seed(), UID).await.unwrap();
    service.fail_with(Some(Error::Backend(openbao::error::Error {
        class: Class::Sealed,
        operation: "transit_encrypt",
        reason: "OpenBao is sealed".into(),
        status: Some(503),
    })));
    assert!(client.encrypt(&seed(), UID).await.is_err());
    service.stop().await;
    let lines = page.requests();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let hash = key_id().hash();
    for part in [
        "DEBUG",
        "operation=\"encrypt\"",
        "status=\"OK\"",
        "duration_ms=",
        &*hash,
    ] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
    for part in [
        "WARN",
        "status=\"Unavailable\"",
        "error_class=\"openbao_sealed\"",
        "is sealed",
    ] {
        assert!(lines[1].contains(part), "{part} in {}", lines[1]);
    }
    assert!(!lines[0].contains("request_uid_hash") && !lines[0].contains("debug_correlation"));
}

#[tokio::test]
async fn encrypt_and_decrypt_say_which_key_version_they_were_about() {
    let page = Page::collect();
    let service = Running::start();
    let mut client = service.client().await;
    client.status().await.unwrap();
    let sealed = client.encrypt(&seed(), UID).await.unwrap();
    let mut open = async |ciphertext: &[u8]| {
        let key_id = sealed.key_id.clone();
        let call = client.decrypt(ciphertext.to_vec(), key_id, annotations(), UID);
        call.await.is_ok()
    };
    assert!(open(&sealed.ciphertext).await);
    // What is refused names its version, too; a forged one is no version.
    assert!(!open(b"vault:v7:x").await);
    assert!(!open(b"vault:v7\nforged:x").await);
    assert!(!open(b"\xff").await);
    service.stop().await;
    let named = |line: &String| {
        let (_, tail) = line.split_once("transit_key_version=")?;
        tail.split(' ').next().map(str::to_owned)
    };
    let versions: Vec<Option<String>> = page.requests().iter().map(named).collect();
    let [one, seven] = ["1", "7"].map(|number| Some(number.to_owned()));
    assert_eq!(versions, [None, one.clone(), one, seven, None, None]);
}

#[tokio::test]
async fn s13_a_caller_that_goes_away_is_no_warning() {
    let page = Page::collect();
    let service = Running::start();
    service.delay(Duration::from_secs(60));
    let mut client = service.client().await;
    let soon = Duration::from_millis(50);
    assert!(
        tokio::time::timeout(soon, client.encrypt(&seed(), UID))
            .await
            .is_err()
    );
    eventually("the call is over", || page.requests().len() == 1).await;
    let line = page.requests().remove(0);
    assert!(line.starts_with("DEBUG"), "{line}");
    assert!(line.contains("status=\"Canceled\"") && line.contains("error_class=\"canceled\""));
    service.stop().await;
}

#[tokio::test]
async fn a_callers_uid_is_hashed_and_only_while_somebody_correlates() {
    for (ttl, named) in [(60_000, true), (0, false)] {
        let page = Page::collect();
        let service = Running::start_with(
            |_| Inherited::none(),
            |settings| {
                settings.correlation = Some(Correlation {
                    incident: "INC-7".into(),
                    expires_at: "2026-11-21T13:00:00Z".into(),
                    until: Instant::now() + Duration::from_millis(ttl),
                });
            },
        );
        service.client().await.encrypt(&seed(), UID).await.unwrap();
        service.stop().await;
        let line = page.requests().remove(0);
        let hash = registry::scope::hash(UID);
        assert_eq!(
            line.contains(&format!("request_uid_hash={hash:?}")),
            named,
            "{line}"
        );
        assert_eq!(
            line.contains("debug_correlation_incident=\"INC-7\""),
            named,
            "{line}"
        );
        let expiry = "debug_correlation_expires_at=\"2026-11-21T13:00:00Z\"";
        assert_eq!(line.contains(expiry), named, "{line}");
    }
}

#[tokio::test]
async fn h09_e10_no_line_of_any_level_shows_seed_ciphertext_key_id_or_uid() {
    let page = Page::collect();
    let service = Running::start();
    let mut client = service.client().await;
    let sealed = client.encrypt(&seed(), UID).await.unwrap();
    let (ciphertext, key) = (sealed.ciphertext.clone(), sealed.key_id.clone());
    let opened = client
        .decrypt(ciphertext.clone(), key.clone(), annotations(), UID)
        .await;
    assert!(opened.is_ok());
    client.status().await.unwrap();
    for (ciphertext, key) in [
        (ciphertext.clone(), "obk2.another-key".to_owned()),
        (SEED.as_bytes().to_vec(), key),
        (vec![b'c'; 2000], String::new()),
    ] {
        assert!(
            client
                .decrypt(ciphertext, key, annotations(), UID)
                .await
                .is_err()
        );
    }
    service.fail_with(Some(Error::MetadataRefresh));
    assert!(client.encrypt(&seed(), UID).await.is_err());
    service.fake.panics.store(true, Ordering::SeqCst);
    kms_server::hide_panic_payloads();
    assert!(client.encrypt(&seed(), UID).await.is_err());
    service.stop().await;
    let text = page.text();
    assert!(page.requests().len() >= 8, "{text}");
    let ours = text
        .lines()
        .filter(|line| !line.starts_with("TRACE") || line.contains(" kms_"));
    let ours: Vec<&str> = ours.collect();
    let key = key_id();
    for secret in [
        SEED,
        "canary-of-a-panic",
        "obk2.another-key",
        key.as_str(),
        "2f6d4a8e",
        "vault:v1:",
    ] {
        let found = ours.iter().find(|line| line.contains(secret));
        assert!(found.is_none(), "{secret} in {found:?}");
    }
}

#[tokio::test]
async fn a_socket_that_cannot_be_bound_again_is_said_ever_more_rarely() {
    let page = Page::collect();
    let service = Running::start();
    std::fs::remove_file(&service.path).unwrap();
    std::fs::write(&service.path, "precious").unwrap();
    eventually("the fourth failure", || page.text().contains("times=4")).await;
    let text = page.text();
    let said: Vec<_> = text
        .lines()
        .filter(|line| line.contains("socket.rebind_failed"))
        .collect();
    assert_eq!(said.len(), 3, "{said:?}");
    service.stop().await;
}
