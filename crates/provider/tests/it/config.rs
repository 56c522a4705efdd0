//! `config`: the result of file, environment and flags, and its refusals.

use std::{fs, os::unix::fs::symlink};

use serde_json::Value;

use super::{outcome, program, put, run, sample};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_configuration_in_force_is_printed_with_its_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample(folder.path());
    let (code, out, err) = run(&["config", "--config", &path]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("# identity fingerprint: cfg1."), "{out}");
    assert!(out.contains("\nconfigVersion: v1alpha1\n"), "{out}");
    let (_, again, _) = run(&["config", "--output", "json", "--config", &path]);
    let report = json(&again);
    assert_eq!(report["kind"], "Config");
    assert_eq!(report["config"]["server"]["socketMode"], "0660");
    assert_eq!(report["config"]["bootstrap"]["onTimeout"], "stay");
    assert!(out.contains(report["identityFingerprint"].as_str().unwrap()));

    // What is printed is itself a configuration with the same identity.
    let printed = put(folder.path(), &out, 0o600);
    let (code, third, err) = run(&["config", "--config", &printed]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(third, out);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample(folder.path());
    let resolved = |variables: &[(&str, &str)], flags: &[&str]| {
        let mut command = program(&["config", "--output", "json"]);
        command.env("BAO_KMS_PROVIDER_CONFIG", &path).args(flags);
        command.envs(variables.iter().copied());
        let (code, out, err) = outcome(&mut command);
        assert_eq!(code, 0, "{err}");
        json(&out)["config"].clone()
    };
    let config = resolved(&[], &[]);
    assert_eq!(config["logging"]["level"], "info");
    let variables = [
        ("BAO_KMS_PROVIDER_LOG_LEVEL", "debug"),
        ("BAO_KMS_PROVIDER_SERVER_METRICS_ADDRESS", "127.0.0.1:1"),
        ("BAO_KMS_PROVIDER_SERVER_HEALTH_ADDRESS", "off"),
    ];
    let config = resolved(&variables, &[]);
    assert_eq!(config["logging"]["level"], "debug");
    assert_eq!(config["server"]["metricsAddress"], "127.0.0.1:1");
    assert_eq!(config["server"]["healthAddress"], "off");
    let flags = [
        "--log-level",
        "warn",
        "--metrics-address",
        "off",
        "--health-address",
        "127.0.0.1:2",
    ];
    let config = resolved(&variables, &flags);
    assert_eq!(config["logging"]["level"], "warn");
    assert_eq!(config["server"]["metricsAddress"], "off");
    assert_eq!(config["server"]["healthAddress"], "127.0.0.1:2");
    let config = resolved(&[("BAO_KMS_PROVIDER_LOG_LEVEL", "")], &[]);
    assert_eq!(config["logging"]["level"], "info");
}

#[test]
fn a_variable_that_is_misspelt_is_told_where_it_would_have_mattered() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample(folder.path());
    let told = |arguments: &[&str]| {
        let mut command = program(arguments);
        command.env("BAO_KMS_PROVIDER_LOGGING_LEVEL", "hvs.secret");
        let (code, _, err) = outcome(&mut command);
        assert_eq!(code, 0, "{err}");
        err
    };
    assert_eq!(
        told(&["config", "--config", &path]),
        "warning: BAO_KMS_PROVIDER_LOGGING_LEVEL is no variable of this program and was ignored; \
         did you mean BAO_KMS_PROVIDER_LOG_LEVEL?\n"
    );
    assert_eq!(told(&["version"]), "");
}

#[test]
fn the_config_flag_wins_over_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample(folder.path());
    let mut command = program(&["config", "--config", &path]);
    command.env("BAO_KMS_PROVIDER_CONFIG", "/nowhere");
    assert_eq!(outcome(&mut command).0, 0);
    let mut command = program(&["config"]);
    command.env("BAO_KMS_PROVIDER_CONFIG", "/nowhere/config.yaml");
    let (code, _, err) = outcome(&mut command);
    assert_eq!(code, 3);
    assert!(err.contains("/nowhere/config.yaml does not exist"), "{err}");
}

#[test]
fn a_wrong_override_is_a_configuration_error_that_names_where_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample(folder.path());
    let mut command = program(&["serve", "--config", &path, "--metrics-address", "nowhere"]);
    command.env("BAO_KMS_PROVIDER_LOG_LEVEL", "loud");
    let (code, out, err) = outcome(&mut command);
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(
        err.contains("--metrics-address: server.metricsAddress: "),
        "{err}"
    );
    assert!(
        err.contains("BAO_KMS_PROVIDER_LOG_LEVEL: logging.level: "),
        "{err}"
    );
}

