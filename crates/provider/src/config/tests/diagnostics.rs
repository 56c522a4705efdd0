//! Whole messages, as an operator sees them.

use super::{read, refusal};

fn golden(text: &str, expected: &str) {
    let message = refusal(text);
    assert_eq!(message, expected.trim_end_matches('\n'), "\n{message}\n");
}

#[test]
fn unknown_duplicate_missing_and_wrongly_typed_fields_are_all_reported_at_once() {
    golden(
        include_str!("golden/all-at-once.yaml"),
        include_str!("golden/all-at-once.txt"),
    );
}

#[test]
fn broken_rules_of_several_sections_are_reported_at_once() {
    golden(
        include_str!("golden/rules.yaml"),
        include_str!("golden/rules.txt"),
    );
}

#[test]
fn yaml_that_a_configuration_does_not_need_is_refused_with_its_position() {
    golden(
        include_str!("golden/decorated.yaml"),
        include_str!("golden/decorated.txt"),
    );
}

#[test]
fn a_file_that_breaks_off_says_where_and_that_it_may_be_half_written() {
    golden(
        include_str!("golden/cut-off.yaml").trim_end_matches('\n'),
        include_str!("golden/cut-off.txt"),
    );
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let message = refusal(
        "configVersion: v1alpha1\nauth:\n  jwt: {token: hunter2, jwtFile: [hunter2]}\n  secretId: hunter2\n  approle:\n    secretIdFile:\n      hunter2: hunter2\n",
    );
    // As a key it is a field's path, and only there.
    assert!(
        !message
            .replace("secretIdFile.hunter2", "")
            .contains("hunter2"),
        "{message}"
    );
    assert!(
        message.contains("auth.secretId: is no known field"),
        "{message}"
    );
}

#[test]
fn a_text_without_settings_is_said_to_be_perhaps_half_written() {
    for text in ["", "\n", "# nothing yet\n", "---\n", "null\n"] {
        let message = refusal(text);
        assert!(message.contains("half-written"), "{message}");
    }
}

#[test]
fn a_root_that_is_no_mapping_is_a_fault() {
    for text in ["just text\n", "- a\n", "42\n"] {
        let message = refusal(text);
        assert!(message.contains("must be a mapping of fields"), "{message}");
    }
}

#[test]
fn the_fields_of_a_fault_can_be_asked_for() {
    let error = read("configVersion: v2\n").unwrap_err();
    let crate::config::ConfigError::Faults(faults) = error else {
        panic!("{error}");
    };
    assert!(faults.fields().any(|field| field == "configVersion"));
    assert!(
        faults
            .fields()
            .any(|field| field == "transit.keyIdScope.clusterId")
    );
}
