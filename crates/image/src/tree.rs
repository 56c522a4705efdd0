//! The files of an image.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    libraries::{LibraryError, libraries},
    tar::Tar,
};

/// What a directory is made with that only stands above something.
const PARENT: u32 = 0o755;

/// A tree that cannot be made into a layer.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Not absolute, not plain, or too long for the archive.
    #[error("{path} cannot be a path in an image: it must be absolute, without . and .., short")]
    Path {
        /// The path.
        path: String,
    },
    /// A file where a directory must be, or the other way round.
    #[error("{path} is both a file and a directory")]
    Both {
        /// The path.
        path: String,
    },
    /// A file of this machine that was to go into the image.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The program's libraries.
    #[error(transparent)]
    Libraries(#[from] LibraryError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Directory { mode: u32 },
    File { mode: u32, content: Vec<u8> },
}

/// By path without the slash at its beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<String, Node>);

impl Tree {
    pub(crate) fn directory(&mut self, path: &str, mode: u32) -> Result<(), TreeError> {
        self.put(path, Node::Directory { mode })
    }

    pub(crate) fn file(
        &mut self,
        path: &str,
        mode: u32,
        content: Vec<u8>,
    ) -> Result<(), TreeError> {
        self.put(path, Node::File { mode, content })
    }

    /// The program of this machine as `path`, and its libraries where its loader looks for them.
    pub(crate) fn program(&mut self, path: &str, source: &Path) -> Result<(), TreeError> {
        self.file(path, 0o755, read(source)?)?;
        for library in libraries(source)? {
            let content = read(&library)?;
            self.file(&library.to_string_lossy(), 0o755, content)?;
        }
        Ok(())
    }

    /// The layer.
    pub(crate) fn tar(&self, modified: u64) -> Result<Vec<u8>, TreeError> {
        let mut tar = Tar::new(modified);
        for (path, node) in &self.0 {
            let written = match node {
                Node::Directory { mode } => tar.directory(path, *mode),
                Node::File { mode, content } => tar.file(path, *mode, content),
            };
            written.ok_or_else(|| TreeError::Path {
                path: format!("/{path}"),
            })?;
        }
        Ok(tar.finish())
    }

    fn put(&mut self, path: &str, node: Node) -> Result<(), TreeError> {
        let plain = path.strip_prefix('/').filter(|path| {
            path.split('/')
                .all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'))
        });
        let plain = plain.ok_or_else(|| TreeError::Path {
            path: path.to_owned(),
        })?;
        for (at, _) in plain.match_indices('/') {
            let parent = plain.get(..at).unwrap_or_default().to_owned();
            let there = self
                .0
                .entry(parent)
                .or_insert(Node::Directory { mode: PARENT });
            if matches!(there, Node::File { .. }) {
                return Err(both(plain.get(..at).unwrap_or_default()));
            }
        }
        // A second file of the same path replaces the first, as a later layer would.
        let old = self.0.insert(plain.to_owned(), node);
        let now = self.0.get(plain);
        let is_directory = |node: &Node| matches!(node, Node::Directory { .. });
        match old.as_ref().map(is_directory) {
            Some(before) if Some(before) != now.map(is_directory) => Err(both(plain)),
            _ => Ok(()),
        }
    }
}

fn both(path: &str) -> TreeError {
    TreeError::Both {
        path: format!("/{path}"),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TreeError> {
    fs::read(path).map_err(|source| TreeError::Read {
        path: path.to_owned(),
        source,
    })
}
