//! The printed configuration and the generated documents.

use yaml::source::Source;

use super::{VALID, overridden, parse, read};
use crate::config::{Overrides, json_schema, print::yaml, reference};

#[test]
fn what_is_printed_reads_back_as_the_same_configuration() {
    for text in [
        VALID.to_owned(),
        VALID.replace("team/kms", "\"1e3\""),
        VALID.replace("clusterId: cluster-1", "clusterId: 'yes: \"no\" # \\ é'"),
        VALID.replace(
            "failoverAddresses: [https://bao-1.example.com:8200]",
            "failoverAddresses: []",
        ),
    ] {
        let config = read(&text).unwrap();
        let printed = yaml(&config.document());
        let again = match read(&printed) {
            Ok(again) => again,
            Err(error) => panic!("{error}\n{printed}"),
        };
        assert_eq!(again.document(), config.document());
        assert_eq!(again.fingerprint(), config.fingerprint());
    }
}

#[test]
fn what_is_printed_holds_defaults_and_overrides() {
    let overrides = Overrides {
        log_level: overridden("error", "--log-level"),
        ..Overrides::default()
    };
    let config = parse(Source::new("/c.yaml", VALID), &overrides).unwrap();
    let printed = yaml(&config.document());
    assert!(printed.contains("\n  level: error\n"), "{printed}");
    assert!(printed.contains("\n  decryptLanes: 4\n"), "{printed}");
    assert!(printed.contains("\n  socketMode: \"0660\"\n"), "{printed}");
}

#[test]
fn the_reference_page_is_up_to_date() {
    assert!(
        include_str!("../../../../../docs/configuration.md") == reference(),
        "run: cargo run -p provider -- generate configuration > docs/configuration.md"
    );
}

#[test]
fn the_json_schema_is_up_to_date() {
    assert!(
        include_str!("../../../../../docs/config.schema.json") == json_schema(),
        "run: cargo run -p provider -- generate config-schema > docs/config.schema.json"
    );
}

#[test]
fn every_field_is_described() {
    fn undescribed(path: &str, schema: &serde_json::Value, found: &mut Vec<String>) {
        for (name, field) in crate::config::schema::properties(schema) {
            let path = format!("{path}.{name}");
            if field.get("description").is_none() {
                found.push(path.clone());
            }
            undescribed(&path, field, found);
        }
    }
    let mut found = Vec::new();
    undescribed("", crate::config::schema::schema(), &mut found);
    assert!(found.is_empty(), "{found:?}");
}
