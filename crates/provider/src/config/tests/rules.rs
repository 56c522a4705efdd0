//! Each rule of each field: what breaks it is refused with the field's path and position.

use yaml::source::Source;

use super::{VALID, overridden, parse, read, refusal, with};
use crate::config::Overrides;

/// Field, a value that must be refused, a part of the message.
const REFUSED: &[(&str, &str, &str)] = &[
    ("configVersion", "v1", "must be 'v1alpha1'"),
    ("server.socketPath", "run/kms.sock", "is not absolute"),
    (
        "server.socketPath",
        "/tmp/kms.sock",
        "not under /run or /var/run",
    ),
    (
        "server.socketPath",
        "/runner/kms.sock",
        "not under /run or /var/run",
    ),
    ("server.socketPath", "/run/../tmp/kms.sock", "'..' segment"),
    ("server.socketPath", "/run//kms.sock", "empty"),
    ("server.socketPath", "/run/kms.sock/", "empty"),
    ("server.socketPath", "\"@kms\"", "abstract"),
    ("server.socketPath", "\"\"", "is required"),
    ("server.socketMode", "\"0666\"", "every user"),
    ("server.socketMode", "\"0662\"", "every user"),
    ("server.socketMode", "\"0770\"", "execute"),
    ("server.socketMode", "\"0760\"", "execute"),
    ("server.socketMode", "\"4660\"", "set-id"),
    ("server.socketMode", "\"0680\"", "octal"),
    ("server.socketMode", "rw-rw----", "octal"),
    ("server.socketMode", "\"00660\"", "octal"),
    ("server.socketMode", "\"\"", "octal"),
    ("server.socketGroup", "\"\"", "is required"),
    ("server.socketGroup", "\"4294967295\"", "no group id"),
    ("server.socketGroup", "\"99999999999\"", "no group id"),
    ("server.socketGroup", "a:b", "no group name"),
    ("server.socketGroup", "\" kube\"", "white space"),
    ("server.metricsAddress", "localhost", "port"),
    ("server.metricsAddress", "\":8081\"", "no host"),
    ("server.metricsAddress", "127.0.0.1:65536", "port"),
    ("server.metricsAddress", "127.0.0.1:http", "port"),
    (
        "server.metricsAddress",
        "::1:8081",
        "neither host:port nor off",
    ),
    ("server.metricsAddress", "\"OFF\"", "port"),
    ("server.healthAddress", "bad host:80", "no name and no IP"),
    (
        "server.healthAddress",
        "127.0.0.1:8081",
        "the same as server.metricsAddress",
    ),
    ("server.maxConcurrentStatus", "0", "from 1 to 1024"),
    ("server.maxConcurrentStatus", "1025", "from 1 to 1024"),
    ("server.maxConcurrentEncrypt", "0", "from 1 to 1024"),
    ("server.maxConcurrentEncrypt", "1025", "from 1 to 1024"),
    ("server.maxConcurrentDecrypt", "0", "from 1 to 1024"),
    ("server.maxConcurrentDecrypt", "1025", "from 1 to 1024"),
    ("server.decryptLanes", "0", "from 1 to 64"),
    ("server.decryptLanes", "65", "from 1 to 64"),
    ("server.decryptLanes", "4.0", "whole number"),
    ("server.decryptLanes", "\"4\"", "whole number"),
    ("server.decryptLanes", "1_0", "whole number"),
    ("server.decryptLanes", "0x4", "whole number"),
    ("server.decryptLanes", "04", "whole number"),
    ("server.decryptLanes", "-4", "whole number"),
    ("server.allowedPeers", "0", "must be a list"),
    ("openbao.address", "http://bao:8200", "no https URL"),
    ("openbao.address", "bao:8200", "no https URL"),
    ("openbao.address", "https://", "no name and no IP"),
    ("openbao.address", "https://u:p@bao:8200", "user info"),
    (
        "openbao.address",
        "https://bao:8200/",
        "path, query or fragment",
    ),
    (
        "openbao.address",
        "https://bao:8200/v1",
        "path, query or fragment",
    ),
    (
        "openbao.address",
        "https://bao:8200?x=1",
        "path, query or fragment",
    ),
    (
        "openbao.address",
        "\"https://bao:8200#x\"",
        "path, query or fragment",
    ),
    ("openbao.address", "https://bao:0", "port"),
    ("openbao.address", "https://bao:99999", "port"),
    ("openbao.address", "https://[::1", "told apart"),
    ("openbao.address", "\"\"", "is required"),
    ("openbao.namespace", "/team", "starts with a slash"),
    ("openbao.namespace", "team/", "empty"),
    ("openbao.namespace", "a//b", "empty"),
    ("openbao.namespace", "a/./b", "segment"),
    ("openbao.namespace", "a/../b", "segment"),
    ("openbao.namespace", "a%2Fb", "'%'"),
    ("openbao.namespace", "\"a\\tb\"", "control character"),
    ("openbao.caCertFile", "\"\"", "is required"),
    ("openbao.tlsServerName", "\"\"", "is required"),
    ("openbao.tlsServerName", "https://bao", "no DNS name"),
    ("openbao.tlsServerName", "bao:8200", "no DNS name"),
    ("openbao.timeout", "0s", "above zero"),
    ("openbao.timeout", "-2s", "is negative"),
    ("openbao.timeout", "2", "without a unit"),
    ("openbao.timeout", "2 s", "unknown unit"),
    ("openbao.timeout", "1d", "unknown unit"),
    (
        "openbao.timeout",
        "2m",
        "clashes with status.statusMaxStaleness",
    ),
    ("openbao.instanceId", "\"\"", "is required"),
    ("openbao.instanceId", "\" bao\"", "white space"),
    ("openbao.instanceId", "\"b\\u0007o\"", "control character"),
    ("auth.method", "token", "must be one of jwt, cert, approle"),
    ("auth.method", "approle", "this build supports method jwt"),
    ("auth.method", "cert", "this build supports method jwt"),
    ("auth.loginBeforeTokenExpiry", "0s", "above zero"),
    ("auth.tokenRenewalIncrement", "0s", "above zero"),
    ("auth.loginTimeout", "-1s", "is negative"),
    (
        "auth.jwt.source",
        "vault",
        "must be one of file, oauth2, spiffe",
    ),
    (
        "auth.jwt.source",
        "oauth2",
        "this build supports source file",
    ),
    (
        "auth.jwt.source",
        "spiffe",
        "this build supports source file",
    ),
    ("auth.jwt.mountPath", "\"\"", "is required"),
    ("auth.jwt.mountPath", "/auth/jwt", "starts with a slash"),
    ("auth.jwt.role", "\"\"", "is required"),
    ("auth.jwt.role", "\"kms \"", "white space"),
    ("auth.jwt.jwtFile", "\"\"", "is required"),
    ("auth.jwt.minRemainingTtl", "soon", "is not a duration"),
    ("auth.jwt.clockSkewLeeway", "1h 30m", "unknown unit"),
    ("auth.jwt.expectedIssuer", "\" x\"", "white space"),
    ("auth.jwt.expectedAudience", "\"x \"", "white space"),
    ("auth.jwt.expectedSubject", "\"x\\n\"", "white space"),
    ("transit.mountPath", "\"\"", "is required"),
    ("transit.mountPath", "/transit", "starts with a slash"),
    ("transit.mountPath", "transit/", "empty"),
    ("transit.keyName", "\"\"", "is required"),
    ("transit.keyName", "a/b", "has a '/'"),
    ("transit.keyName", "a%62", "'%'"),
    ("transit.keyName", "..", "segment"),
    ("transit.keyIdScope.providerName", "\"\"", "is required"),
    ("transit.keyIdScope.providerName", "\"a \"", "white space"),
    (
        "transit.keyIdScope.clusterId",
        "\"\\u007f\"",
        "control character",
    ),
    (
        "transit.keyIdScope.transitMountId",
        "\"\\u00a0a\"",
        "white space",
    ),
    ("transit.keyIdScope.keyLineageId", "\"a\\n\"", "white space"),
    (
        "transit.expectedFingerprint",
        "cfg1.short",
        "no identity fingerprint",
    ),
    ("bootstrap.graceTimeout", "-60s", "is negative"),
    ("bootstrap.retryInterval", "0s", "above zero"),
    ("bootstrap.onTimeout", "wait", "must be one of exit, stay"),
    ("status.probeInterval", "0s", "above zero"),
    ("status.deepProbeInterval", "0s", "above zero"),
    ("status.statusMaxStaleness", "0s", "above zero"),
    (
        "status.statusMaxStaleness",
        "59s",
        "clashes with status.probeInterval",
    ),
    ("state.path", "key-registry.json", "is not absolute"),
    ("state.path", "/var/lib/../x", "segment"),
    ("rotation.mode", "automatic", "must be 'observed'"),
    ("rotation.activationDelay", "24h1s", "longer than 24h"),
    ("rotation.activationDelay", "-1s", "is negative"),
    (
        "rotation.requireStableObservationCount",
        "0",
        "from 1 to 100",
    ),
    (
        "rotation.requireStableObservationCount",
        "101",
        "from 1 to 100",
    ),
    ("rotation.rejectVersionRollback", "false", "must be true"),
    (
        "rotation.rejectVersionRollback",
        "yes",
        "must be true or false",
    ),
    (
        "rotation.rejectVersionRollback",
        "\"true\"",
        "must be true or false",
    ),
    (
        "logging.level",
        "verbose",
        "must be one of trace, debug, info, warn, error",
    ),
    ("logging.level", "INFO", "must be one of"),
    ("logging.format", "xml", "must be one of json, text"),
    (
        "logging.logOpenBaoRequestIDs",
        "on",
        "must be true or false",
    ),
    (
        "logging.debugCorrelation.enabled",
        "true",
        "needs logging.level debug",
    ),
    ("logging.debugCorrelation.ttl", "0s", "above 0"),
    ("logging.debugCorrelation.ttl", "1h1s", "at most 1h"),
];

