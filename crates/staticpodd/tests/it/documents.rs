//! Generated documents are committed.

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
    same(
        "man",
        include_str!("../../../../docs/man/staticpodd.1"),
        "docs/man/staticpodd.1",
    );
    same(
        "man-check",
        include_str!("../../../../docs/man/staticpodd-check.1"),
        "docs/man/staticpodd-check.1",
    );
}

#[test]
fn the_schema_of_the_reports_is_up_to_date() {
    same(
        "reports-schema",
        include_str!("../../../../docs/staticpodd-reports.schema.json"),
        "docs/staticpodd-reports.schema.json",
    );
}
