use std::{net::Ipv4Addr, path::PathBuf};

use agent::{Manifests, Passes, PodView, SourceView, Waiting};
use manifests::view::{Decoder as _, Report, Status};
use pace::SystemClock;
use plan::{PodKey, Why};
use pod::api;

use super::*;

const WALL: i64 = 1_767_225_600;

fn pod(name: &str) -> PodView {
    let node = pod::Node {
        name: "n1".into(),
        suffix: true,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let decoder = Manifests::new("/m".into(), node, None, clock);
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n\
         spec: {{containers: [{{name: c, image: 'a:1', env: [{{name: A, value: hunter2}}]}}]}}\n"
    );
    let path = format!("/m/{name}.yaml");
    let loaded = decoder.file(std::path::Path::new(&path), text.as_bytes());
    let status = api::ContainerStatus {
        name: "c".into(),
        restart_count: 7,
        state: Some(api::ContainerState {
            waiting: Some(api::ContainerStateWaiting {
                reason: Some("CrashLoopBackOff".into()),
                message: Some("back-off 20s, <b>says</b> \"it\"".into()),
            }),
            ..api::ContainerState::default()
        }),
        ..api::ContainerStatus::default()
    };
    PodView {
        key: PodKey::new("default", format!("{name}-n1")),
        pod: Some(loaded.unwrap().pod),
        status: api::PodStatus {
            phase: Some("Running".into()),
            container_statuses: Some(vec![status]),
            ..api::PodStatus::default()
        },
        ready: false,
        stopping: false,
        seen: None,
        waits: vec![Waiting {
            container: None,
            why: Why::Gate(vec!["path /run/<x> to exist".into()]),
            until: None,
        }],
        source: Some("/m".into()),
    }
}

fn overview() -> Overview {
    let refused = Report {
        origin: PathBuf::from("/m/b<script>.yaml"),
        status: Status::Refused,
        pod: None,
        digest: None,
        accepted: None,
        error: Some("/m/b.yaml:3:1: error: <i>comand</i> is no known field\n   3 | comand: hunter2\n     | ^^^\n     = did you mean 'command'?".into()),
    };
    Overview {
        pods: vec![pod("web")],
        sources: vec![SourceView {
            name: "/m".into(),
            complete: false,
            trouble: None,
            files: vec![Arc::new(refused)],
        }],
        runtime_down: None,
        store_trouble: None,
        passes: Passes {
            count: 3,
            took: Duration::from_millis(1500),
            longest: Duration::from_millis(700),
        },
        halted: false,
        wall: WALL,
    }
}

fn sight() -> Sight {
    let (_, agent) = watch::channel(None);
    Sight {
        agent,
        meter: Arc::default(),
        place: Place {
            node: "n1".into(),
            runtime: "unix:///run/a.sock".into(),
        },
        clock: Arc::new(SystemClock::new()),
        started: WALL,
        dropped: daemon::logging::Log::default().dropped(),
    }
}

fn seen(overview: Overview) -> Look {
    Look::Seen(Box::new(overview))
}

#[test]
fn health_is_that_the_runtime_answers_the_loop_turns_and_sources_are_read() {
    let mut overview = overview();
    assert_eq!(health(&seen(overview.clone())).status, StatusCode::OK);
    assert_eq!(health(&seen(overview.clone())).body, "ok");
    overview.runtime_down = Some("no socket".into());
    overview.sources[0].trouble = Some("gone".into());
    for (look, words) in [
        (
            seen(overview),
            "the runtime does not answer: no socket\n/m cannot be read: gone\n",
        ),
        (Look::Waits, "the runtime has not answered yet\n"),
        (Look::Stuck, "the agent's loop does not answer\n"),
    ] {
        let page = health(&look);
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(page.body, words);
    }
}

