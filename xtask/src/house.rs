//! Rules of the house that no compiler checks: modules form a staircase, files stay readable,
//! documents say what the sources say.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::documents;

/// A file longer than this is two rooms.
const LINES: usize = 600;

/// Fails with every breach of a rule, one sentence each.
pub(crate) fn check() -> Result<String, Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = breaches(&root)?;
    found.extend(documents::differences(&root)?);
    if found.is_empty() {
        Ok("the house is in order".into())
    } else {
        Err(found.join("\n").into())
    }
}

fn breaches(root: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for krate in fs::read_dir(root.join("crates"))? {
        let source = krate?.path().join("src");
        for file in sources(&source)? {
            let text = fs::read_to_string(&file)?;
            let lines = text.lines().count();
            // Generated code is as long as its proto file makes it.
            if lines > LINES && !text.starts_with("// This file is @generated") {
                found.push(format!(
                    "{}: {lines} lines, more than {LINES}",
                    show(root, &file)
                ));
            }
        }
        found.extend(staircase(root, &source)?);
    }
    Ok(found)
}

/// `lib.rs` lists modules from ground floor to roof; each may use only those above it.
fn staircase(root: &Path, source: &Path) -> io::Result<Vec<String>> {
    let lib = source.join("lib.rs");
    if !lib.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&lib)?;
    let order: Vec<&str> = production(&text).filter_map(declared_module).collect();
    let mut found = Vec::new();
    for (floor, module) in order.iter().enumerate() {
        let single = source.join(format!("{module}.rs"));
        let mut files = sources(&source.join(module))?;
        if single.exists() {
            files.push(single);
        }
        for file in files {
            if file.components().any(|part| part.as_os_str() == "tests")
                || file.file_name().is_some_and(|name| name == "tests.rs")
            {
                continue;
            }
            let text = fs::read_to_string(&file)?;
            for above in order.iter().skip(floor + 1) {
                if production(&text).any(|line| uses(line, above)) {
                    found.push(format!(
                        "{}: uses `{above}`, which lib.rs lists below `{module}`",
                        show(root, &file)
                    ));
                }
            }
        }
    }
    Ok(found)
}

/// The lines before the inline tests, without comments.
pub(crate) fn production(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim_start)
        .take_while(|line| !line.starts_with("mod tests {"))
        .filter(|line| !line.starts_with("//"))
}

fn declared_module(line: &str) -> Option<&str> {
    let line = line
        .strip_prefix("pub(crate) ")
        .or_else(|| line.strip_prefix("pub "))
        .unwrap_or(line);
    line.strip_prefix("mod ")?.strip_suffix(';')
}

/// Whether the line names `crate::module`, also inside a braced `use crate::{...}` of one line.
fn uses(line: &str, module: &str) -> bool {
    let names = |text: &str| {
        text.strip_prefix(module).is_some_and(|rest| {
            !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_')
        })
    };
    line.match_indices("crate::").any(|(at, found)| {
        let rest = line.get(at + found.len()..).unwrap_or_default();
        match rest.strip_prefix('{') {
            None => names(rest),
            Some(list) => list.split([',', '{', '}']).any(|part| names(part.trim())),
        }
    })
}

pub(crate) fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn show(root: &Path, file: &Path) -> String {
    file.strip_prefix(root)
        .unwrap_or(file)
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_seen_in_paths_and_in_braces_and_not_in_longer_names() {
        assert!(uses("use crate::view::View;", "view"));
        assert!(uses("use crate::{kms::Kms, view::View};", "view"));
        assert!(uses("let x = crate::view::of();", "view"));
        assert!(!uses("use crate::viewer::View;", "view"));
        assert!(!uses("use other::view::View;", "view"));
    }

    #[test]
    fn a_module_that_reaches_up_the_stairs_is_named() {
        let home = tempfile::tempdir().unwrap();
        let source = home.path().join("crates/one/src");
        fs::create_dir_all(&source).unwrap();
        fs::write(source.join("lib.rs"), "mod ground;\npub mod roof;\n").unwrap();
        fs::write(source.join("ground.rs"), "use crate::roof::Tile;\n").unwrap();
        fs::write(source.join("roof.rs"), "use crate::ground::Stone;\n").unwrap();
        let found = breaches(home.path()).unwrap();
        assert_eq!(
            found,
            ["crates/one/src/ground.rs: uses `roof`, which lib.rs lists below `ground`"]
        );
    }
}
