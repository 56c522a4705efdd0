//! What an accepted file means: values, defaults, the sample, hostile input.

use std::time::Duration;

use proptest::prelude::{any, prop, prop_assert, proptest};
use yaml::source::Source;

use super::{VALID, read, with};
use crate::config::{AuthMethod, Endpoint, Group, OnTimeout, Overrides, load::parse, schema};

const S: fn(u64) -> Duration = Duration::from_secs;

/// The least that a file must say.
const LEAST: &str = "\
configVersion: v1alpha1
server: {socketGroup: kube}
openbao: {address: 'https://Bao', caCertFile: /ca, tlsServerName: bao, instanceId: i}
auth: {jwt: {mountPath: auth/team/jwt, role: r, jwtFile: /jwt}}
transit:
  mountPath: transit
  keyName: k
  keyIdScope: {providerName: p, clusterId: c, transitMountId: m, keyLineageId: l}
";

#[test]
fn what_a_file_leaves_out_has_its_documented_default() {
    let config = read(LEAST).unwrap();
    let server = &config.server;
    assert_eq!(
        server.socket_path.to_str(),
        Some("/run/openbao-kms/kms.sock")
    );
    assert_eq!(server.socket_mode, 0o660);
    assert_eq!(server.socket_group, Group::Name("kube".into()));
    assert_eq!(
        server.metrics_address.as_ref().unwrap().to_string(),
        "127.0.0.1:8081"
    );
    assert_eq!(
        server.health_address.as_ref().unwrap().to_string(),
        "127.0.0.1:8082"
    );
    assert_eq!(
        (
            server.max_concurrent_status,
            server.max_concurrent_encrypt,
            server.max_concurrent_decrypt
        ),
        (16, 32, 64)
    );
    assert_eq!((server.decrypt_lanes, server.allowed_peers.len()), (4, 0));
    let openbao = &config.openbao;
    assert_eq!(
        openbao.address,
        Endpoint {
            host: "bao".into(),
            port: 443
        }
    );
    assert!(openbao.failover_addresses.is_empty() && openbao.namespace.is_empty());
    assert_eq!(openbao.timeout, S(2));
    let auth = &config.auth;
    assert_eq!(auth.login_before_token_expiry, S(300));
    assert_eq!(auth.token_renewal_increment, S(3600));
    assert_eq!(auth.login_timeout, S(5));
    let AuthMethod::Jwt(jwt) = &auth.method;
    assert_eq!(jwt.mount_path, "team/jwt");
    assert_eq!(
        (jwt.min_remaining_ttl, jwt.clock_skew_leeway),
        (S(120), S(30))
    );
    assert_eq!(jwt.expected_issuer, None);
    assert_eq!(jwt.expected_audience, None);
    assert_eq!(jwt.expected_subject, None);
    assert_eq!(config.transit.expected_fingerprint, None);
    let bootstrap = &config.bootstrap;
    assert_eq!(
        (bootstrap.grace_timeout, bootstrap.retry_interval),
        (S(60), S(5))
    );
    assert_eq!(bootstrap.on_timeout, OnTimeout::Exit);
    let status = &config.status;
    assert_eq!(
        (status.probe_interval, status.deep_probe_interval),
        (S(30), S(300))
    );
    assert_eq!(status.max_staleness, S(120));
    assert_eq!(
        config.state.path.to_str(),
        Some("/var/lib/openbao-kms/state/key-registry.json")
    );
    assert_eq!(config.rotation.activation_delay, S(120));
    assert_eq!(config.rotation.stable_observations, 3);
    assert_eq!(config.logging.level, crate::config::LogLevel::Info);
    assert_eq!(config.logging.format, crate::config::LogFormat::Json);
    assert!(config.logging.openbao_request_ids);
    assert_eq!(config.logging.debug_correlation, None);
}

