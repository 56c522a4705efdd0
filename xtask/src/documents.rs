//! Documents that say what the sources say: the table of crates and the table of log events.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use crate::house::{production, sources};

type Names = BTreeSet<String>;

/// Every difference between the documents and the sources, one sentence each.
pub(crate) fn differences(root: &Path) -> io::Result<Vec<String>> {
    let mut found = crates(root)?;
    found.extend(events(root)?);
    Ok(found)
}

/// The column "may use" of the architecture against the `[dependencies]` of each crate.
fn crates(root: &Path) -> io::Result<Vec<String>> {
    const PAGE: &str = "docs/architecture.md";
    let mut manifests = BTreeMap::new();
    for krate in fs::read_dir(root.join("crates"))? {
        let krate = krate?;
        let manifest = fs::read_to_string(krate.path().join("Cargo.toml"))?;
        let _ = manifests.insert(krate.file_name().to_string_lossy().into_owned(), manifest);
    }
    let page = fs::read_to_string(root.join(PAGE))?;
    let mut told: BTreeMap<String, Names> = rows(&page, "crate")
        .filter_map(|cells| Some((quoted(cells.first()?).next()?, cells)))
        .map(|(name, cells)| {
            (
                name,
                cells.get(1).copied().map(quoted).into_iter().flatten(),
            )
        })
        .map(|(name, uses)| (name, uses.collect()))
        .collect();
    let mut found = Vec::new();
    for (name, manifest) in &manifests {
        let uses: Names = dependencies(manifest)
            .filter(|dependency| manifests.contains_key(*dependency))
            .map(str::to_owned)
            .collect();
        match told.remove(name) {
            None => found.push(format!("{PAGE}: the table of crates lacks `{name}`")),
            Some(told) if told != uses => found.push(format!(
                "{PAGE}: `{name}` may use {told:?}, but its Cargo.toml names {uses:?}"
            )),
            Some(_) => {}
        }
    }
    found.extend(
        told.keys()
            .map(|name| format!("{PAGE}: there is no crate `{name}`")),
    );
    Ok(found)
}

/// Names in the section `[dependencies]`.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
}

/// The table of log events against the events of the sources, with their levels.
fn events(root: &Path) -> io::Result<Vec<String>> {
    const PAGE: &str = "docs/observability.md";
    let mut logged: BTreeMap<String, Names> = BTreeMap::new();
    for krate in fs::read_dir(root.join("crates"))? {
        for file in sources(&krate?.path().join("src"))? {
            let is_test = file
                .components()
                .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs");
            if !is_test {
                let text = fs::read_to_string(&file)?;
                let text = production(&text).collect::<Vec<_>>().join("\n");
                collect_events(&text, &mut logged);
            }
        }
    }
    let page = fs::read_to_string(root.join(PAGE))?;
    let mut found = Vec::new();
    let mut told = Names::new();
    for cells in rows(&page, "event") {
        let (Some(names), Some(levels)) = (cells.first(), cells.get(1)) else {
            continue;
        };
        for name in quoted(names) {
            match logged.get(&name) {
                None => found.push(format!("{PAGE}: nothing logs `{name}`")),
                Some(used) => found.extend(
                    used.iter()
                        .filter(|level| !levels.split(", ").any(|told| told == level.as_str()))
                        .map(|level| format!("{PAGE}: `{name}` is logged at {level}, too")),
                ),
            }
            let _ = told.insert(name);
        }
    }
    found.extend(
        logged
            .keys()
            .filter(|name| !told.contains(*name))
            .map(|name| format!("{PAGE}: the table of events lacks `{name}`")),
    );
    Ok(found)
}

