//! Commands, help and usage errors.

use super::run;

#[test]
fn every_command_is_in_the_help_and_no_other() {
    let help = run(&["help"]);
    assert_eq!(help.code, 0);
    let commands = help.out.lines().skip_while(|line| *line != "Commands:");
    let listed: Vec<&str> = commands
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(
        listed,
        [
            "run",
            "check",
            "get",
            "describe",
            "logs",
            "exec",
            "restart",
            "stop-all",
            "start-all",
            "version",
            "completion",
            "help"
        ]
    );
    for command in listed {
        let help = run(&[command, "--help"]);
        assert_eq!(help.code, 0, "{command}");
        assert!(help.out.contains("Usage:"), "{command}");
        assert_eq!(run(&["help", command]).out, help.out);
    }
}

#[test]
fn usage_errors_end_with_code_2_and_say_so_on_standard_error() {
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["check"],
        &["check", ""],
        &["check", "--output", "xml", "good.yaml"],
        &["check", "--strict", "--no-advice", "good.yaml"],
        &["check", "--node-name", "a_b", "good.yaml"],
        &["check", "ftp://host.example/pod.yaml"],
        &["check", "http://host.example/pod.yaml"],
        &["check", "https://user:word@host.example/pod.yaml"],
        &["run", "--pod-manifest-path", ""],
        &["run", "--manifest-url", "http://host.example/pod.yaml"],
        &["run", "--manifest-url-header", "nothing"],
        &[
            "run",
            "--container-runtime-endpoint",
            "tcp://host.example:1",
        ],
        &["run", "--file-check-frequency", "20"],
        &["run", "--node-ip", "node"],
        &["completion", "dos"],
        &["help", "frobnicate"],
    ] {
        let run = run(arguments);
        assert_eq!(run.code, 2, "{arguments:?}");
        assert!(run.out.is_empty(), "{arguments:?}: {}", run.out);
        let err = run.err;
        assert!(err.contains("Usage:") || err.contains("error:"), "{err}");
        assert!(!err.contains("word@"), "{err}");
    }
}

#[test]
fn the_version_is_given_as_text_and_as_json() {
    let version = env!("CARGO_PKG_VERSION");
    let text = run(&["version"]).out;
    assert!(text.starts_with(&format!("staticpodd {version} (commit ")));
    assert_eq!(run(&["--version"]).out, format!("staticpodd {version}\n"));
    let json = run(&["version", "-o", "json"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["apiVersion"], "reports.staticpodd/v1alpha1");
    assert_eq!(json["kind"], "Version");
    assert_eq!(json["version"], version);
    assert!(json["commit"].is_string());
}

#[test]
fn completion_scripts_are_written_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = run(&["completion", shell]);
        assert_eq!(run.code, 0, "{shell}");
        assert!(run.out.contains("no-host"), "{shell}");
        for hidden in ["reports-schema", "generated document"] {
            assert!(!run.out.contains(hidden), "{shell} offers {hidden}");
        }
    }
    assert_eq!(
        run(&["completions", "bash"]).out,
        run(&["completion", "bash"]).out
    );
}
