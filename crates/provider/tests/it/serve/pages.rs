//! `/live`, `/ready` and `/metrics`, compared with what the documentation promises.

use std::collections::{BTreeMap, BTreeSet};

use tokio::{io::AsyncWriteExt as _, net::UnixStream};

use super::{
    child::Provider,
    world::{Sealed, World, until},
};

const DOCUMENT: &str = include_str!("../../../../../docs/observability.md");

/// Kind and labels of a family.
type Family = (String, BTreeSet<String>);

fn family(kind: &str, labels: &[&str]) -> Family {
    (
        kind.to_owned(),
        labels.iter().map(|&label| label.to_owned()).collect(),
    )
}

/// What dashboards and alerts are written against: never renamed.
const PROMISED: [(&str, &str, &[&str]); 27] = [
    ("grpc_requests_total", "counter", &["method", "status"]),
    ("grpc_duration_seconds", "histogram", &["method"]),
    ("grpc_in_flight", "gauge", &["method"]),
    ("grpc_concurrency_rejections_total", "counter", &["method"]),
    (
        "openbao_requests_total",
        "counter",
        &["operation", "status"],
    ),
    ("openbao_duration_seconds", "histogram", &["operation"]),
    ("auth_login_total", "counter", &["status"]),
    ("auth_renewal_total", "counter", &["status"]),
    ("auth_method_info", "gauge", &["method"]),
    ("token_ttl_seconds", "gauge", &[]),
    ("status_key_id_hash", "gauge", &["hash", "sha256"]),
    ("key_version", "gauge", &[]),
    ("status_cache_age_seconds", "gauge", &[]),
    ("status_healthy", "gauge", &[]),
    ("transit_metadata_observation_total", "counter", &["status"]),
    ("rotation_state", "gauge", &["state"]),
    ("state_generation", "gauge", &[]),
    ("state_write_failures_total", "counter", &["file"]),
    ("state_unwritten", "gauge", &["file"]),
    ("aad_validation_errors_total", "counter", &["reason"]),
    ("decrypt_key_id_errors_total", "counter", &["reason"]),
    ("circuit_breaker_state", "gauge", &["kind"]),
    ("panic_recoveries_total", "counter", &["method"]),
    ("socket_restarts_total", "counter", &[]),
    ("log_lines_dropped_total", "counter", &[]),
    ("build_info", "gauge", &["version", "commit"]),
    ("config_identity_info", "gauge", &["fingerprint"]),
];

/// Every family of an exposition.
fn exported(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').unwrap();
            families.insert(name.to_owned(), family(kind, &[]));
        } else if let Some((sample, labels)) = line.split_once('{') {
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| sample.strip_suffix(end));
            let name = base
                .filter(|base| families.contains_key(*base))
                .unwrap_or(sample);
            let labels = labels.rsplit_once('}').unwrap().0;
            let names = labels
                .split("\",")
                .map(|pair| pair.split('=').next().unwrap().to_owned());
            families
                .get_mut(name)
                .unwrap()
                .1
                .extend(names.filter(|name| name != "le"));
        }
    }
    families
}