/// Events are the last text of a logging macro, or stand where a function chooses the name or
/// writes the line by itself.
fn collect_events(text: &str, into: &mut BTreeMap<String, Names>) {
    for level in ["trace", "debug", "info", "warn", "error", "event"] {
        for (at, call) in text.match_indices(&format!("{level}!(")) {
            let body = text.get(at + call.len()..).unwrap_or_default();
            if let Some(name) = strings(arguments(body)).pop().filter(|name| is_event(name)) {
                let levels = into.entry(name.to_owned()).or_default();
                if level != "event" {
                    let _ = levels.insert(level.to_owned());
                }
            }
        }
    }
    for chosen in ["log_failure(\"", "event_line(\"", "=> \""] {
        for (at, before) in text.match_indices(chosen) {
            let rest = text.get(at + before.len()..).unwrap_or_default();
            if let Some(name) = rest.split('"').next().filter(|name| is_event(name)) {
                let _ = into.entry(name.to_owned()).or_default();
            }
        }
    }
}

fn is_event(text: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter == '_')
    };
    text.split_once('.')
        .is_some_and(|(subject, rest)| word(subject) && word(rest))
}

/// The text up to the parenthesis that closes the call.
fn arguments(text: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (1_u32, false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text.get(..at).unwrap_or_default();
        }
    }
    text
}

/// String literals without escaped quotes; others are no names.
fn strings(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

/// Cells of the table whose first heading is `heading`.
fn rows<'a>(page: &'a str, heading: &str) -> impl Iterator<Item = Vec<&'a str>> {
    let start = format!("| {heading} |");
    page.lines()
        .skip_while(move |line| !line.starts_with(&start))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

/// What stands in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(manifest: &str, source: &str, architecture: &str, events: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for folder in ["crates/one/src", "crates/two/src", "docs"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        let put = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
        put(
            "crates/one/Cargo.toml",
            "[dependencies]\nthiserror = \"2\"\n",
        );
        put("crates/two/Cargo.toml", manifest);
        put("crates/two/src/lib.rs", source);
        put(
            "docs/architecture.md",
            &format!("| crate | may use |\n|---|---|\n{architecture}"),
        );
        put(
            "docs/observability.md",
            &format!("| event | level |\n|---|---|\n{events}"),
        );
        home
    }

    const MANIFEST: &str =
        "[dependencies]\none.workspace = true\n\n[dev-dependencies]\nthree.workspace = true\n";
    const SOURCE: &str = "fn f() {\n    info!(\n        a = g(\"b.c)\"),\n        \"x.started\"\n    );\n    \
                          log_failure(\"x.failed\", &e);\n}\n";
    const ARCHITECTURE: &str = "| `one` | - |\n| `two` | `one` |\n";
    const EVENTS: &str = "| `x.started` | info |\n| `x.failed` | warn |\n";

    #[test]
    fn true_documents_differ_in_nothing() {
        let home = tree(MANIFEST, SOURCE, ARCHITECTURE, EVENTS);
        assert_eq!(differences(home.path()).unwrap(), [""; 0]);
    }

    #[test]
    fn the_documents_of_this_tree_are_true() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        assert_eq!(differences(&root).unwrap(), [""; 0]);
    }

    #[test]
    fn each_untrue_row_is_named() {
        let told = |manifest, source, architecture, events| {
            let home = tree(manifest, source, architecture, events);
            differences(home.path()).unwrap()
        };
        assert_eq!(
            told("[dependencies]\n", SOURCE, ARCHITECTURE, EVENTS),
            ["docs/architecture.md: `two` may use {\"one\"}, but its Cargo.toml names {}"]
        );
        assert_eq!(
            told(
                MANIFEST,
                SOURCE,
                "| `two` | `one` |\n| `six` | - |\n",
                EVENTS
            ),
            [
                "docs/architecture.md: the table of crates lacks `one`",
                "docs/architecture.md: there is no crate `six`"
            ]
        );
        assert_eq!(
            told(MANIFEST, "", ARCHITECTURE, "| `x.y` | info |\n"),
            ["docs/observability.md: nothing logs `x.y`"]
        );
        assert_eq!(
            told(MANIFEST, SOURCE, ARCHITECTURE, "| `x.started` | debug |\n"),
            [
                "docs/observability.md: `x.started` is logged at info, too",
                "docs/observability.md: the table of events lacks `x.failed`"
            ]
        );
    }
}
