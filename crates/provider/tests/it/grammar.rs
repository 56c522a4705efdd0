//! Commands, help and usage errors.

use super::run;

#[test]
fn every_command_is_in_the_help_and_no_other() {
    let (code, out, _) = run(&["help"]);
    assert_eq!(code, 0);
    let listed: Vec<&str> = out
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(
        listed,
        ["serve", "config", "probe", "version", "completion", "help"]
    );
    for command in listed {
        let (code, out, _) = run(&[command, "--help"]);
        assert_eq!(code, 0, "{command}");
        assert!(out.contains("Usage:"), "{command}");
        assert_eq!(run(&["help", command]), (0, out, String::new()));
    }
    let (code, out, _) = run(&["help", "config", "schema"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("Usage: bao-kms-provider config schema"),
        "{out}"
    );
}

#[test]
fn usage_errors_end_with_code_2_and_say_so_on_standard_error() {
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["--frobnicate"],
        &["version", "--output", "xml"],
        &["probe", "--timeout", "0s"],
        &["probe", "--timeout", "1d"],
        &["probe", "--timeout", "-1s"],
        &["completion", "dos"],
        &["serve", "extra"],
        &["help", "frobnicate"],
    ] {
        let (code, out, err) = run(arguments);
        assert_eq!(code, 2, "{arguments:?}");
        assert!(out.is_empty(), "{arguments:?}: {out}");
        assert!(err.contains("Usage:") || err.contains("error:"), "{err}");
    }
}

#[test]
fn the_version_is_given_as_text_and_as_json() {
    let version = env!("CARGO_PKG_VERSION");
    let (code, out, _) = run(&["version"]);
    assert_eq!(code, 0);
    assert!(out.starts_with(&format!("bao-kms-provider {version} (commit ")));
    let (code, out, _) = run(&["version", "--output", "json"]);
    assert_eq!(code, 0);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["apiVersion"], "reports.bao-kms-provider/v1alpha1");
    assert_eq!(json["kind"], "Version");
    assert_eq!(json["version"], version);
    assert!(json["commit"].is_string());
}

#[test]
fn completion_scripts_are_written_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, _) = run(&["completion", shell]);
        assert_eq!(code, 0, "{shell}");
        assert!(out.contains("bao-kms-provider"), "{shell}");
        assert!(out.contains("probe"), "{shell}");
        for hidden in ["reports-schema", "generated document"] {
            assert!(!out.contains(hidden), "{shell} offers {hidden}");
        }
    }
}

#[test]
fn the_schema_of_the_reports_is_up_to_date() {
    let (code, out, _) = run(&["generate", "reports-schema"]);
    assert_eq!(code, 0);
    assert!(
        include_str!("../../../../docs/reports.schema.json") == out,
        "run: cargo run -p provider -- generate reports-schema > docs/reports.schema.json"
    );
}
