//! An OpenBao that is not there, hangs or is sealed when the provider starts.

use std::net::SocketAddr;

use bao_dev::testing::{Action, Fault};
use futures_util::future::join_all;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};
use tonic::Code;

use super::{
    child::Provider,
    world::{Sealed, World, refused},
};

/// A door to OpenBao that can be shut.
struct Gate {
    /// Where the provider looks for OpenBao.
    here: SocketAddr,
    there: String,
}

/// An open gate; closes when dropped.
struct Open(AbortHandle);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Gate {
    /// A port that nobody listens on.
    async fn shut(there: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = there.trim_start_matches("https://").to_owned();
        Self {
            here: listener.local_addr().unwrap(),
            there,
        }
    }

    async fn open(&self) -> Open {
        let listener = TcpListener::bind(self.here).await.unwrap();
        let there = self.there.clone();
        let task = tokio::spawn(async move {
            let mut visitors = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let there = there.clone();
                visitors.spawn(async move {
                    let mut far = TcpStream::connect(there).await.unwrap();
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Open(task.abort_handle())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_openbao_the_start_ends_with_code_5_after_the_grace_time() {
    let mut world = World::new().await;
    let gate = Gate::shut(world.bao.address()).await;
    world
        .stage
        .set("openbao.address", format!("https://{}", gate.here));
    world.stage.set("bootstrap.graceTimeout", "3s");
    world.stage.set("bootstrap.onTimeout", "exit");
    let provider = Provider::start(&world.stage);
    provider.unhealthy("metadata_not_probed").await;
    assert_eq!(provider.http("health", "GET", "/live").await.code, 200);
    provider
        .logged("auth.login", "error_class", "openbao_connection_failed")
        .await;
    let ended = provider.ended().await;
    assert_eq!(ended.code, Some(5), "{}", ended.text);
    assert!(
        ended.text.contains("not healthy within 3s"),
        "{}",
        ended.text
    );
    assert!(!world.stage.socket().exists(), "the socket was left behind");

    // The supervisor's next start, when the cause is gone.
    let _open = gate.open().await;
    patient(&mut world);
    world.healthy().await;
}

/// A start on a busy machine may take longer than the grace time of a test.
fn patient(world: &mut World) {
    world.stage.set("bootstrap.graceTimeout", "60s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_keeps_openbao_from_answering_the_grace_time_ends_the_start_with_code_5() {
    let cases: [(Act, Act, &str); 3] = [
        (
            |world| world.control().seal(),
            |world| world.control().unseal(),
            "openbao_sealed",
        ),
        (
            |world| {
                world.control().fault(Fault::new(Action::Hang));
            },
            |world| world.control().faults_clear(),
            "openbao_unavailable",
        ),
        (
            |world| world.control().upsert(true).unwrap(),
            |world| world.control().upsert(false).unwrap(),
            "upsert_allowed",
        ),
    ];
    join_all(cases.map(async |(away, back, word)| {
        let mut world = World::new().await;
        world.stage.set("auth.loginTimeout", "900ms");
        world.stage.set("bootstrap.graceTimeout", "1500ms");
        world.stage.set("bootstrap.onTimeout", "exit");
        away(&world);
        let ended = Provider::start(&world.stage).ended().await;
        assert_eq!(ended.code, Some(5), "{}", ended.text);
        assert!(ended.text.contains(word), "{word}: {}", ended.text);
        assert!(
            ended.text.contains("not healthy within 1.5s"),
            "{}",
            ended.text
        );
        assert!(!world.stage.socket().exists());
        assert_eq!(world.stage.pair(), [None, None]);
        back(&world);
        patient(&mut world);
        world.healthy().await;
    }))
    .await;
}

/// What happens to OpenBao.
type Act = fn(&World);

struct Case {
    class: &'static str,
    code: Code,
}

/// Past data; OpenBao is away at the next start, and comes later.
async fn waited_for(case: Case, away: Act, back: Act) {
    let mut world = World::new().await;
    world.stage.set("bootstrap.graceTimeout", "100ms");
    world.stage.set("auth.loginTimeout", "1s");
    let sealed = world.with_past().await;
    let pair = world.stage.pair();
    away(&world);
    let provider = Provider::start(&world.stage);
    provider
        .logged("auth.login", "error_class", case.class)
        .await;
    provider.unhealthy("metadata_not_probed").await;
    let mut client = provider.client().await;
    let encrypted = refused(Sealed::try_make(&mut client).await);
    assert_eq!(encrypted, (Code::FailedPrecondition, "status_stale".into()));
    let mut hurried = provider.hurried_client().await;
    let opened = refused(sealed.open(&mut hurried).await);
    assert_eq!(opened, (case.code, case.class.into()));

    back(&world);
    assert_eq!(provider.healthy().await, sealed.key_id);
    sealed.open(&mut client).await.unwrap();
    assert_eq!(world.stage.pair(), pair);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_stays_says_what_is_missing_and_works_when_it_comes() {
    let cases: [(Case, Act, Act); 3] = [
        (
            Case {
                class: "openbao_sealed",
                code: Code::Unavailable,
            },
            |world| world.control().seal(),
            |world| world.control().unseal(),
        ),
        (
            Case {
                class: "openbao_unavailable",
                code: Code::Unavailable,
            },
            |world| {
                world.control().fault(Fault::new(Action::Hang));
            },
            |world| world.control().faults_clear(),
        ),
        (
            Case {
                class: "openbao_rate_limited",
                code: Code::ResourceExhausted,
            },
            |world| {
                world
                    .control()
                    .fault(Fault::new(Action::error(429, "request path quota")));
            },
            |world| world.control().faults_clear(),
        ),
    ];
    join_all(cases.map(|(case, away, back)| waited_for(case, away, back))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_work_as_soon_as_transit_answers_whatever_keeps_status_unhealthy() {
    let mut world = World::new().await;
    let sealed = world.with_past().await;
    let gate = Gate::shut(world.bao.address()).await;
    world
        .stage
        .set("openbao.address", format!("https://{}", gate.here));
    world.control().upsert(true).unwrap();
    let provider = Provider::start(&world.stage);
    provider
        .logged("auth.login", "error_class", "openbao_connection_failed")
        .await;
    let mut client = provider.client().await;
    let mut hurried = provider.hurried_client().await;
    let opened = refused(sealed.open(&mut hurried).await);
    assert_eq!(
        opened,
        (Code::Unavailable, "openbao_connection_failed".into())
    );

    let _open = gate.open().await;
    provider.unhealthy("upsert_allowed").await;
    sealed.open(&mut client).await.unwrap();
    assert_eq!(provider.status().await.healthz, "unhealthy");
    world.control().upsert(false).unwrap();
    assert_eq!(provider.healthy().await, sealed.key_id);
}
