//! The socket of an agent that runs pods on a runtime of memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use agent::{
    Agent, ContainerRequest, Launch, Launched, Loaded, Manifests, Refused, Said, SandboxRequest,
    Source,
};
use cri::v1::{
    ContainerConfig, ContainerStatus, LinuxPodSandboxConfig, LinuxSandboxSecurityContext,
    NamespaceMode, NamespaceOption, PodSandboxConfig,
};
use fake_cri::fake::{Fake, FakeImage, TokioClock};
use futures_util::future::BoxFuture;
use launch::logs::Logs;
use manifests::view::Decoder as _;
use pace::Clock;
use pod::{Node, Pod};
use podctl::{Command, Desk, Form, request};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::watch,
    task::JoinSet,
    time::sleep,
};

use super::*;
use crate::{annals::Annals, documents::Place};

/// For anything to happen, on a machine that does other things besides.
const PATIENCE: Duration = Duration::from_secs(60);
const IMAGE: &str = "registry.example/work:1";

/// A host on which nothing has to be prepared.
struct Plain;

impl Launch for Plain {
    fn sandbox(
        &self,
        _: SandboxRequest,
    ) -> BoxFuture<'_, Result<Launched<PodSandboxConfig>, Refused>> {
        let mut options = NamespaceOption::default();
        options.set_network(NamespaceMode::Node);
        let config = PodSandboxConfig {
            linux: Some(LinuxPodSandboxConfig {
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(options),
                    ..LinuxSandboxSecurityContext::default()
                }),
                ..LinuxPodSandboxConfig::default()
            }),
            ..PodSandboxConfig::default()
        };
        Box::pin(async move {
            Ok(Launched {
                config,
                handler: String::new(),
            })
        })
    }

    fn container(
        &self,
        _: ContainerRequest,
    ) -> BoxFuture<'_, Result<Launched<ContainerConfig>, Refused>> {
        Box::pin(async { Ok(Launched::default()) })
    }

    fn started(&self, _: ContainerRequest, _: String) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn last_words(&self, _: ContainerStatus, _: usize) -> BoxFuture<'_, String> {
        Box::pin(async { String::new() })
    }

    fn clean(&self, _: String, _: bool) -> BoxFuture<'_, Result<(), Refused>> {
        Box::pin(async { Ok(()) })
    }

    fn logged(&self, _: Arc<Pod>) -> BoxFuture<'_, BTreeMap<String, u32>> {
        Box::pin(async { BTreeMap::new() })
    }

    fn leftovers(&self) -> BoxFuture<'_, BTreeSet<String>> {
        Box::pin(async { BTreeSet::new() })
    }
}

struct House {
    says: watch::Sender<Said>,
    home: tempfile::TempDir,
    decoder: Manifests,
    /// Agent and door; they go with the house.
    _tasks: JoinSet<()>,
}

/// What a command printed, its remarks, and how it ended.
struct Ended {
    out: String,
    err: String,
    code: Result<u8, String>,
}

