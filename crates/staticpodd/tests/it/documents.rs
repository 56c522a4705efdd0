//! Generated documents are committed, and know every rule.

use std::{fs, path::Path};

use super::run;

fn same(document: &str, committed: &str, path: &str) {
    let run = run(&["generate", document]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(
        run.out == committed,
        "run: cargo run -p staticpodd -- generate {document} > {path}"
    );
}

#[test]
fn the_manual_pages_are_up_to_date() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/man");
    let mut committed = fs::read_dir(&pages).unwrap().count();
    for of in [
        "",
        "-run",
        "-check",
        "-get",
        "-describe",
        "-logs",
        "-exec",
        "-restart",
        "-stop-all",
        "-start-all",
    ] {
        let path = format!("docs/man/staticpodd{of}.1");
        let page = fs::read_to_string(pages.join(format!("staticpodd{of}.1"))).unwrap();
        same(&format!("man{of}"), &page, &path);
        committed -= 1;
    }
    assert_eq!(committed, 0, "there is a page that nothing generates");
}

#[test]
fn the_schema_of_the_reports_is_up_to_date() {
    same(
        "reports-schema",
        include_str!("../../../../docs/staticpodd-reports.schema.json"),
        "docs/staticpodd-reports.schema.json",
    );
}

/// The names after `warn(` in the sources of a folder.
fn rules_of(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rules_of(&path, into);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            let production = text.split("mod tests {").next().unwrap();
            for start in [".warn(", "rule: "] {
                let calls = production.split(start).skip(1).map(str::trim_start);
                let names = calls.filter_map(|call| call.strip_prefix('"')?.split('"').next());
                into.extend(names.map(str::to_owned));
            }
        }
    }
}

#[test]
fn every_rule_of_the_pod_model_is_in_the_table_of_rules() {
    let mut rules = Vec::new();
    rules_of(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../pod/src"),
        &mut rules,
    );
    assert!(rules.len() > 10, "{rules:?}");
    let page = include_str!("../../../../docs/staticpodd.md");
    for rule in rules {
        assert!(
            page.contains(&format!("| `{rule}` | warning |")),
            "add {rule} to crates/staticpodd/src/rules.rs and docs/staticpodd.md"
        );
    }
}
