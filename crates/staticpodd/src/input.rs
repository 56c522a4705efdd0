//! Arguments of `check` to texts: files, directories, URLs, standard input.
//!
//! Everything is bounded: at most the largest manifest is read from any of them, one at a time.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File, FileType, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf, absolute},
};

use manifests::{
    address::{Address, AddressError},
    once::once,
    rules,
};
use pod::{Origin, reading::MAX_BYTES};

use crate::{finding::Level, host};

/// What standard input is called.
const STANDARD_INPUT: &str = "stdin";

/// One text, or why there is none.
#[derive(Debug)]
pub(crate) struct Input {
    /// For people, harmless on a terminal.
    pub(crate) name: String,
    pub(crate) origin: Origin,
    pub(crate) content: Content,
    /// Why it should not be believed, how much that matters, and what to do.
    pub(crate) distrust: Option<(Level, String, String)>,
}

/// What was found.
#[derive(Debug)]
pub(crate) enum Content {
    /// All of a text; more than the largest manifest if it is longer.
    Text(Vec<u8>),
    /// What an agent would not look at: why, and what to do if it should.
    Ignored(String, &'static str),
    /// Why it cannot be read, and whether it was an argument itself.
    Unreadable(String, bool),
    /// A directory after all that is in it, and how many texts that are.
    Directory(usize),
}

/// Where texts come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Argument {
    /// `-`.
    StandardInput,
    /// An http or https URL that may be fetched.
    Url(Address),
    /// A file or a directory.
    Path(PathBuf),
}

impl Argument {
    /// Takes an argument for what it looks like.
    ///
    /// # Errors
    /// It looks like a URL, and is none that may be fetched.
    pub(crate) fn parse(text: &OsString, insecure: bool) -> Result<Self, AddressError> {
        if text == "-" {
            return Ok(Self::StandardInput);
        }
        match text.to_str() {
            Some(url) if is_url(url) => Address::parse(url, insecure).map(Self::Url),
            _ => Ok(Self::Path(PathBuf::from(text))),
        }
    }
}

/// A scheme, a colon and two slashes.
fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Reads all arguments in their order, the files of a directory by name. A file that is named
/// twice is read once. `judge`: whether owners and modes count.
pub(crate) fn each(arguments: &[Argument], judge: bool, mut take: impl FnMut(Input)) {
    let mut seen = BTreeSet::new();
    for argument in arguments {
        match argument {
            Argument::StandardInput if !seen.insert(PathBuf::from("-")) => {}
            Argument::StandardInput => take(Input {
                name: STANDARD_INPUT.to_owned(),
                origin: Origin::File("/dev/stdin".to_owned()),
                content: text(io::stdin().lock(), true),
                distrust: None,
            }),
            Argument::Url(address) => take(Input {
                name: harmless(&address.to_string()),
                origin: Origin::Url(address.to_string()),
                content: fetch(address),
                distrust: None,
            }),
            Argument::Path(path) if seen.insert(absolute(path).unwrap_or_default()) => {
                if path.is_dir() {
                    directory(path, judge, &mut seen, &mut take);
                } else {
                    file(path, judge, &mut take);
                }
            }
            Argument::Path(_) => {}
        }
    }
}

fn fetch(address: &Address) -> Content {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let answer = runtime
        .map_err(|error| format!("cannot be fetched: {error}"))
        .and_then(|runtime| runtime.block_on(once(address)));
    match answer {
        Ok(bytes) => Content::Text(bytes.to_vec()),
        Err(why) => Content::Unreadable(why, true),
    }
}

/// A file that was named. What others could do to it is worth a warning: it may be on its way to
/// another place.
fn file(path: &Path, judge: bool, take: &mut impl FnMut(Input)) {
    let content = match open(path, is_descriptor(path)) {
        Ok(Opened::File(file)) => text(file, true),
        Ok(Opened::Other(kind)) => {
            Content::Unreadable(format!("{kind}: a manifest is a regular file"), true)
        }
        Err(error) => Content::Unreadable(unreadable(&error), true),
    };
    let readable = matches!(content, Content::Text(_)) && !is_descriptor(path);
    let distrust = (judge && readable).then(|| host::distrust(path, host::user()));
    take(Input {
        distrust: distrust
            .flatten()
            .map(|(what, advice)| (Level::Warning, what, advice)),
        ..input(path, content)
    });
}