/// Every family in the tables of the documentation.
fn documented() -> BTreeMap<String, Family> {
    let rows = DOCUMENT
        .lines()
        .filter(|line| line.starts_with("| `openbao_kms_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let labels = cells[3]
            .split(',')
            .map(|label| label.trim().trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        (
            cells[1].trim_matches('`').to_owned(),
            (cells[2].to_owned(), labels),
        )
    })
    .collect()
}

/// A provider to which everything has happened that is counted.
async fn well_travelled(world: &mut World) -> Provider {
    // The lease is an hour: a second less means a renewal every second.
    world.stage.set("auth.loginBeforeTokenExpiry", "3599s");
    let (provider, sealed) = world.with_data().await;
    let mut client = provider.client().await;
    sealed.open(&mut client).await.unwrap();
    let mut forged = sealed.clone();
    forged.annotations.clear();
    forged.open(&mut client).await.unwrap_err();
    let mut forged = sealed.clone();
    let version = "transit-key-version.kms.openbao.org";
    forged.annotations.insert(version.into(), b"7".to_vec());
    forged.open(&mut client).await.unwrap_err();
    forged.key_id = "obk2.none".into();
    forged.open(&mut client).await.unwrap_err();
    let mut stranger = UnixStream::connect(world.stage.socket()).await.unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let happened = [
        "openbao_kms_auth_renewal_total{status=\"ok\"}",
        "openbao_kms_grpc_connections_turned_away_total{reason=\"not_http2\"}",
    ];
    for sample in happened {
        until(sample, async || {
            (provider.metric(sample).await >= Some(1.0)).then_some(())
        })
        .await;
    }
    provider
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_is_what_is_promised_and_what_is_documented() {
    let mut world = World::new().await;
    let provider = well_travelled(&mut world).await;
    let exported = exported(&provider.metrics().await);
    for (name, kind, labels) in PROMISED {
        let name = format!("openbao_kms_{name}");
        assert_eq!(exported.get(&name), Some(&family(kind, labels)), "{name}");
    }
    let documented = documented();
    for (name, family) in &documented {
        assert_eq!(exported.get(name), Some(family), "{name} is documented");
    }
    for name in exported.keys() {
        assert!(
            documented.contains_key(name),
            "{name} is not in docs/observability.md"
        );
    }

    let log = provider.terminated().await.text;
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    for line in lines {
        let event = line["message"].as_str().unwrap();
        assert!(
            DOCUMENT.contains(&format!("| `{event}` |")),
            "{event} is not in docs/observability.md"
        );
        for field in line.as_object().unwrap().keys() {
            assert!(
                DOCUMENT.contains(&format!("`{field}`")),
                "{field} is not in docs/observability.md"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_is_not_ready_and_the_pages_take_no_other_method() {
    let world = World::new().await;
    world.control().seal();
    let provider = Provider::start(&world.stage);
    provider.unhealthy("no_active_key").await;
    // On a busy machine the first login may take too long, which has another class.
    until("a probe that failed for the seal", async || {
        let (_, body) = provider.ready().await;
        (body["probes"]["metadata"]["failing"] == "openbao_sealed").then_some(())
    })
    .await;
    let live = provider.http("health", "GET", "/live").await;
    assert_eq!((live.code, live.body.as_str()), (200, "ok\n"));
    let (code, body) = provider.ready().await;
    assert_eq!((code, &body["ready"]), (503, &false.into()));
    let metadata = &body["probes"]["metadata"];
    assert_eq!(metadata["failing"], "openbao_sealed");
    let reason = metadata["reason"].as_str().unwrap();
    assert!(reason.contains("sealed"), "{reason}");
    let page = provider.http("health", "GET", "/").await.body;
    assert!(page.contains("said\">metadata probe: "), "{page}");
    let since: jiff::Timestamp = metadata["since"].as_str().unwrap().parse().unwrap();
    assert!((0..60).contains(&(jiff::Timestamp::now().as_second() - since.as_second())));
    assert!(metadata["for_seconds"].as_u64() < Some(60));
    // With nothing to encrypt with, there was no deep probe yet.
    let none = serde_json::Value::Null;
    let deep = &body["probes"]["deep"];
    assert_eq!(
        (&deep["failing"], &deep["passed_seconds_ago"]),
        (&none, &none)
    );
    world.control().unseal();
    let key_id = provider.healthy().await;
    let (code, body) = provider.ready().await;
    for kind in ["metadata", "deep"] {
        let probe = &body["probes"][kind];
        assert_eq!((&probe["failing"], &probe["since"]), (&none, &none));
        assert!(probe["passed_seconds_ago"].as_u64() < Some(60), "{body}");
    }
    let state = &body["state"];
    assert_eq!(
        (&state["generation"], &state["trouble"]),
        (&1.into(), &none)
    );
    assert_eq!(
        (code, &body["ready"], &body["login"]),
        (200, &true.into(), &"logged_in".into())
    );
    assert_eq!(body["reasons"], serde_json::json!([]));
    assert_eq!(body["transit_key_version"], 1);
    assert!(
        !body.to_string().contains(&key_id),
        "the key_id itself is nobody's business"
    );
    Sealed::make(&mut provider.client().await).await;

    let page = provider.http("health", "GET", "/").await;
    assert!(page.head.contains("content-type: text/html; charset=utf-8"));
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'")
    );
    for words in [">healthy<", "passed ", "version 1 (", "logged in", " left<"] {
        assert!(page.body.contains(words), "{words} in {}", page.body);
    }
    assert!(!page.body.contains(&key_id));

    for (purpose, path) in [
        ("health", "/"),
        ("health", "/live"),
        ("health", "/ready"),
        ("metrics", "/metrics"),
    ] {
        let head = provider.http(purpose, "HEAD", path).await;
        assert_eq!((head.code, head.body.as_str()), (200, ""), "HEAD {path}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let answer = provider.http(purpose, method, path).await;
            assert_eq!(answer.code, 405, "{method} {path}");
            assert!(answer.head.contains("allow: GET, HEAD"), "{}", answer.head);
        }
    }
    for (purpose, path) in [
        ("health", "/metrics"),
        ("metrics", "/ready"),
        ("health", "/../etc/passwd"),
    ] {
        assert_eq!(
            provider.http(purpose, "GET", path).await.code,
            404,
            "{path}"
        );
    }
}