/// Values at the edge of a rule, on its good side.
const ACCEPTED: &[(&str, &str)] = &[
    ("server.socketPath", "/var/run/x/kms.sock"),
    ("server.socketPath", "/run/user/1000/kms.sock"),
    ("server.socketMode", "\"660\""),
    ("server.socketMode", "0600"),
    ("server.socketGroup", "65532"),
    ("server.socketGroup", "kube-apiserver"),
    ("server.socketGroup", "\"4294967294\""),
    ("server.metricsAddress", "off"),
    ("server.metricsAddress", "\"[::1]:8081\""),
    ("server.healthAddress", "localhost:0"),
    ("server.maxConcurrentDecrypt", "1024"),
    ("server.decryptLanes", "64"),
    ("server.allowedPeers", "[0, 65532]"),
    ("openbao.address", "https://bao"),
    ("openbao.address", "https://[2001:db8::1]:8200"),
    ("openbao.failoverAddresses", "[]"),
    ("openbao.caCertFile", "ca.pem"),
    ("auth.jwt.jwtFile", "./tokens/../token"),
    ("openbao.namespace", "\"\""),
    ("openbao.namespace", "Ä/ö"),
    ("openbao.tlsServerName", "10.0.0.1"),
    ("openbao.timeout", "1m59s"),
    ("auth.loginTimeout", "30s"),
    ("auth.jwt.mountPath", "jwt"),
    ("auth.jwt.minRemainingTtl", "0"),
    ("auth.jwt.expectedIssuer", "\"\""),
    ("bootstrap.graceTimeout", "0s"),
    ("bootstrap.onTimeout", "stay"),
    ("status.statusMaxStaleness", "60s"),
    ("rotation.activationDelay", "24h"),
    ("rotation.activationDelay", "0s"),
    ("rotation.requireStableObservationCount", "100"),
    ("logging.level", "trace"),
    ("logging.format", "text"),
];

