//! Text to values: each function reads one kind of field and says in words what is wrong.
//!
//! No message repeats the text, so none can show a secret that stands in the wrong place.

use std::{net::Ipv6Addr, path::PathBuf, time::Duration};

use pace::parse_duration;

use super::{
    raw::GoDuration,
    settings::{Endpoint, Group, ListenAddress},
};

/// What is wrong with a text, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) advice: &'static str,
}

fn wrong<T>(message: impl Into<String>, advice: &'static str) -> Result<T, Wrong> {
    Err(Wrong {
        message: message.into(),
        advice,
    })
}

/// Socket paths must fit `sockaddr_un` with its closing zero.
const SOCKET_PATH_BYTES: usize = 107;

/// Where sockets may live: on these, nothing survives a reboot and only root creates folders.
const SOCKET_FOLDERS: [&str; 2] = ["/run/", "/var/run/"];

/// A length of time, zero included.
pub(crate) fn duration(text: &GoDuration) -> Result<Duration, Wrong> {
    parse_duration(&text.0).map_err(|error| Wrong {
        message: error.to_string(),
        advice: "write a duration such as 30s or 1h30m",
    })
}

/// A length of time above zero.
pub(crate) fn positive_duration(text: &GoDuration) -> Result<Duration, Wrong> {
    let duration = duration(text)?;
    if duration.is_zero() {
        return wrong("must be above zero", "write a duration such as 30s");
    }
    Ok(duration)
}

/// Text that must be there and is used as it stands.
pub(crate) fn name(text: &str) -> Result<String, Wrong> {
    if text.is_empty() {
        return wrong("is required", "give it a value");
    }
    if text.trim() != text {
        return wrong("has white space around it", "remove the surrounding space");
    }
    if text.chars().any(char::is_control) {
        return wrong("has a control character", "remove it");
    }
    Ok(text.to_owned())
}

/// As [`name`], or nothing when empty.
pub(crate) fn optional_name(text: &str) -> Result<Option<String>, Wrong> {
    if text.is_empty() {
        Ok(None)
    } else {
        name(text).map(Some)
    }
}

/// A path to a file, absolute or relative to the working directory.
pub(crate) fn file_path(text: &str) -> Result<PathBuf, Wrong> {
    if text.is_empty() {
        return wrong("is required", "give the path of the file");
    }
    if text.contains('\n') || text.starts_with("-----BEGIN") || text.starts_with("eyJ") {
        return wrong(
            "holds content instead of a path",
            "put the content into a file of its own and give the path of that file",
        );
    }
    if text.chars().any(char::is_control) {
        return wrong("has a control character", "give the path of the file");
    }
    Ok(PathBuf::from(text))
}

/// An absolute path without detours.
pub(crate) fn absolute_path(text: &str) -> Result<PathBuf, Wrong> {
    let path = file_path(text)?;
    if !text.starts_with('/') {
        return wrong("is not absolute", "start the path with '/'");
    }
    let plain = text
        .split('/')
        .skip(1)
        .all(|segment| !matches!(segment, "" | "." | ".."));
    if !plain {
        return wrong(
            "has an empty, '.' or '..' segment",
            "write the path without detours and without a slash at its end",
        );
    }
    Ok(path)
}

/// The socket's path.
pub(crate) fn socket_path(text: &str) -> Result<PathBuf, Wrong> {
    if text.starts_with(['@', '\0']) {
        return wrong(
            "is an abstract socket, which has no permissions",
            "give a path under /run",
        );
    }
    let path = absolute_path(text)?;
    if !SOCKET_FOLDERS.iter().any(|folder| text.starts_with(folder)) {
        return wrong(
            "is not under /run or /var/run",
            "give a path such as /run/openbao-kms/kms.sock",
        );
    }
    if text.len() > SOCKET_PATH_BYTES {
        return wrong(
            format!("is longer than the {SOCKET_PATH_BYTES} bytes that a socket path may have"),
            "choose a shorter path",
        );
    }
    Ok(path)
}

/// Permission bits of the socket.
pub(crate) fn socket_mode(text: &str) -> Result<u32, Wrong> {
    const ADVICE: &str = "write \"0660\"";
    if !(3..=4).contains(&text.len()) || !text.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) {
        return wrong("is not an octal mode", ADVICE);
    }
    let Ok(mode) = u32::from_str_radix(text, 8) else {
        return wrong("is not an octal mode", ADVICE);
    };
    if mode & 0o7000 != 0 {
        return wrong("has a set-id or sticky bit", ADVICE);
    }
    if mode & 0o007 != 0 {
        return wrong("lets every user of the host connect", ADVICE);
    }
    if mode & 0o111 != 0 {
        return wrong(
            "has an execute bit, which means nothing on a socket",
            ADVICE,
        );
    }
    Ok(mode)
}

/// The socket's group.
pub(crate) fn group(text: &str) -> Result<Group, Wrong> {
    let text = name(text)?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse() {
            // The largest value means "leave as it is" to chown(2).
            Ok(gid) if gid != u32::MAX => Ok(Group::Gid(gid)),
            _ => wrong("is no group id", "write a decimal GID below 4294967295"),
        };
    }
    if text.contains([':', '/', ' ']) || text.starts_with('-') {
        return wrong(
            "is no group name",
            "write the name or the decimal GID of a group",
        );
    }
    Ok(Group::Name(text))
}

