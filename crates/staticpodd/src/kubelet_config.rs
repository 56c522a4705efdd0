//! A kubelet's configuration file: what of it matters to static pods.
//!
//! The same file may be given to a kubelet. What it sets beside that is named once and has no
//! effect; what no kubelet knows is a fault, because it is most likely a typing error.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _},
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use http::HeaderName;
use launch::node::Driver;
use secret::SecretText;
use yaml::{
    fault::{Fault, Show, render},
    source::{Place, Source},
    spelling::closest,
    tree::{Entry, Kind, read_manifest},
};

use crate::host;

mod fields;
mod value;

use fields::{IDLE, OBEYED};
use value::{Faults, Value};

const API_VERSION: &str = "kubelet.config.k8s.io/v1beta1";
const KIND: &str = "KubeletConfiguration";
/// More than any such file has.
const LARGEST: u64 = 1 << 20;

/// What a file sets; nothing where it does not say.
#[derive(Default)]
pub(crate) struct Configuration {
    pub(crate) folder: Option<PathBuf>,
    pub(crate) url: Option<String>,
    pub(crate) headers: Vec<(HeaderName, SecretText)>,
    pub(crate) folder_period: Option<Duration>,
    pub(crate) site_period: Option<Duration>,
    pub(crate) logs: Option<PathBuf>,
    pub(crate) endpoint: Option<String>,
    /// For runtimes that do not tell theirs.
    pub(crate) driver: Option<Driver>,
    pub(crate) cluster_dns: Vec<IpAddr>,
    pub(crate) cluster_domain: Option<String>,
    pub(crate) resolv_conf: Option<PathBuf>,
    pub(crate) seccomp_default: bool,
    pub(crate) unsafe_sysctls: Vec<String>,
    pub(crate) one_pull: bool,
    pub(crate) pulls: Option<usize>,
    pub(crate) upkeep: Besides,
    /// Fields that it sets to no effect.
    pub(crate) idle: Vec<String>,
}

/// What it sets about logs, images and pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Besides {
    /// Bytes.
    pub(crate) log_size: Option<u64>,
    pub(crate) log_files: Option<u32>,
    /// Per cent.
    pub(crate) images_high: Option<u8>,
    /// Per cent.
    pub(crate) images_low: Option<u8>,
    pub(crate) images_least_age: Option<Duration>,
    pub(crate) images_most_idle: Option<Duration>,
    pub(crate) bind: Option<IpAddr>,
    pub(crate) health_port: Option<u16>,
    pub(crate) pods_port: Option<u16>,
}

/// Why a file is not obeyed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It is not there, or cannot be read.
    #[error("the configuration {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else can change it, and with it what runs as root.
    #[error("the configuration {} {why}; {advice}", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// How.
        why: String,
        /// What to do.
        advice: String,
    },
    /// All that is wrong with it, with lines and carets.
    #[error("{0}")]
    Wrong(String),
}

/// Reads a file that this process is to obey. Paths in it are taken from its own folder.
///
/// # Errors
/// [`ConfigError`].
pub(crate) fn load(path: &Path) -> Result<Configuration, ConfigError> {
    let unreadable = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    if let Some((why, advice)) = host::distrust(path, host::user()) {
        return Err(ConfigError::Untrusted {
            path: path.to_owned(),
            why,
            advice,
        });
    }
    let text = text(path).map_err(unreadable)?;
    let path = std::path::absolute(path).map_err(unreadable)?;
    let source = Source::new(path.to_string_lossy(), text);
    let (configuration, faults) = read(&source, path.parent().unwrap_or(Path::new("/")));
    if faults.is_empty() {
        Ok(configuration)
    } else {
        Err(ConfigError::Wrong(render(&source, &faults)))
    }
}

/// The text of a file that is one.
///
/// # Errors
/// The system's, or that it is no such file.
pub(crate) fn text(path: &Path) -> io::Result<String> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    // A FIFO would be opened for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(wrong("it is no regular file"));
    }
    let mut text = String::new();
    let _ = File::open(path)?
        .take(LARGEST + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(wrong("it is larger than 1 MiB"));
    }
    Ok(text)
}

/// What a text sets, and what is wrong with it. Relative paths begin at `folder`.
pub(crate) fn read(source: &Source, folder: &Path) -> (Configuration, Vec<Fault>) {
    let mut faults = Vec::new();
    let root = read_manifest(source, &mut faults);
    let mut configuration = Configuration::default();
    match root.map(|root| (root.kind, root.place)) {
        Some((Kind::Map(entries), _)) => {
            head(&entries, &mut faults);
            body(&entries, folder, &mut configuration, &mut faults);
        }
        Some((Kind::Broken, _)) => {}
        Some((_, place)) => faults.push(whole(place)),
        None if faults.is_empty() => faults.push(whole(Place::Nowhere)),
        None => {}
    }
    (configuration, faults)
}

fn whole(place: Place) -> Fault {
    Fault {
        field: String::new(),
        place,
        message: format!("is no {KIND}"),
        advice: format!("begin it with apiVersion: {API_VERSION} and kind: {KIND}"),
        show: Show::Hidden,
    }
}

