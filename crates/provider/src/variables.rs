//! The environment variables of this program, and those that only look like them.
//!
//! Who misspells one would else run with the file's value and never learn of it.

use std::{ffi::OsString, fmt};

use yaml::spelling::closest;

const PREFIX: &str = "BAO_KMS_PROVIDER_";

/// Path of the configuration.
pub const CONFIG: &str = "BAO_KMS_PROVIDER_CONFIG";
/// `logging.level`
pub const LOG_LEVEL: &str = "BAO_KMS_PROVIDER_LOG_LEVEL";
/// `server.metricsAddress`
pub const METRICS_ADDRESS: &str = "BAO_KMS_PROVIDER_SERVER_METRICS_ADDRESS";
/// `server.healthAddress`
pub const HEALTH_ADDRESS: &str = "BAO_KMS_PROVIDER_SERVER_HEALTH_ADDRESS";

const KNOWN: [&str; 4] = [CONFIG, LOG_LEVEL, METRICS_ADDRESS, HEALTH_ADDRESS];

/// A variable with our prefix that nobody reads. Its value is not kept: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    /// Its name, with everything escaped that is not plain text.
    pub name: String,
}

impl fmt::Display for Stray {
    /// What becomes of it and what was probably meant, without its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is no variable of this program and was ignored; ")?;
        match nearest(&self.name) {
            Some(known) => write!(f, "did you mean {known}?"),
            None => write!(
                f,
                "there are {}; everything else belongs in the file",
                KNOWN.join(", ")
            ),
        }
    }
}