/// `host:port`, or `off`.
pub(crate) fn listen_address(text: &str) -> Result<Option<ListenAddress>, Wrong> {
    const ADVICE: &str = "write HOST:PORT such as 127.0.0.1:8081, or off";
    if text == "off" {
        return Ok(None);
    }
    let (host, port) = split_port(text).ok_or(Wrong {
        message: "is neither host:port nor off".to_owned(),
        advice: ADVICE,
    })?;
    if host.is_empty() {
        return wrong(
            "has no host",
            "write 127.0.0.1:PORT, or 0.0.0.0:PORT to listen on every address",
        );
    }
    let Some(port) = port.and_then(read_port) else {
        return wrong("has no port from 0 to 65535", ADVICE);
    };
    if !is_host(host) {
        return wrong("has a host that is no name and no IP address", ADVICE);
    }
    Ok(Some(ListenAddress {
        host: host.to_owned(),
        port,
    }))
}

/// `https://host[:port]` and nothing else.
pub(crate) fn endpoint(text: &str) -> Result<Endpoint, Wrong> {
    const ADVICE: &str = "write https://HOST:PORT and nothing behind it";
    if text.is_empty() {
        return wrong("is required", ADVICE);
    }
    let Some(authority) = strip_https(text) else {
        return wrong("is no https URL", ADVICE);
    };
    if authority.contains('@') {
        return wrong("has user info", ADVICE);
    }
    if authority.contains(['/', '?', '#']) {
        return wrong("has a path, query or fragment", ADVICE);
    }
    let Some((host, port)) = split_port(authority) else {
        return wrong("has no host and port that can be told apart", ADVICE);
    };
    if host.is_empty() || !is_host(host) {
        return wrong("has a host that is no name and no IP address", ADVICE);
    }
    let port = match port {
        None => 443,
        Some(port) => match read_port(port) {
            Some(port) if port != 0 => port,
            _ => return wrong("has a port that is not from 1 to 65535", ADVICE),
        },
    };
    Ok(Endpoint {
        host: host.to_ascii_lowercase(),
        port,
    })
}

/// A URL that is asked as it stands: path and query are welcome.
pub(crate) fn https_url(text: &str) -> Result<(), Wrong> {
    const ADVICE: &str = "write https://HOST/PATH without user info and fragment";
    if text.is_empty() {
        return wrong("is required", ADVICE);
    }
    let Some(rest) = strip_https(text) else {
        return wrong("is no https URL", ADVICE);
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if rest.contains('#') || authority.contains('@') {
        return wrong("has user info or a fragment", ADVICE);
    }
    if rest.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return wrong("has white space or a control character", ADVICE);
    }
    endpoint(&format!("https://{authority}")).map(drop)
}

/// The name that a certificate must carry.
pub(crate) fn server_name(text: &str) -> Result<String, Wrong> {
    if text.is_empty() {
        return wrong("is required", "write the name in the server's certificate");
    }
    if !is_host(text) {
        return wrong(
            "is no DNS name and no IP address",
            "write the name in the server's certificate, without scheme and port",
        );
    }
    Ok(text.to_owned())
}

/// A path inside OpenBao: relative, no empty, `.` or `..` segment, no `%`, no control character.
pub(crate) fn bao_path(text: &str) -> Result<String, Wrong> {
    const ADVICE: &str = "write it like team/name, without slashes around it";
    if text.is_empty() {
        return wrong("is required", ADVICE);
    }
    if text.starts_with('/') {
        return wrong("starts with a slash", ADVICE);
    }
    if text.contains('%') {
        return wrong("has a '%'", "write the characters themselves");
    }
    if text.chars().any(char::is_control) {
        return wrong("has a control character", "remove it");
    }
    if text.trim() != text {
        return wrong("has white space around it", "remove the surrounding space");
    }
    if text
        .split('/')
        .any(|segment| matches!(segment, "" | "." | ".."))
    {
        return wrong("has an empty, '.' or '..' segment", ADVICE);
    }
    Ok(text.to_owned())
}

/// As [`bao_path`], or empty.
pub(crate) fn namespace(text: &str) -> Result<String, Wrong> {
    if text.is_empty() {
        Ok(String::new())
    } else {
        bao_path(text)
    }
}

/// The mount of an auth method; with and without `auth/` it is the same mount.
pub(crate) fn auth_mount(text: &str) -> Result<String, Wrong> {
    let path = bao_path(text)?;
    Ok(path.strip_prefix("auth/").unwrap_or(&path).to_owned())
}

/// The name of a key: one segment.
pub(crate) fn key_name(text: &str) -> Result<String, Wrong> {
    let path = bao_path(text)?;
    if path.contains('/') {
        return wrong(
            "has a '/'",
            "write the key's name alone; its mount is transit.mountPath",
        );
    }
    Ok(path)
}

/// `cfg1.` and 43 characters of base64url.
pub(crate) fn fingerprint(text: &str) -> Result<Option<String>, Wrong> {
    if text.is_empty() {
        return Ok(None);
    }
    let digest = text.strip_prefix("cfg1.").filter(|digest| {
        digest.len() == 43
            && digest
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    });
    if digest.is_none() {
        return wrong(
            "is no identity fingerprint",
            "write what 'bao-kms-provider config' prints: cfg1. and 43 characters",
        );
    }
    Ok(Some(text.to_owned()))
}

/// The path of a local socket of another program.
pub(crate) fn other_socket(text: &str) -> Result<PathBuf, Wrong> {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    absolute_path(path)
}

fn strip_https(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    scheme.eq_ignore_ascii_case("https").then_some(rest)
}

/// Host without brackets, and the text behind its colon. Nothing for an IPv6 address without
/// brackets, whose port cannot be told from the address.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None if rest.is_empty() => Some((host, None)),
            None => None,
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}

fn read_port(text: &str) -> Option<u16> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

fn is_host(text: &str) -> bool {
    if text.parse::<Ipv6Addr>().is_ok() {
        return true;
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}
