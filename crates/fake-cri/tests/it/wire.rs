//! The client, with the fake behind a socket.

use std::{path::PathBuf, sync::Arc, time::Duration};

use cri::{Call, Client, Endpoint, Fault, Runtime};
use fake_cri::{
    contract::{CALM, broken},
    fake::{Fake, FakeImage, Plan, Trouble},
    serve::Server,
};
use tempfile::TempDir;

use crate::memory::{Memory, fake};

/// A fake behind a socket that can be killed and started again.
struct Served {
    fake: Fake,
    folder: TempDir,
    server: Option<Server>,
}

impl Served {
    fn new(fake: Fake) -> Self {
        let mut served = Self {
            fake,
            folder: tempfile::tempdir().unwrap(),
            server: None,
        };
        served.start();
        served
    }

    fn start(&mut self) {
        let fake = Arc::new(self.fake.clone());
        self.server = Some(Server::start(fake, &self.socket()).unwrap());
    }

    fn kill(&mut self) {
        self.server = None;
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("c.sock")
    }

    fn client(&self) -> Client {
        let endpoint = Endpoint::parse(self.socket().to_str().unwrap()).unwrap();
        Client::new(endpoint)
    }
}

#[tokio::test]
async fn the_client_keeps_the_contract_over_a_socket() {
    let fake = fake().without_network().with_events();
    let served = Served::new(fake.clone());
    let mut memory = Memory::new(fake);
    memory.seen = Arc::new(served.client());
    assert_eq!(broken(CALM, &memory).await, [""; 0]);
}

#[tokio::test]
async fn a_client_connects_again_when_the_runtime_is_back() {
    let mut served = Served::new(fake());
    let client = served.client();
    client.version().await.unwrap();
    served.kill();
    served.start();
    let mut tries = 0;
    while let Err(fault) = client.version().await {
        assert!(matches!(fault.fault, Fault::Unavailable { .. }), "{fault}");
        tries += 1;
        assert!(
            tries < 3,
            "a connection that has died is noticed at the first call"
        );
    }
    served.kill();
    std::fs::remove_file(served.socket()).unwrap();
    let mut faults = Vec::new();
    for _ in 0..2 {
        faults.push(client.status(false).await.unwrap_err());
    }
    let socket = served.socket();
    let socket = socket.display();
    assert_eq!(
        faults[1].to_string(),
        format!(
            "Status: the runtime at unix://{socket} does not answer: No such file or directory (os error 2)"
        )
    );
}

#[tokio::test]
async fn a_runtime_that_dies_during_a_call_is_unavailable() {
    let mut served = Served::new(fake());
    let client = served.client();
    client.version().await.unwrap();
    let slow = Trouble::Slow(Duration::from_secs(600));
    served.fake.plan(Plan::new(Call::ListImages, slow));
    let fake = served.fake.clone();
    let killing = async {
        while !fake
            .calls()
            .iter()
            .any(|(call, _)| *call == Call::ListImages)
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        served.kill();
    };
    let (outcome, ()) = tokio::join!(client.list_images(), killing);
    let fault = outcome.unwrap_err();
    assert!(fault.is_uncertain(), "{fault}");
    assert!(matches!(fault.fault, Fault::Unavailable { .. }), "{fault}");
}

#[tokio::test]
async fn an_answer_of_many_megabytes_arrives() {
    let fake = fake();
    for number in 0..200 {
        let mut image = FakeImage::workload(&format!("registry.local/x{number}:1"), &[]);
        image.username = "u".repeat(50_000);
        fake.add_image(image);
    }
    let served = Served::new(fake);
    let images = served.client().list_images().await.unwrap();
    assert_eq!(images.len(), 200);
}

#[tokio::test]
async fn a_fault_keeps_its_class_on_the_wire() {
    let served = Served::new(fake());
    let client = served.client();
    let message = || "m".to_owned();
    for fault in [
        Fault::NotFound { message: message() },
        Fault::Unimplemented { message: message() },
        Fault::Refused {
            code: "FAILED_PRECONDITION",
            message: message(),
        },
        Fault::AlreadyReserved {
            holder: Some("abc".to_owned()),
            message: "name \"x\" is reserved for \"abc\"".to_owned(),
        },
    ] {
        let trouble = Trouble::Fail(fault.clone());
        served.fake.plan(Plan::new(Call::Status, trouble).times(1));
        assert_eq!(client.status(false).await.unwrap_err().fault, fault);
    }
}

#[tokio::test]
async fn what_is_gone_needs_no_end() {
    let served = Served::new(fake());
    let client = served.client();
    let gone = || {
        Trouble::Fail(Fault::NotFound {
            message: "m".to_owned(),
        })
    };
    for call in [
        Call::StopPodSandbox,
        Call::RemovePodSandbox,
        Call::StopContainer,
        Call::RemoveContainer,
        Call::RemoveImage,
        Call::ImageStatus,
        Call::StartContainer,
    ] {
        served.fake.plan(Plan::new(call, gone()));
    }
    client.stop_pod_sandbox("a").await.unwrap();
    client.remove_pod_sandbox("a").await.unwrap();
    client.stop_container("a", Duration::ZERO).await.unwrap();
    client.remove_container("a").await.unwrap();
    client.remove_image("a").await.unwrap();
    assert_eq!(client.image_status("a").await.unwrap(), None);
    assert!(
        client
            .start_container("a")
            .await
            .unwrap_err()
            .is_not_found()
    );
}