#[test]
fn every_broken_rule_names_its_field_and_its_position() {
    for (field, value, part) in REFUSED {
        let (text, position) = with(field, value);
        let message = refusal(&text);
        let first = message
            .lines()
            .find(|line| line.contains(part))
            .unwrap_or_else(|| panic!("{field}: {value}: no '{part}' in\n{message}"));
        // A list's complaint is about its own field or one inside it.
        assert!(
            first.contains(&format!("{field}: ")) && first.starts_with(&position),
            "{field}: {value}: {position} expected, got\n{message}"
        );
    }
}

#[test]
fn values_at_the_edge_of_a_rule_are_accepted() {
    assert!(read(VALID).is_ok());
    for (field, value) in ACCEPTED {
        let (text, _) = with(field, value);
        if let Err(error) = read(&text) {
            panic!("{field}: {value}\n{error}");
        }
    }
}

#[test]
fn every_required_field_is_missed_where_its_section_starts() {
    for (field, section) in [
        ("configVersion", "/c.yaml"),
        ("server.socketGroup", "/c.yaml:2:1"),
        ("openbao.address", "/c.yaml:13:1"),
        ("openbao.caCertFile", "/c.yaml:13:1"),
        ("openbao.tlsServerName", "/c.yaml:13:1"),
        ("openbao.instanceId", "/c.yaml:13:1"),
        ("auth.jwt.mountPath", "/c.yaml:26:3"),
        ("auth.jwt.role", "/c.yaml:26:3"),
        ("auth.jwt.jwtFile", "/c.yaml:26:3"),
        ("transit.mountPath", "/c.yaml:"),
        ("transit.keyName", "/c.yaml:"),
        ("transit.keyIdScope.providerName", "/c.yaml:"),
        ("transit.keyIdScope.clusterId", "/c.yaml:"),
        ("transit.keyIdScope.transitMountId", "/c.yaml:"),
        ("transit.keyIdScope.keyLineageId", "/c.yaml:"),
    ] {
        let message = refusal(&with(field, "").0);
        let first = message.lines().next().unwrap();
        assert!(
            first.starts_with(section) && first.contains(&format!("{field}: is required")),
            "{message}"
        );
        assert!(message.contains("1 problem in"), "{message}");
    }
}