#[test]
fn the_page_for_people_shows_what_is_wrong_and_nothing_of_a_manifests_content() {
    let page = front::render(&sight(), &seen(overview()));
    for words in [
        "CrashLoopBackOff",
        "waiting for path /run/&lt;x&gt; to exist",
        "back-off 20s, &lt;b&gt;says&lt;/b&gt; &quot;it&quot;",
        "b&lt;script&gt;.yaml",
        "&lt;i&gt;comand&lt;/i&gt; is no known field",
        "= did you mean &#39;command&#39;?",
        "0/1",
        "refused",
        "1 manifest is not used",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("hunter2"), "{page}");
    assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
    let waits = front::render(&sight(), &Look::Waits);
    assert!(waits.contains("unhealthy") && waits.contains("has not answered yet"));
}

#[test]
fn every_metric_is_told_what_it_is_and_every_line_can_be_read() {
    let sight = sight();
    let fault = cri::Fault::Deadline {
        after: Duration::from_secs(1),
    };
    let call = cri::Call::PullImage;
    sight
        .meter
        .called(call, Duration::from_millis(30), Some(&fault));
    sight.meter.called(call, Duration::from_secs(90), None);
    sight.meter.log_turned(true);
    let mut overview = overview();
    overview.sources[0].name = "/m \"\\\n".into();
    let page = metrics::render(&sight, &seen(overview));
    for line in [
        "staticpodd_runtime_up 1",
        "staticpodd_pods{phase=\"Running\"} 1",
        "staticpodd_pods{phase=\"Failed\"} 0",
        "staticpodd_pod_ready{namespace=\"default\",pod=\"web-n1\"} 0",
        "staticpodd_container_restarts_total{namespace=\"default\",pod=\"web-n1\",container=\"c\"} 7",
        "staticpodd_container_waiting{namespace=\"default\",pod=\"web-n1\",container=\"c\",reason=\"CrashLoopBackOff\"} 1",
        "staticpodd_source_files{source=\"/m \\\"\\\\\\n\",status=\"refused\"} 1",
        "staticpodd_loop_seconds_total 1.5",
        "staticpodd_runtime_call_duration_seconds_bucket{call=\"PullImage\",le=\"0.1\"} 1",
        "staticpodd_runtime_call_duration_seconds_bucket{call=\"PullImage\",le=\"60\"} 1",
        "staticpodd_runtime_call_duration_seconds_bucket{call=\"PullImage\",le=\"+Inf\"} 2",
        "staticpodd_runtime_call_duration_seconds_count{call=\"PullImage\"} 2",
        "staticpodd_runtime_call_failures_total{call=\"PullImage\",reason=\"deadline\"} 1",
        "staticpodd_log_rotations_total{result=\"done\"} 1",
    ] {
        assert!(page.lines().any(|own| own == line), "{line}\n{page}");
    }
    let mut family = String::new();
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(text.ends_with('.'), "{line}");
            family = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            assert!(kind.starts_with(&format!("{family} ")), "{line}");
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(name.starts_with(&family), "{line} in {family}");
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        }
    }
    let waits = metrics::render(&sight, &Look::Waits);
    assert!(waits.contains("staticpodd_runtime_up 0"));
}

/// Every name on the page is explained, and every name that is explained is on the page.
#[test]
fn metrics_are_documented() {
    let page = metrics::render(&sight(), &seen(overview()));
    let of_page = page.lines().filter_map(|line| {
        let help = line.strip_prefix("# HELP ")?;
        help.split(' ').next()
    });
    let of_page: std::collections::BTreeSet<&str> = of_page.collect();
    let document = include_str!("../../../../docs/observability.md");
    let (_, ours) = document.split_once("### staticpodd").unwrap();
    let rows = ours.lines().filter_map(|line| {
        let name = line.strip_prefix("| `")?.split('`').next()?;
        (name.starts_with("staticpodd_") || name.starts_with("process_")).then_some(name)
    });
    let of_document: std::collections::BTreeSet<&str> = rows.collect();
    assert_eq!(of_page, of_document);
}

#[tokio::test]
async fn an_address_that_is_taken_is_waited_for() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let shutdown = Shutdown::default();
    let addresses = Addresses {
        bind: Ipv4Addr::LOCALHOST.into(),
        health: port,
        pods: 0,
    };
    let serving = tokio::spawn(serve(addresses, sight(), shutdown.clone()));
    tokio::task::yield_now().await;
    assert!(!serving.is_finished());
    shutdown.trigger();
    serving.await.unwrap();
}
