//! Whom the provider trusts: the CA file, at the start and while it runs.

use std::fs;

use bao_dev::testing::{Action, DevServer, Fault, Options};
use tonic::Code;

use super::{
    child::Provider,
    stage::put,
    world::{Sealed, World, refused},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_openbao_of_another_authority_is_a_tls_failure_until_the_right_bundle_is_there() {
    let stranger = DevServer::start(Options::default()).await.unwrap();
    let world = World::new().await;
    let sealed = world.with_past().await;
    put(&world.stage.ca_file(), stranger.ca_pem(), 0o644);
    world.control().counts_reset();

    let provider = Provider::start(&world.stage);
    let line = provider
        .logged("auth.login", "error_class", "openbao_tls_failed")
        .await;
    assert!(
        line["reason"].as_str().unwrap().contains("certificate"),
        "{line}"
    );
    provider.unhealthy("metadata_not_probed").await;
    let mut client = provider.client().await;
    let encrypted = refused(Sealed::try_make(&mut client).await);
    assert_eq!(encrypted, (Code::FailedPrecondition, "status_stale".into()));
    let mut hurried = provider.hurried_client().await;
    let opened = refused(sealed.open(&mut hurried).await);
    assert_eq!(opened, (Code::Unavailable, "openbao_tls_failed".into()));
    assert!(
        world.control().counts().values().all(|count| *count == 0),
        "something was sent"
    );

    put(&world.stage.ca_file(), world.bao.ca_pem(), 0o644);
    assert_eq!(provider.healthy().await, sealed.key_id);
    sealed.open(&mut client).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_that_goes_bad_leaves_the_one_in_use_in_use() {
    let world = World::new().await;
    let (provider, sealed) = world.with_data().await;
    let mut client = provider.client().await;
    let damages: [fn(&World); 3] = [
        |world| put(&world.stage.ca_file(), "half a bun", 0o644),
        |world| put(&world.stage.ca_file(), world.bao.ca_pem(), 0o666),
        |world| fs::remove_file(world.stage.ca_file()).unwrap(),
    ];
    for damage in damages {
        damage(&world);
        // A connection that breaks costs a new one, with its handshake.
        let broken = Fault::new(Action::Reset).path("/v1/transit/decrypt/*");
        world.control().fault(broken.times(1));
        sealed.open(&mut client).await.unwrap();
        assert_eq!(provider.status().await.healthz, "ok");
    }
    world.control().tokens_revoke_all();
    Sealed::make(&mut client).await;
}