/// The strays among `variables`, by name.
pub fn strays(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<Stray> {
    let mut strays: Vec<Stray> = variables
        .filter_map(|(name, value)| {
            let name = name.to_string_lossy();
            let rest = name.strip_prefix(PREFIX)?;
            // As everywhere, set but empty is not set.
            let is_stray =
                !value.is_empty() && !KNOWN.contains(&&*name) && !is_service_link(rest, &value);
            is_stray.then(|| Stray {
                name: name.escape_debug().to_string(),
            })
        })
        .collect();
    strays.sort();
    strays
}

/// Kubernetes gives each container the addresses of the Services around it, in variables that
/// begin with the Service's name: one called like this program, for its metrics, is no mistake.
fn is_service_link(rest: &str, value: &OsString) -> bool {
    let words = format!("_{rest}");
    let numbered = words.split("_PORT_").skip(1);
    let mut ports = numbered.map(|tail| tail.split('_').next().unwrap_or_default());
    let is_address = || {
        let value = value.to_string_lossy();
        ["tcp://", "udp://", "sctp://"]
            .iter()
            .any(|scheme| value.starts_with(scheme))
    };
    words.ends_with("_SERVICE_HOST")
        || words.contains("_SERVICE_PORT")
        || ports.any(|port| port.parse::<u16>().is_ok())
        || words.ends_with("_PORT") && is_address()
}

/// The variable that was probably meant: one typing error away, or else the one that has all the
/// typed words but at most one. Where two have as many of them, nobody knows which was meant.
fn nearest(name: &str) -> Option<&'static str> {
    let words = |name: &str| -> Vec<String> {
        let rest = name.strip_prefix(PREFIX).unwrap_or(name);
        rest.split('_').map(str::to_ascii_uppercase).collect()
    };
    let typed = words(name);
    let common = |known: &str| {
        let known = words(known);
        typed.iter().filter(|word| known.contains(word)).count()
    };
    closest(name, &KNOWN).or_else(|| {
        let most = KNOWN.into_iter().map(common).max().unwrap_or_default();
        let mut best = KNOWN.into_iter().filter(|known| common(known) == most);
        let only = best.next().filter(|_| best.next().is_none());
        only.filter(|_| most > 0 && most.saturating_add(1) >= typed.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(variables: &[(&str, &str)]) -> Vec<String> {
        let variables = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), value.into()));
        let strays = strays(variables).into_iter();
        strays
            .map(|stray| format!("{} {stray}", stray.name))
            .collect()
    }

    #[test]
    fn what_is_read_and_what_is_not_ours_is_no_stray() {
        let known = KNOWN.map(|name| (name, "x"));
        assert_eq!(told(&known), [""; 0]);
        assert_eq!(
            told(&[("PATH", "/bin"), ("BAO_KMS_PROVIDER", "x")]),
            [""; 0]
        );
    }

    #[test]
    fn a_stray_is_told_with_what_was_meant_and_never_with_its_value() {
        for (typed, meant) in [
            ("BAO_KMS_PROVIDER_LOGLEVEL", LOG_LEVEL),
            ("BAO_KMS_PROVIDER_LOG_LEVLE", LOG_LEVEL),
            ("BAO_KMS_PROVIDER_LOGGING_LEVEL", LOG_LEVEL),
            ("BAO_KMS_PROVIDER_CONFIG_FILE", CONFIG),
            ("BAO_KMS_PROVIDER_METRICS_ADDRESS", METRICS_ADDRESS),
            ("BAO_KMS_PROVIDER_HEALTH", HEALTH_ADDRESS),
            ("BAO_KMS_PROVIDER_config", CONFIG),
        ] {
            let told = told(&[(typed, "hvs.secret")]);
            assert_eq!(told.len(), 1, "{typed}");
            let end = format!("ignored; did you mean {meant}?");
            assert!(
                told[0].starts_with(typed) && told[0].ends_with(&end),
                "{told:?}"
            );
        }
        let told = told(&[("BAO_KMS_PROVIDER_\u{7}", "x")]);
        assert!(
            told[0].starts_with("BAO_KMS_PROVIDER_\\u{7} is no"),
            "{told:?}"
        );
    }

    #[test]
    fn where_nobody_knows_what_was_meant_all_variables_are_named() {
        for typed in [
            "BAO_KMS_PROVIDER_TRANSIT_KEYNAME",
            "BAO_KMS_PROVIDER_OPENBAO_ADDRESS",
            "BAO_KMS_PROVIDER_ADDRESS",
            "BAO_KMS_PROVIDER_SERVER_SOCKET_PATH",
            "BAO_KMS_PROVIDER_OPENBAO_CONFIG_FILE",
            "BAO_KMS_PROVIDER_TOKEN",
        ] {
            let told = told(&[(typed, "x")]);
            let all = "there are BAO_KMS_PROVIDER_CONFIG, BAO_KMS_PROVIDER_LOG_LEVEL, ";
            assert!(told[0].contains(all), "{told:?}");
        }
    }

    #[test]
    fn a_variable_that_is_set_but_empty_is_not_set() {
        assert_eq!(told(&[("BAO_KMS_PROVIDER_LOGLEVEL", "")]), [""; 0]);
    }

    #[test]
    fn the_addresses_of_services_are_no_strays() {
        let links = [
            ("BAO_KMS_PROVIDER_SERVICE_HOST", "10.0.0.1"),
            ("BAO_KMS_PROVIDER_SERVICE_PORT", "8081"),
            ("BAO_KMS_PROVIDER_SERVICE_PORT_METRICS", "8081"),
            ("BAO_KMS_PROVIDER_PORT", "tcp://10.0.0.1:8081"),
            ("BAO_KMS_PROVIDER_PORT_8081_TCP", "tcp://10.0.0.1:8081"),
            ("BAO_KMS_PROVIDER_PORT_8081_TCP_PROTO", "tcp"),
            ("BAO_KMS_PROVIDER_METRICS_SERVICE_HOST", "10.0.0.2"),
            ("BAO_KMS_PROVIDER_METRICS_PORT", "tcp://10.0.0.2:8081"),
        ];
        assert_eq!(told(&links), [""; 0]);
        assert_eq!(told(&[("BAO_KMS_PROVIDER_METRICS_PORT", "8081")]).len(), 1);
    }
}