#[test]
fn a_login_gets_at_least_five_seconds_and_at_least_one_request_unless_told() {
    let timeout = |field, value| read(&with(field, value).0).unwrap().auth.login_timeout;
    assert_eq!(timeout("openbao.timeout", "1s"), S(5));
    assert_eq!(timeout("openbao.timeout", "8s"), S(8));
    assert_eq!(timeout("auth.loginTimeout", "3s"), S(3));
}

#[test]
fn identity_comes_from_the_sections_it_is_spread_over() {
    let config = read(VALID).unwrap();
    let scope = &config.transit.scope;
    assert_eq!(scope.openbao_instance_id, "bao-1");
    assert_eq!(scope.openbao_namespace, "team/kms");
    assert_eq!(scope.key_lineage_id, "lineage-1");
    assert!(config.fingerprint().starts_with("cfg1."));
    let (other, _) = with("openbao.namespace", "team/other");
    assert_ne!(read(&other).unwrap().fingerprint(), config.fingerprint());
    let (same, _) = with("openbao.timeout", "3s");
    assert_eq!(read(&same).unwrap().fingerprint(), config.fingerprint());
}

#[test]
fn an_unexpected_identity_is_a_fault_with_a_position() {
    let fingerprint = read(VALID).unwrap().fingerprint();
    let (text, _) = with("transit.expectedFingerprint", &fingerprint);
    read(&text).unwrap().check_identity().unwrap();
    let moved = text.replace("clusterId: cluster-1", "clusterId: cluster-2");
    let message = read(&moved)
        .unwrap()
        .check_identity()
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("/c.yaml:44:24: transit.expectedFingerprint: is not"),
        "{message}"
    );
}

#[test]
fn the_sample_in_the_documentation_is_valid() {
    let sample = include_str!("../../../../../docs/examples/config.yaml");
    if let Err(error) = parse(Source::new("config.yaml", sample), &Overrides::default()) {
        panic!("{error}");
    }
}

#[test]
fn the_types_decode_whatever_the_schema_accepts() {
    // All stand-ins together: every required field missing.
    let message = super::refusal("{}");
    assert!(!message.contains("does not decode"), "{message}");
    assert!(message.contains("configVersion: is required"), "{message}");
    let schema = schema::schema();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(
        schema["properties"]["server"]["additionalProperties"],
        false
    );
    assert_eq!(
        schema["properties"]["server"]["properties"]["decryptLanes"]["maximum"],
        64
    );
    assert!(!schema.to_string().contains("$ref"));
}

proptest! {
    #[test]
    fn no_text_panics_or_is_shown_beyond_its_line(text in "(\\PC|\n|\t|: |- |[{}\\[\\]\"'&*!%#]){0,80}") {
        let _ = read(&text);
    }

    #[test]
    fn no_damage_to_a_valid_file_panics(
        at in any::<prop::sample::Index>(),
        length in 0_usize..40,
        junk in "\\PC{0,6}",
    ) {
        let start = at.index(VALID.len());
        let end = (start + length).min(VALID.len());
        let text = format!("{}{junk}{}", &VALID[..start], &VALID[end..]);
        if let Err(error) = read(&text) {
            prop_assert!(!error.to_string().contains("does not decode"));
        }
    }

    #[test]
    fn a_value_in_the_wrong_place_is_never_shown(
        field in prop::sample::select(vec![
            "openbao.address", "openbao.caCertFile", "auth.jwt.jwtFile",
        ]),
    ) {
        // A list where text belongs, with a secret in it.
        let (text, _) = with(field, "[correct-horse-battery]");
        let message = super::refusal(&text);
        prop_assert!(!message.contains("correct-horse-battery"), "{}", message);
    }
}

#[test]
fn nesting_and_aliases_do_not_eat_the_machine() {
    for text in [
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "{a: ".repeat(50_000),
    ] {
        assert!(read(&text).is_err());
    }
    let bomb = "a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
    assert!(super::refusal(bomb).contains("alias"));
}
