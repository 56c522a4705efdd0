//! `probe` against a service that can misbehave.

use std::{collections::HashMap, path::Path, sync::Arc};

use kms_proto::v2::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, StatusRequest,
    StatusResponse,
    key_management_service_server::{KeyManagementService, KeyManagementServiceServer},
};
use serde_json::Value;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use super::run;

/// What the service does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Unhealthy,
    NoKeyId,
    OtherKeyId,
    LongCiphertext,
    BadAnnotation,
    Refuses,
    OtherPlaintext,
    Hangs,
}

struct Fake(Fault);

#[tonic::async_trait]
impl KeyManagementService for Fake {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let healthz = if self.0 == Fault::Unhealthy {
            "unhealthy"
        } else {
            "ok"
        };
        let key_id = if self.0 == Fault::NoKeyId {
            ""
        } else {
            "key-1"
        };
        Ok(Response::new(StatusResponse {
            version: "v2".into(),
            healthz: healthz.into(),
            key_id: key_id.into(),
        }))
    }

    async fn encrypt(
        &self,
        request: Request<EncryptRequest>,
    ) -> Result<Response<EncryptResponse>, Status> {
        let mut ciphertext: Vec<u8> = request.get_ref().plaintext.iter().map(|b| !b).collect();
        match self.0 {
            Fault::LongCiphertext => ciphertext.resize(1025, 0),
            Fault::Refuses => return Err(Status::failed_precondition("not healthy")),
            Fault::Hangs => std::future::pending().await,
            _ => {}
        }
        let key = if self.0 == Fault::BadAnnotation {
            "a/b"
        } else {
            "a.example.com"
        };
        Ok(Response::new(EncryptResponse {
            ciphertext,
            key_id: if self.0 == Fault::OtherKeyId {
                "key-2"
            } else {
                "key-1"
            }
            .into(),
            annotations: HashMap::from([(key.to_owned(), b"v".to_vec())]),
        }))
    }

    async fn decrypt(
        &self,
        request: Request<DecryptRequest>,
    ) -> Result<Response<DecryptResponse>, Status> {
        let mut plaintext: Vec<u8> = request.get_ref().ciphertext.iter().map(|b| !b).collect();
        if self.0 == Fault::OtherPlaintext {
            plaintext.reverse();
            plaintext.push(0);
        }
        let mut answer = DecryptResponse::default();
        answer.plaintext = plaintext;
        Ok(Response::new(answer))
    }
}

/// Runs `probe` with `arguments` against a service with `fault`.
async fn probe(fault: Fault, arguments: &'static [&'static str]) -> (i32, String, String) {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let socket = folder.path().join("kms.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let service = Server::builder()
        .add_service(KeyManagementServiceServer::new(Fake(fault)))
        .serve_with_incoming(UnixListenerStream::new(listener));
    let server = tokio::spawn(service);
    let outcome = tokio::task::spawn_blocking(move || against(&socket, arguments))
        .await
        .unwrap();
    server.abort();
    outcome
}

fn against(socket: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut all = vec!["probe", "--socket", socket.to_str().unwrap()];
    all.extend(arguments);
    run(&all)
}

fn results(report: &str) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(report).unwrap();
    assert_eq!(report["kind"], "Probe");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| (text(&check["id"]), text(&check["result"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_service_that_works_passes_with_a_warning_for_its_owner() {
    let (code, out, err) = probe(
        Fault::None,
        &["--output", "json", "--expected-key-id", "key-1"],
    )
    .await;
    assert_eq!((code, err.as_str()), (0, ""));
    let results = results(&out);
    let of = |id: &str| {
        results
            .iter()
            .find(|(name, _)| name == id)
            .unwrap()
            .1
            .as_str()
    };
    // The test made the socket, so whoever runs it owns it, or is root.
    assert_eq!(of("identity"), "warn");
    for id in ["connect", "status", "key_id", "encrypt", "decrypt"] {
        assert_eq!(of(id), "pass", "{id}");
    }
    let (code, _, err) = probe(Fault::None, &["--strict"]).await;
    assert_eq!(code, 4);
    assert!(err.contains("--strict"), "{err}");
    let (code, out, _) = probe(Fault::None, &[]).await;
    assert_eq!(code, 0);
    assert!(
        out.contains("the plaintext came back") && !out.contains('\u{1b}'),
        "{out}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_the_api_server_would_refuse_fails_with_code_4_and_skips_what_follows() {
    for (fault, failed, skipped) in [
        (Fault::Unhealthy, "status", &["encrypt", "decrypt"][..]),
        (Fault::NoKeyId, "status", &["encrypt", "decrypt"]),
        (Fault::OtherKeyId, "encrypt", &["decrypt"]),
        (Fault::LongCiphertext, "encrypt", &["decrypt"]),
        (Fault::BadAnnotation, "encrypt", &["decrypt"]),
        (Fault::Refuses, "encrypt", &["decrypt"]),
        (Fault::OtherPlaintext, "decrypt", &[]),
        (Fault::Hangs, "encrypt", &["decrypt"]),
    ] {
        let (code, out, _) = probe(fault, &["--output", "json", "--timeout", "300ms"]).await;
        assert_eq!(code, 4, "{fault:?}");
        let results = results(&out);
        assert!(
            results.contains(&(failed.into(), "fail".into())),
            "{fault:?}: {out}"
        );
        for id in skipped {
            assert!(
                results.contains(&((*id).into(), "skip".into())),
                "{fault:?}: {out}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_key_id_than_the_expected_one_fails() {
    let (code, out, _) = probe(
        Fault::None,
        &["--output", "json", "--expected-key-id", "key-9"],
    )
    .await;
    assert_eq!(code, 4);
    assert!(results(&out).contains(&("key_id".into(), "fail".into())));
}

#[test]
fn a_socket_that_cannot_be_reached_ends_with_code_5() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent.sock");
    let (code, out, err) = against(&absent, &[]);
    assert_eq!((code, out.as_str()), (5, ""));
    assert!(err.contains("absent.sock: cannot connect"), "{err}");
    let hint = "start the provider, or name its server.socketPath";
    assert!(err.contains(hint), "{err}");

    // A program that reads reports gets one all the same.
    let (code, out, err) = against(&absent, &["--output", "json", "--expected-key-id", "k"]);
    assert_eq!(code, 5);
    assert!(err.contains("absent.sock: cannot connect"), "{err}");
    let results = results(&out);
    let of = |id: &str, result: &str| results.contains(&(id.into(), result.into()));
    assert!(of("connect", "fail"), "{out}");
    for id in ["status", "key_id", "encrypt", "decrypt"] {
        assert!(of(id, "skip"), "{id}: {out}");
    }

    let dead = folder.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let (code, _, err) = against(&dead, &[]);
    assert_eq!(code, 5);
    assert!(err.contains("the process that made it is gone"), "{err}");

    // Somebody who closes the door, as a provider does whose list of users has another.
    let shut = folder.path().join("shut.sock");
    let door = std::os::unix::net::UnixListener::bind(&shut).unwrap();
    std::thread::spawn(move || door.incoming().for_each(drop));
    let (code, _, err) = against(&shut, &["--timeout", "30s"]);
    assert_eq!(code, 5);
    assert!(err.contains("server.allowedPeers does not name"), "{err}");
}

#[test]
fn without_a_socket_the_configuration_is_read_and_a_missing_one_is_named() {
    let (code, _, err) = run(&["probe", "--config", "/nowhere/config.yaml"]);
    assert_eq!(code, 3);
    assert!(
        err.contains("--socket") && err.contains("/nowhere/config.yaml"),
        "{err}"
    );
}