impl House {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new(1_700_000_000));
        let fake = Fake::new(Arc::clone(&clock)).without_logs();
        let _ = fake.add_image(FakeImage::workload(IMAGE, &["hang"]));
        let says = watch::Sender::new(Said {
            complete: true,
            ..Said::default()
        });
        let root = home.path().join("root");
        fs::create_dir(&root).unwrap();
        let settings = agent::Settings::new(root, "unix:///fake".into(), "boot".into());
        let annals = Arc::new(Annals::new(Arc::clone(&clock)));
        let notes = Arc::clone(&annals);
        let (agent, _) = Agent::new(
            settings,
            Arc::new(fake.clone()),
            Arc::new(Plain),
            vec![Source::Given("/m".into(), says.subscribe())],
            Arc::clone(&clock),
            Arc::new(move |event| notes.note(event)),
        )
        .unwrap();
        let office = Office {
            agent: agent.handle(),
            runtime: Arc::new(fake),
            annals,
            place: Place {
                node: "n1".into(),
                runtime: "unix:///fake".into(),
            },
            logs: Logs {
                pods: home.path().join("pods"),
                links: home.path().join("links"),
            },
            clock: Arc::clone(&clock),
        };
        let door = Door::open(&home.path().join("run/agent.sock")).unwrap();
        let mut tasks = JoinSet::new();
        let _ = tasks.spawn(async move {
            agent.run(std::future::pending()).await.unwrap();
        });
        let _ = tasks.spawn(async move { match door.serve(Arc::new(office)).await {} });
        let node = Node {
            name: "n1".into(),
            suffix: true,
        };
        Self {
            decoder: Manifests::new("/m".into(), node, None, clock),
            says,
            home,
            _tasks: tasks,
        }
    }

    fn socket(&self) -> PathBuf {
        self.home.path().join("run/agent.sock")
    }

    fn want(&self, names: &[&str]) {
        let pod = |name: &&str| -> Loaded {
            let text = format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, uid: u-{name}}}\n\
                 spec: {{hostNetwork: true, terminationGracePeriodSeconds: 1, containers: [{{name: c, image: '{IMAGE}'}}]}}\n"
            );
            let path = format!("/m/{name}.yaml");
            self.decoder
                .file(Path::new(&path), text.as_bytes())
                .unwrap()
        };
        let _ = self.says.send_replace(Said {
            complete: true,
            pods: names.iter().map(pod).collect(),
            ..Said::default()
        });
    }

    async fn ask(&self, command: Command) -> Ended {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut desk = Desk {
            out: &mut out,
            err: &mut err,
        };
        let code = podctl::run(self.socket(), command, &mut desk).await;
        Ended {
            out: String::from_utf8(out).unwrap(),
            err: String::from_utf8(err).unwrap(),
            code: code.map_err(|fault| fault.to_string()),
        }
    }

    async fn pods(&self) -> Ended {
        self.ask(Command::GetPods {
            names: Vec::new(),
            namespace: Some("default".into()),
            form: Form::Table,
            watch: false,
        })
        .await
    }

    async fn until(&self, what: &str) {
        let waiting = async {
            while !self.pods().await.out.contains(what) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    }

    async fn logs(&self, request: request::Logs) -> Ended {
        self.ask(Command::Logs {
            namespace: None,
            container: None,
            request: request::Logs {
                pod: "web".into(),
                ..request
            },
        })
        .await
    }

    fn log(&self, attempt: u32, word: &str) {
        let folder = self.home.path().join("pods/default_web-n1_u-web/c");
        fs::create_dir_all(&folder).unwrap();
        let text = format!("2026-11-21T22:00:00.000000001Z stdout F {word}\n");
        fs::write(folder.join(format!("{attempt}.log")), text).unwrap();
    }

    /// Status line and body of an answer.
    async fn raw(&self, request: &str, body: &str) -> (String, String) {
        let mut stream = UnixStream::connect(self.socket()).await.unwrap();
        let head = format!(
            "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // An end with something unread is a rough one.
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.lines().next().unwrap().to_owned();
        (status, body.to_owned())
    }
}

#[tokio::test]
async fn pods_come_and_are_shown_restarted_stopped_and_started() {
    let house = House::new();
    let empty = house.pods().await;
    assert_eq!((&*empty.out, empty.code), ("", Ok(0)));
    assert_eq!(empty.err, "No pods found in default namespace.\n");
    house.want(&["web", "log"]);
    house.until("log-n1   1/1     Running   0").await;
    house.until("web-n1   1/1     Running   0").await;

    let restart = |pod: &str, container: Option<&str>| Command::Restart {
        pod: pod.into(),
        namespace: None,
        container: container.map(Into::into),
    };
    let done = house.ask(restart("web", Some("c"))).await;
    assert_eq!(done.out, "container c of pod/web-n1 is restarted\n");
    house.until("web-n1   1/1     Running   1").await;
    let missing = house.ask(restart("web", Some("d"))).await.code;
    let expected = "container d not found in pod web-n1, which has: c";
    assert_eq!(missing, Err(expected.to_owned()));

    let exec = Command::Exec {
        namespace: None,
        container: None,
        request: request::Exec {
            pod: "log".into(),
            command: vec!["/work".into()],
            ..request::Exec::default()
        },
    };
    // The runtime of memory gives an address at which nobody listens.
    let refused = house.ask(exec).await.code.unwrap_err();
    assert!(
        refused.contains("the runtime's streams at http://127.0.0.1:1"),
        "{refused}"
    );

    let grace_seconds = Some(1);
    let stopped = house.ask(Command::StopAll { grace_seconds }).await;
    assert_eq!(stopped.code, Ok(0));
    let halted = house.pods().await;
    assert!(
        halted
            .err
            .contains("nothing starts before staticpodd start-all")
    );
    assert!(!halted.out.contains("1/1"), "{}", halted.out);
    assert_eq!(house.ask(Command::StartAll).await.code, Ok(0));
    house.until("log-n1   1/1     Running").await;
    let again = house.ask(Command::StartAll).await.code.unwrap_err();
    assert!(again.contains("nothing was told to stop"), "{again}");

    let told = house.ask(Command::Describe {
        pod: "web".into(),
        namespace: None,
    });
    let told = told.await.out;
    assert!(
        told.contains("Stopping container c: a restart was asked for"),
        "{told}"
    );
}

#[tokio::test]
async fn logs_are_those_of_the_instance_that_is_meant() {
    let house = House::new();
    house.want(&["web"]);
    house.until("web-n1   1/1").await;
    let waiting = house.logs(request::Logs::default()).await.code.unwrap_err();
    assert!(
        waiting.contains("\"c\" in pod \"default/web-n1\" is waiting to start"),
        "{waiting}"
    );
    house.log(0, "zero");
    assert_eq!(house.logs(request::Logs::default()).await.out, "zero\n");
    let previous = || request::Logs {
        previous: true,
        ..request::Logs::default()
    };
    let none = house.logs(previous()).await.code.unwrap_err();
    let expected = "previous terminated container \"c\" in pod \"default/web-n1\" not found";
    assert_eq!(none, expected);
    house.log(1, "one");
    assert_eq!(house.logs(request::Logs::default()).await.out, "one\n");
    assert_eq!(house.logs(previous()).await.out, "zero\n");
    let tail = request::Logs {
        tail: Some(0),
        ..request::Logs::default()
    };
    assert_eq!(house.logs(tail).await.out, "");
    // Followed until the pod is gone.
    let follow = request::Logs {
        follow: true,
        ..request::Logs::default()
    };
    let leaving = async {
        sleep(Duration::from_millis(300)).await;
        house.log(2, "two");
        sleep(Duration::from_millis(300)).await;
        house.want(&[]);
    };
    let (followed, ()) = tokio::join!(house.logs(follow), leaving);
    assert_eq!(followed.out, "one\ntwo\n");
}

#[tokio::test]
async fn what_is_not_understood_is_refused_with_a_reason() {
    let house = House::new();
    for (request, body, status, reason) in [
        (
            "GET /nothing",
            "",
            "404",
            "there is nothing to GET at /nothing",
        ),
        ("GET /v1/restart", "", "404", "there is nothing to GET"),
        ("POST /v1/restart", "{", "400", "the request: "),
        (
            "POST /v1/restart",
            "{\"namespace\":\"a\",\"pod\":\"b\",\"x\":1}",
            "400",
            "x",
        ),
        (
            "POST /v1/restart",
            "{\"namespace\":\"a\",\"pod\":\"b\"}",
            "404",
            "pod a/b is not known",
        ),
        ("POST /v1/exec", "{}", "426", "SPDY/3.1"),
    ] {
        let (found, said) = house.raw(request, body).await;
        assert!(found.contains(status), "{request}: {found}");
        assert!(said.contains(reason), "{request}: {said}");
    }
    let long = " ".repeat(300 * 1024);
    let (found, _) = house.raw("POST /v1/restart", &long).await;
    assert!(found.contains("400"), "{found}");
    let (found, said) = house.raw("GET /pods", "").await;
    assert!(found.contains("200"), "{found}");
    assert!(said.contains("\"kind\":\"PodList\""), "{said}");
}

#[tokio::test]
async fn who_watches_hears_of_every_change() {
    let house = House::new();
    let mut stream = UnixStream::connect(house.socket()).await.unwrap();
    let head = "GET /v1/watch HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let mut hear = async |what: &str| {
        let hearing = async {
            while !String::from_utf8_lossy(&heard).contains(what) {
                assert!(stream.read_buf(&mut heard).await.unwrap() > 0);
            }
        };
        tokio::time::timeout(PATIENCE, hearing).await.unwrap();
        heard.clear();
    };
    hear("\"pods\":[]").await;
    house.want(&["web"]);
    hear("\"web-n1\"").await;
    house.want(&[]);
    hear("\"pods\":[]").await;
}
