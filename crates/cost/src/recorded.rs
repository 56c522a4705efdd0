//! The file of counts that lies in the repository.

use std::{collections::BTreeMap, fmt, fs, path::Path, process::Command};

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// What counts depend on besides the sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tools {
    pub(crate) rustc: String,
    pub(crate) valgrind: String,
    /// The C library brings `malloc` and `memcpy`.
    pub(crate) libc: String,
    /// The C library chooses its `memcpy` by it.
    pub(crate) cpu: String,
}

impl Tools {
    /// Those of this machine.
    pub(crate) fn here() -> Result<Self, Fault> {
        let second_word = |said: String| said.split_whitespace().nth(1).map(str::to_owned);
        let last_word = |said: String| said.split_whitespace().last().map(str::to_owned);
        let unknown = || "unknown".to_owned();
        Ok(Self {
            rustc: second_word(said("rustc", "--version")?).unwrap_or_else(unknown),
            valgrind: said("valgrind", "--version")?
                .trim()
                .replace("valgrind-", ""),
            libc: last_word(said("getconf", "GNU_LIBC_VERSION")?).unwrap_or_else(unknown),
            cpu: format!("{} {}", std::env::consts::ARCH, vectors()),
        })
    }
}

#[cfg(target_arch = "x86_64")]
fn vectors() -> &'static str {
    if std::arch::is_x86_feature_detected!("avx2") {
        "avx2"
    } else {
        "sse2"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn vectors() -> &'static str {
    "any"
}

fn said(tool: &'static str, argument: &str) -> Result<String, Fault> {
    let output = Command::new(tool).arg(argument).output();
    let output = output.map_err(|error| Fault::NoTool(tool, error))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl fmt::Display for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rustc,
            valgrind,
            libc,
            cpu,
        } = self;
        write!(f, "rustc {rustc}, valgrind {valgrind}, libc {libc}, {cpu}")
    }
}

/// Counts, and what they were counted with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counts {
    pub(crate) tools: Tools,
    /// Instructions per call that the processor was told to execute, outside the kernel.
    pub(crate) instructions: BTreeMap<String, u64>,
}

impl Counts {
    /// The lesser count of each path.
    pub(crate) fn least(mut self, other: Self) -> Self {
        for (path, count) in other.instructions {
            self.instructions
                .entry(path)
                .and_modify(|least| *least = count.min(*least))
                .or_insert(count);
        }
        self
    }

    /// The file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, Fault> {
        let text = fs::read_to_string(path).map_err(|source| Fault::File {
            path: path.to_owned(),
            source,
        })?;
        serde_json::from_str(&text).map_err(|source| Fault::Unreadable {
            path: path.to_owned(),
            source,
        })
    }

    /// Replaces the file at `path`.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Fault> {
        let text = serde_json::to_string_pretty(self).map_err(|source| Fault::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        fs::write(path, text + "\n").map_err(|source| Fault::File {
            path: path.to_owned(),
            source,
        })
    }
}
