//! The soak itself, for a few seconds, so that it is not found broken on the day it is needed.

use std::process::Command;

#[test]
fn a_few_hostile_seconds_end_well_and_leave_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("soak.json");
    let document = folder.path().join("page.md");
    std::fs::write(&document, "# Page\n<!-- soak -->old<!-- /soak -->\nrest\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(["--time", "6s", "--seed", "3", "--rate", "60"])
        .arg("--json")
        .arg(&json)
        .arg("--doc")
        .arg(&document)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("Verdict: all is well."), "{text}");

    let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(summary["well"], true);
    assert_eq!(summary["seed"], 3);
    let played = summary["weather"].as_array().unwrap().len();
    assert!(played >= 2, "{summary:#}");
    let page = std::fs::read_to_string(document).unwrap();
    assert!(
        page.starts_with("# Page\n<!-- soak -->\n| what | count |"),
        "{page}"
    );
    assert!(page.ends_with("<!-- /soak -->\nrest\n"), "{page}");
    assert!(!page.contains("old"));
}
