//! What the command line of `bao-dev up` accepts. It ends up in a configuration, in a policy and
//! in paths of the API, so what would not work there is refused before anything starts.

use std::time::Duration;

use pace::{DurationError, parse_duration};
use thiserror::Error;

use crate::fields::is_name;
use crate::sys::is_reserved;

/// A Unix socket's path has this much room beside its closing zero.
const SOCKET_PATH_BYTES: usize = 107;

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ValueError {
    /// No duration in Go's form.
    #[error("{0}; write a duration such as 2s or 1m30s")]
    Duration(DurationError),
    /// Zero, where a loop would never rest.
    #[error("must be above zero; write a duration such as 2s")]
    ZeroDuration,
    /// The server has no route for such a name.
    #[error(
        "no name that the server routes; write letters, digits and '_', and '-' or '.' between them"
    )]
    Name,
    /// The server has no route for such a mount.
    #[error("no path of a mount; write names like team/transit, without slashes around them")]
    Mount,
    /// Belongs to the server itself.
    #[error("paths below {0}/ belong to the server; choose another mount")]
    ReservedMount(String),
    /// Neither an address nor `off`.
    #[error("no address; write HOST:PORT such as 127.0.0.1:8081, or off")]
    Address,
    /// Would not be one text in the configuration.
    #[error("empty, or has a control character or white space around it; write plain text")]
    Text,
    /// No socket can have such a path.
    #[error(
        "longer than the {SOCKET_PATH_BYTES} bytes that a socket's path may have; choose a \
         shorter one"
    )]
    LongSocket,
}

/// A length of time, zero included, in the form in which it was written.
///
/// # Errors
/// [`ValueError::Duration`].
pub fn duration(text: &str) -> Result<String, ValueError> {
    parse_duration(text).map_err(ValueError::Duration)?;
    Ok(text.to_owned())
}

/// A length of time above zero.
///
/// # Errors
/// [`ValueError::Duration`] and [`ValueError::ZeroDuration`].
pub fn interval(text: &str) -> Result<String, ValueError> {
    if parse_duration(text).map_err(ValueError::Duration)? == Duration::ZERO {
        return Err(ValueError::ZeroDuration);
    }
    Ok(text.to_owned())
}

/// The name of a key or of a role: one segment of a path.
///
/// # Errors
/// [`ValueError::Name`].
pub fn name(text: &str) -> Result<String, ValueError> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err(ValueError::Name)
    }
}

/// The path of a Transit mount: names with slashes between them.
///
/// # Errors
/// [`ValueError::Mount`] and [`ValueError::ReservedMount`].
pub fn mount(text: &str) -> Result<String, ValueError> {
    if !text.split('/').all(is_name) {
        return Err(ValueError::Mount);
    }
    if is_reserved(&format!("{text}/")) {
        let first = text.split('/').next().unwrap_or_default();
        return Err(ValueError::ReservedMount(first.to_owned()));
    }
    Ok(text.to_owned())
}

/// Where the provider serves something: `HOST:PORT`, or `off`.
///
/// # Errors
/// [`ValueError::Address`].
pub fn listen_address(text: &str) -> Result<String, ValueError> {
    let by_name = || {
        let (host, port) = text.split_once(':')?;
        let named = host.split('.').all(|label| {
            !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        });
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        (named && digits && port.parse::<u16>().is_ok()).then_some(())
    };
    let known =
        text == "off" || text.parse::<std::net::SocketAddr>().is_ok() || by_name().is_some();
    if known {
        Ok(text.to_owned())
    } else {
        Err(ValueError::Address)
    }
}

/// Any text of one line.
///
/// # Errors
/// [`ValueError::Text`].
pub fn text(text: &str) -> Result<String, ValueError> {
    if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
        return Err(ValueError::Text);
    }
    Ok(text.to_owned())
}

/// The path of a file.
///
/// # Errors
/// [`ValueError::Text`].
pub fn path(path: &str) -> Result<std::path::PathBuf, ValueError> {
    text(path).map(Into::into)
}

/// The path of a socket.
///
/// # Errors
/// [`ValueError::Text`] and [`ValueError::LongSocket`].
pub fn socket(path: &str) -> Result<std::path::PathBuf, ValueError> {
    let path = self::path(path)?;
    let whole = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
    if whole.as_os_str().len() > SOCKET_PATH_BYTES {
        return Err(ValueError::LongSocket);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_takes_what_works_and_nothing_else() {
        type Check = fn(&str) -> bool;
        let rows: [(Check, &[&str], &[&str]); 7] = [
            (
                |t| duration(t).is_ok(),
                &["0s", "2s", "1m30s"],
                &["", "2", "-1s", "2 s", "1s\nrotation: {}"],
            ),
            (
                |t| interval(t).is_ok(),
                &["1ms", "5s"],
                &["", "0s", "0", "-1s", "soon"],
            ),
            (
                |t| name(t).is_ok(),
                &["k8s-etcd", "a", "a.b_c"],
                &["", "a/b", "-a", "a b", "a\"", "..", "a%2fb", "a*"],
            ),
            (
                |t| mount(t).is_ok(),
                &["transit", "team/a/transit"],
                &["", "/a", "a/", "a//b", "a/../b", "sys", "auth/jwt", "a\"b"],
            ),
            (
                |t| listen_address(t).is_ok(),
                &["off", "127.0.0.1:8081", "[::1]:0", "localhost:9"],
                &[
                    "",
                    "8081",
                    ":8081",
                    "::1:80",
                    "127.0.0.1:65536",
                    "a b:1",
                    "h:",
                    "h:+1",
                ],
            ),
            (
                |t| text(t).is_ok(),
                &["bao-dev", "a b"],
                &["", " a", "a\n", "a\u{1b}b"],
            ),
            (
                |t| socket(t).is_ok(),
                &["/run/a/kms.sock"],
                &["", "/run/\n", &"/long".repeat(30)],
            ),
        ];
        for (row, (check, good, bad)) in rows.into_iter().enumerate() {
            for text in good {
                assert!(check(text), "row {row}: {text:?}");
            }
            for text in bad {
                assert!(!check(text), "row {row}: {text:?}");
            }
        }
    }
}