/// What it is.
fn head(entries: &[Entry], faults: &mut Faults) {
    for (field, wanted) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        let said = entries.iter().find(|entry| entry.key == field);
        let is_it = said.is_some_and(
            |entry| matches!(&entry.value.kind, Kind::Scalar { text, .. } if text == wanted),
        );
        if !is_it {
            faults.push(Fault {
                field: field.to_owned(),
                place: said.map_or(Place::Nowhere, |entry| entry.value.place.clone()),
                message: format!("must be {wanted}"),
                advice: format!("write {field}: {wanted}"),
                show: Show::Value,
            });
        }
    }
}

fn body(entries: &[Entry], folder: &Path, into: &mut Configuration, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for entry in entries {
        let field = entry.key.as_str();
        let of_key = |message: &str, advice: String| Fault {
            field: field.to_owned(),
            place: entry.key_place.clone(),
            message: message.to_owned(),
            advice,
            show: Show::Key,
        };
        if !seen.insert(field) {
            faults.push(of_key("is set twice", "keep one of the two".to_owned()));
        } else if OBEYED.contains(&field) {
            let value = Value {
                field: field.to_owned(),
                node: &entry.value,
                show: Show::Value,
            };
            obey(&value, folder, into, faults);
        } else if IDLE.contains(&field) {
            if !value::is_zero(&entry.value) {
                into.idle.push(field.to_owned());
            }
        } else if !matches!(field, "apiVersion" | "kind") {
            let known: Vec<&str> = OBEYED.iter().chain(IDLE).copied().collect();
            let advice = match closest(field, &known) {
                Some(known) => format!("did you mean '{known}'?"),
                None => "remove it; names are written as in the kubelet's reference".to_owned(),
            };
            faults.push(of_key("is no known field", advice));
        }
    }
}

fn obey(value: &Value<'_>, folder: &Path, into: &mut Configuration, faults: &mut Faults) {
    let path = |text: String| folder.join(text);
    match value.field.as_str() {
        "staticPodPath" => into.folder = value.text(faults).map(path),
        "staticPodURL" => into.url = value.text(faults),
        "staticPodURLHeader" => into.headers = headers(value, faults),
        "fileCheckFrequency" => into.folder_period = value.duration(faults),
        "httpCheckFrequency" => into.site_period = value.duration(faults),
        "podLogsDir" => into.logs = value.text(faults).map(path),
        "containerRuntimeEndpoint" => into.endpoint = value.text(faults),
        "cgroupDriver" => into.driver = driver(value, faults),
        "clusterDNS" => into.cluster_dns = value.addresses(faults),
        "clusterDomain" => into.cluster_domain = value.text(faults),
        "resolvConf" => into.resolv_conf = value.text(faults).map(path),
        "seccompDefault" => into.seccomp_default = value.boolean(faults) == Some(true),
        "allowedUnsafeSysctls" => into.unsafe_sysctls = value.texts(faults),
        "serializeImagePulls" => into.one_pull = value.boolean(faults) == Some(true),
        "maxParallelImagePulls" => into.pulls = value.whole(1..=1000, faults),
        _ => besides(value, &mut into.upkeep, faults),
    }
}

fn besides(value: &Value<'_>, into: &mut Besides, faults: &mut Faults) {
    match value.field.as_str() {
        "containerLogMaxSize" => into.log_size = value.bytes(faults),
        "containerLogMaxFiles" => into.log_files = value.whole(2..=1000, faults),
        "imageGCHighThresholdPercent" => into.images_high = value.whole(0..=100, faults),
        "imageGCLowThresholdPercent" => into.images_low = value.whole(0..=100, faults),
        "imageMinimumGCAge" => into.images_least_age = value.duration(faults),
        "imageMaximumGCAge" => into.images_most_idle = value.duration(faults),
        "healthzBindAddress" => into.bind = value.address(faults),
        "healthzPort" => into.health_port = value.whole(0..=u16::MAX, faults),
        "readOnlyPort" => into.pods_port = value.whole(0..=u16::MAX, faults),
        _ => {}
    }
}

fn driver(value: &Value<'_>, faults: &mut Faults) -> Option<Driver> {
    match value.text(faults)?.as_str() {
        "systemd" => Some(Driver::Systemd),
        "cgroupfs" => Some(Driver::Cgroupfs),
        _ => {
            faults.push(value.fault("must be cgroupfs or systemd", "write what the runtime uses"));
            None
        }
    }
}

/// Names with lists of values, which may be secrets.
fn headers(value: &Value<'_>, faults: &mut Faults) -> Vec<(HeaderName, SecretText)> {
    let Kind::Map(entries) = &value.node.kind else {
        if !value.is_zero() {
            faults.push(value.fault("must be a mapping", "write Name: [value] below it"));
        }
        return Vec::new();
    };
    let mut headers = Vec::new();
    for entry in entries {
        let hidden = Value {
            field: format!("{}.{}", value.field, entry.key),
            node: &entry.value,
            show: Show::Hidden,
        };
        let Ok(name) = entry.key.parse::<HeaderName>() else {
            faults.push(Fault {
                field: value.field.clone(),
                place: entry.key_place.clone(),
                message: "has a name that no header may have".to_owned(),
                advice: "use letters, digits and -".to_owned(),
                show: Show::Key,
            });
            continue;
        };
        for text in hidden.texts(faults) {
            headers.push((name.clone(), SecretText::new(text)));
        }
    }
    headers
}

#[cfg(test)]
mod tests;