#[test]
fn a_socket_path_may_have_107_bytes_and_no_more() {
    let path = |length: usize| format!("/run/{}", "a".repeat(length - 5));
    assert!(read(&with("server.socketPath", &path(107)).0).is_ok());
    assert!(refusal(&with("server.socketPath", &path(108)).0).contains("107 bytes"));
}

#[test]
fn content_instead_of_a_path_is_recognised_and_not_repeated() {
    for content in [
        "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
        "-----BEGIN CERTIFICATE-----",
    ] {
        let message = refusal(&with("auth.jwt.jwtFile", &format!("{content:?}")).0);
        assert!(message.contains("content instead of a path"), "{message}");
        assert!(!message.contains(content), "{message}");
    }
}

#[test]
fn a_failover_address_is_another_endpoint_of_the_same_kind() {
    for (list, part, field) in [
        (
            "[http://bao-1]",
            "no https URL",
            "openbao.failoverAddresses[0]",
        ),
        (
            "[https://a, \"\"]",
            "is required",
            "openbao.failoverAddresses[1]",
        ),
        (
            "[https://BAO.example.com:8200]",
            "listed already",
            "openbao.failoverAddresses[0]",
        ),
        (
            "[https://a, https://a:443]",
            "listed already",
            "openbao.failoverAddresses[1]",
        ),
    ] {
        let message = refusal(&with("openbao.failoverAddresses", list).0);
        assert!(
            message.contains(part) && message.contains(field),
            "{message}"
        );
        assert!(message.contains("/c.yaml:15:"), "{message}");
    }
}

#[test]
fn debug_correlation_needs_its_level_its_request_ids_and_its_incident() {
    let on = |level: &str, ids: &str, incident: &str| {
        let text = VALID
            .replace("level: info", &format!("level: {level}"))
            .replace("IDs: true", &format!("IDs: {ids}"))
            .replace("enabled: false", "enabled: true")
            .replace("incidentId: \"\"", &format!("incidentId: \"{incident}\""));
        read(&text).map_err(|error| error.to_string())
    };
    let config = on("debug", "true", "INC-1").unwrap();
    let correlation = config.logging.debug_correlation.unwrap();
    assert_eq!(correlation.incident_id, "INC-1");
    assert_eq!(correlation.ttl.as_secs(), 900);
    assert!(on("debug", "true", &"i".repeat(64)).is_ok());
    assert!(
        on("debug", "true", &"i".repeat(65))
            .unwrap_err()
            .contains("64 characters")
    );
    assert!(
        on("debug", "false", "INC-1")
            .unwrap_err()
            .contains("needs logging.logOpenBaoRequestIDs")
    );
    assert!(
        on("debug", "true", "")
            .unwrap_err()
            .contains("needs logging.debugCorrelation.incidentId")
    );
    let all = on("info", "false", "").unwrap_err();
    assert!(all.contains("3 problems"), "{all}");
}

/// The message about [`VALID`] with another section `auth`.
fn auth(section: &str) -> String {
    let start = VALID.find("auth:\n").unwrap();
    let end = VALID.find("transit:\n").unwrap();
    refusal(&format!("{}{section}{}", &VALID[..start], &VALID[end..]))
}

#[test]
fn a_method_that_cannot_be_used_is_the_only_complaint_until_its_section_is_written() {
    for (method, fault) in [
        ("token", "must be one of jwt, cert, approle"),
        ("cert", "is not supported: this build supports method jwt"),
        (
            "approle",
            "is not supported: this build supports method jwt",
        ),
    ] {
        for rest in ["", "  jwt: {}\n", "  jwt: {role: r}\n"] {
            let message = auth(&format!("auth:\n  method: {method}\n{rest}"));
            let first = message.lines().next().unwrap();
            assert!(
                first.contains(&format!("auth.method: {fault}")),
                "{message}"
            );
            assert!(message.contains("1 problem"), "{message}");
        }
    }
}

