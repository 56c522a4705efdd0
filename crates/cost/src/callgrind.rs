//! One path under valgrind, and what valgrind wrote about it.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::{
    counted::{COUNTED, rounds},
    fault::Fault,
    paths::HotPath,
};

/// Instructions per call of `path` in `program`, which is this one.
pub(crate) fn count(program: &Path, path: &HotPath) -> Result<u64, Fault> {
    let name = path.name;
    let folder = tempfile::tempdir().map_err(|error| Fault::Stand("a folder", error.into()))?;
    let file = folder.path().join("callgrind.out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args(["--path", name])
        .output()
        .map_err(|error| Fault::NoTool("valgrind", error))?;
    if !output.status.success() {
        return Err(Fault::Failed {
            name,
            said: last_words(&output),
        });
    }
    let text = fs::read_to_string(&file).map_err(|source| Fault::File { path: file, source })?;
    match total(&text) {
        Some(instructions) if instructions > 0 => {
            Ok(instructions / (path.calls * rounds(path)) as u64)
        }
        _ => Err(Fault::NothingCounted(name)),
    }
}

fn last_words(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// What was counted in all, from a file in callgrind's own format.
fn total(text: &str) -> Option<u64> {
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    totals?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_and_nothing_else() {
        let text = "# callgrind format\nversion: 1\nevents: Ir\nsummary: 900\n\n\
            fn=(1) cost::run\n3 5\ncfn=(2) malloc\ncalls=3 0\n3 60\n\ntotals: 912\n";
        assert_eq!(total(text), Some(912));
        for text in ["", "version: 1\ncreator: x\n", "totals: many\n"] {
            assert_eq!(total(text), None, "{text}");
        }
    }
}