fn directory(path: &Path, judge: bool, seen: &mut BTreeSet<PathBuf>, take: &mut impl FnMut(Input)) {
    let listed: io::Result<BTreeSet<OsString>> = fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    let content = match listed {
        Ok(names) => {
            let mut texts = 0;
            for name in names {
                let path = path.join(&name);
                if seen.insert(absolute(&path).unwrap_or_default()) {
                    let input = entry(&path, &name, judge);
                    texts += usize::from(!matches!(input.content, Content::Ignored(..)));
                    take(input);
                } else {
                    texts += 1;
                }
            }
            Content::Directory(texts)
        }
        Err(error) => Content::Unreadable(unreadable(&error), true),
    };
    let distrust = judge.then(|| host::distrust(path, host::user())).flatten();
    take(Input {
        distrust: distrust.map(|(what, advice)| (Level::Error, what, advice)),
        ..input(path, content)
    });
}

/// What an agent would make of one name in its directory.
fn entry(path: &Path, name: &OsString, judge: bool) -> Input {
    if path.is_dir() && !name.as_encoded_bytes().starts_with(b".") {
        return input(
            path,
            Content::Ignored(
                "it is a directory".to_owned(),
                "move its manifests out of it: only the directory itself is looked at",
            ),
        );
    }
    if let Some(why) = rules::ignored(name) {
        let advice = if name.as_encoded_bytes().starts_with(b".") {
            "rename it if it is a manifest, or leave it"
        } else {
            "move it out of here: a kubelet runs whatever its name is; or rename it if it is a manifest"
        };
        return input(path, Content::Ignored(why.to_owned(), advice));
    }
    let content = match open(path, false) {
        Ok(Opened::File(file)) => text(file, false),
        Ok(Opened::Other(kind)) => Content::Ignored(
            format!("it {kind}"),
            "put it elsewhere: a manifest is a regular file",
        ),
        Err(error) => Content::Unreadable(unreadable(&error), false),
    };
    let readable = matches!(content, Content::Text(_));
    // The directory speaks for itself.
    let distrust = (judge && readable)
        .then(|| host::distrust_alone(path, host::user()))
        .flatten();
    Input {
        distrust: distrust.map(|(what, advice)| (Level::Error, what, advice)),
        ..input(path, content)
    }
}

fn input(path: &Path, content: Content) -> Input {
    let whole = absolute(path).unwrap_or_else(|_| path.to_owned());
    Input {
        name: harmless(&path.to_string_lossy()),
        origin: Origin::File(whole.to_string_lossy().into_owned()),
        content,
        distrust: None,
    }
}

enum Opened {
    File(File),
    /// "is a FIFO".
    Other(&'static str),
}

/// Opens without waiting for a writer of a FIFO. A descriptor of our own, as shells make them of
/// `<(command)`, may be a pipe and is waited for.
fn open(path: &Path, descriptor: bool) -> io::Result<Opened> {
    if descriptor {
        return Ok(Opened::File(File::open(path)?));
    }
    if let Some(kind) = irregular(fs::metadata(path)?.file_type()) {
        return Ok(Opened::Other(kind));
    }
    // The file may be another by now: judged again, and never waited for.
    let nonblock = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let flags = i32::try_from(nonblock.bits()).unwrap_or_default();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    Ok(match irregular(file.metadata()?.file_type()) {
        Some(kind) => Opened::Other(kind),
        None => Opened::File(file),
    })
}

fn is_descriptor(path: &Path) -> bool {
    path == Path::new("/dev/stdin")
        || ["/dev/fd", "/proc/self/fd"]
            .iter()
            .any(|directory| path.parent() == Some(Path::new(directory)))
}

fn irregular(kind: FileType) -> Option<&'static str> {
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("is a directory")
    } else if kind.is_fifo() {
        Some("is a FIFO")
    } else if kind.is_socket() {
        Some("is a socket")
    } else {
        Some("is a device")
    }
}

/// One byte more than the largest manifest is enough to know that it is too large.
fn text(reader: impl Read, argument: bool) -> Content {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    match reader.take(limit + 1).read_to_end(&mut bytes) {
        Ok(_) => Content::Text(bytes),
        Err(error) => Content::Unreadable(unreadable(&error), argument),
    }
}

fn unreadable(error: &io::Error) -> String {
    format!("cannot be read: {error}")
}

/// Without characters that a terminal would obey.
fn harmless(text: &str) -> String {
    let shown = |letter: char| {
        if letter.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            letter
        }
    };
    text.chars().map(shown).collect()
}