#[test]
fn methods_of_later_builds_are_refused_and_what_is_written_for_them_is_judged_all_the_same() {
    for (section, parts) in [
        (
            "auth:\n  method: cert\n  cert: {mountPath: '', minRemainingTtl: -1s}\n",
            &[
                "auth.method: is not supported",
                "auth.cert.mountPath: is required",
                "auth.cert.minRemainingTtl: is negative",
                "3 problems",
            ][..],
        ),
        (
            "auth:\n  method: cert\n  cert: {mountPath: cert, source: pkcs11, pkcs11: {maxSessions: 1, pinFile: eyJ, keyLabel: ' k'}}\n",
            &[
                "auth.cert.pkcs11.pinFile: holds content instead of a path",
                "auth.cert.pkcs11.keyLabel: ",
                "auth.cert.pkcs11.maxSessions: must be a whole number from 2",
                "4 problems",
            ],
        ),
        (
            "auth:\n  method: cert\n  cert: {mountPath: cert, source: spiffe, spiffe: {workloadApiSocket: 'unix:///run/s.sock', spiffeId: 'spiffe://b.org/x', trustDomain: a.org}}\n",
            &[
                "auth.cert.spiffe.spiffeId: is no id of auth.cert.spiffe.trustDomain",
                "2 problems",
            ],
        ),
        (
            "auth:\n  method: approle\n  approle: {mountPath: a, roleIdFile: '', secretIdFile: eyJ}\n",
            &[
                "auth.approle.roleIdFile: is required",
                "auth.approle.secretIdFile: holds content instead of a path",
                "3 problems",
            ],
        ),
        (
            "auth:\n  jwt: {source: oauth2, mountPath: jwt, role: r, jwtFile: /x, oauth2: {tokenUrl: 'http://t', clientSecretFile: '', caCertFile: eyJ, resources: ['a#b'], scopes: [a b]}}\n",
            &[
                "auth.jwt.source: is not supported: this build supports source file",
                "auth.jwt.jwtFile: is only for source file",
                "auth.jwt.oauth2.tokenUrl: is no https URL",
                "auth.jwt.oauth2.clientSecretFile: is required",
                "auth.jwt.oauth2.caCertFile: holds content instead of a path",
                "auth.jwt.oauth2.scopes[0]: has a space",
                "auth.jwt.oauth2.resources[0]: is no absolute URI",
                "7 problems",
            ],
        ),
    ] {
        let message = auth(section);
        for part in parts {
            assert!(message.contains(part), "no '{part}' in\n{message}");
        }
    }
}

#[test]
fn an_override_wins_over_the_file_and_is_named_when_it_is_wrong() {
    let overrides = Overrides {
        log_level: overridden("debug", "--log-level"),
        metrics_address: overridden("off", "--metrics-address"),
        health_address: overridden("[::1]:9", "BAO_KMS_PROVIDER_SERVER_HEALTH_ADDRESS"),
    };
    let config = parse(Source::new("/c.yaml", VALID), &overrides).unwrap();
    assert_eq!(config.logging.level, crate::config::LogLevel::Debug);
    assert_eq!(config.server.metrics_address, None);
    assert_eq!(config.server.health_address.unwrap().to_string(), "[::1]:9");

    let wrong = Overrides {
        log_level: overridden("loud", "BAO_KMS_PROVIDER_LOG_LEVEL"),
        metrics_address: overridden("nowhere", "--metrics-address"),
        health_address: None,
    };
    let message = parse(Source::new("/c.yaml", VALID), &wrong)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("BAO_KMS_PROVIDER_LOG_LEVEL: logging.level: must be one of"),
        "{message}"
    );
    assert!(
        message.contains("--metrics-address: server.metricsAddress: has no port"),
        "{message}"
    );
    assert!(message.contains("2 problems"), "{message}");
}

#[test]
fn an_override_mends_a_wrong_value_and_needs_no_section_in_the_file() {
    let overrides = Overrides {
        log_level: overridden("warn", "--log-level"),
        ..Overrides::default()
    };
    let (text, _) = with("logging.level", "loud");
    assert!(parse(Source::new("/c.yaml", text), &overrides).is_ok());
    let start = VALID.find("logging:\n").unwrap();
    let config = parse(Source::new("/c.yaml", &VALID[..start]), &overrides).unwrap();
    assert_eq!(config.logging.level, crate::config::LogLevel::Warn);
}