#[test]
fn a_file_that_is_not_safe_or_not_whole_ends_with_code_3_and_its_own_reason() {
    let folder = tempfile::tempdir().unwrap();
    let good = include_str!("../../../../docs/examples/config.yaml");
    let refused = |path: &str, part: &str| {
        for command in ["serve", "config"] {
            let (code, out, err) = run(&[command, "--config", path]);
            assert_eq!((code, out.as_str()), (3, ""), "{command}: {err}");
            assert!(err.contains(part), "{command}: no '{part}' in {err}");
        }
    };
    refused(&put(folder.path(), good, 0o644), "too open");
    refused(
        &put(folder.path(), &"#".repeat((1 << 20) + 1), 0o600),
        "larger than 1048576 bytes",
    );
    refused(&put(folder.path(), "", 0o600), "is empty");
    refused(&put(folder.path(), "# soon\n", 0o600), "half-written");
    refused(
        &put(folder.path(), &good[..700], 0o600),
        "may have been cut off",
    );
    let path = put(folder.path(), good, 0o600);
    let real = folder.path().join("real.yaml");
    fs::rename(&path, &real).unwrap();
    symlink(&real, &path).unwrap();
    refused(&path, "symbolic link");
    refused(folder.path().to_str().unwrap(), "not a regular file");
}

#[test]
fn all_problems_are_reported_in_one_run_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(
        folder.path(),
        "configVersion: v1alpha1\nserver: {socketGroup: kube, decryptLane: 4}\nopenbao:\n  timeout: 5\n  timeout: [5s]\n",
        0o600,
    );
    let (code, _, err) = run(&["config", "--config", &path]);
    assert_eq!(code, 3);
    for part in [
        ":2:29: server.decryptLane: is no known field",
        ":4:12: openbao.timeout: has a number without a unit",
        ":5:3: openbao.timeout: is set twice, first on line 4",
        ":3:1: openbao.address: is required",
        "transit.keyIdScope.clusterId: is required",
        "auth.jwt.role: is required",
    ] {
        assert!(err.contains(part), "no '{part}' in {err}");
    }
}

#[test]
fn another_identity_than_the_expected_one_stops_serve_and_is_shown_by_config() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample(folder.path());
    let (_, out, _) = run(&["config", "--output", "json", "--config", &path]);
    let fingerprint = json(&out)["identityFingerprint"]
        .as_str()
        .unwrap()
        .to_owned();
    let text = include_str!("../../../../docs/examples/config.yaml").replace(
        "keyName:",
        &format!("expectedFingerprint: {fingerprint}\n  keyName:"),
    );

    let path = put(folder.path(), &text, 0o600);
    let (code, out, err) = run(&["config", "--output", "json", "--config", &path]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(json(&out)["identityExpected"], true);

    let path = put(
        folder.path(),
        &text.replace("cluster-1", "cluster-2"),
        0o600,
    );
    let (code, out, err) = run(&["config", "--output", "json", "--config", &path]);
    assert_eq!(code, 0);
    assert_eq!(json(&out)["identityExpected"], false);
    assert!(err.contains("serve will refuse"), "{err}");
    let (code, _, err) = run(&["serve", "--config", &path]);
    assert_eq!(code, 3);
    assert!(
        err.contains("transit.expectedFingerprint: is not the fingerprint"),
        "{err}"
    );
}

#[test]
fn the_sample_and_the_installation_guide_name_the_same_files_and_the_same_group() {
    let guide = include_str!("../../../../docs/install.md");
    let folder = tempfile::tempdir().unwrap();
    let path = sample(folder.path());
    let (_, out, _) = run(&["config", "--output", "json", "--config", &path]);
    let config = json(&out)["config"].clone();
    for field in [
        "/openbao/caCertFile",
        "/auth/jwt/jwtFile",
        "/server/socketGroup",
        "/server/socketPath",
    ] {
        let value = config.pointer(field).unwrap().as_str().unwrap();
        assert!(guide.contains(value), "docs/install.md has no {value}");
    }
}

#[test]
fn the_schema_is_printed_as_it_is_committed() {
    let (code, out, _) = run(&["config", "schema"]);
    assert_eq!(code, 0);
    assert_eq!(out, include_str!("../../../../docs/config.schema.json"));
}

#[test]
fn a_wrong_flag_is_not_blamed_on_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample(folder.path());
    let (code, _, err) = run(&["config", "--log-level", "loud", "--config", &path]);
    assert_eq!(code, 3);
    assert!(err.ends_with("1 problem in --log-level\n"), "{err}");
}
