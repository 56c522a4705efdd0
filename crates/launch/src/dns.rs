//! Where a pod looks names up.

use cri::v1::DnsConfig;
use pod::{Pod, api};

use crate::node;

/// More are ignored by resolvers.
const SERVERS: usize = 3;
/// Older resolvers know only six.
const SEARCHES: usize = 32;
/// Of all domains together, with a space between them.
const SEARCH_BYTES: usize = 2048;
/// A longer one breaks some resolvers.
const DOMAIN_BYTES: usize = 253;

/// What a pod gets, and how that is less than it asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    /// For the runtime.
    pub config: DnsConfig,
    /// For people.
    pub notes: Vec<Note>,
}

/// Something that a pod asked for and did not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// `ClusterFirst` without a cluster: the node's own servers are used.
    MissingClusterDns,
    /// More than three servers: the first three are used.
    Servers,
    /// Too many domains, or too long ones: the first ones that fit are used.
    Searches,
}

impl Note {
    /// A sentence without its end.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::MissingClusterDns => {
                "no cluster DNS is configured, so ClusterFirst looks names up as the node does"
            }
            Self::Servers => "only the first 3 name servers are used",
            Self::Searches => {
                "some search domains are left out: 32 of 253 bytes and 2048 bytes in all are used"
            }
        }
    }
}

/// The servers, domains and options of a pod.
#[must_use]
pub fn of(pod: &Pod, dns: &node::Dns) -> Lookup {
    let spec = pod.api.spec.as_ref();
    let on_host = spec.and_then(|spec| spec.host_network).unwrap_or_default();
    let mut notes = Vec::new();
    let mut cluster = || {
        let missing = dns.cluster.is_empty();
        if missing {
            notes.push(Note::MissingClusterDns);
        }
        !missing
    };
    let in_cluster = match spec.and_then(|spec| spec.dns_policy.as_deref()) {
        Some("None") => None,
        Some("Default") => Some(false),
        Some("ClusterFirstWithHostNet") => Some(cluster()),
        _ => Some(!on_host && cluster()),
    };
    let mut config = match in_cluster {
        None => DnsConfig::default(),
        Some(false) => parse(&dns.resolv_conf),
        Some(true) => of_cluster(&pod.key.namespace, dns),
    };
    if let Some(own) = spec.and_then(|spec| spec.dns_config.as_ref()) {
        add(&mut config, own);
    }
    if config.servers.len() > SERVERS {
        config.servers.truncate(SERVERS);
        notes.push(Note::Servers);
    }
    if cut_searches(&mut config.searches) {
        notes.push(Note::Searches);
    }
    Lookup { config, notes }
}

fn of_cluster(namespace: &str, dns: &node::Dns) -> DnsConfig {
    let domain = &dns.domain;
    let mut searches = Vec::new();
    if !domain.is_empty() {
        searches.push(format!("{namespace}.svc.{domain}"));
        searches.push(format!("svc.{domain}"));
        searches.push(domain.clone());
    }
    for search in parse(&dns.resolv_conf).searches {
        add_once(&mut searches, &search);
    }
    DnsConfig {
        servers: dns.cluster.clone(),
        searches,
        options: vec!["ndots:5".to_owned()],
    }
}

/// Reads a `resolv.conf`: all servers, the last `search` line, and of each option its last value.
fn parse(text: &str) -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => config.servers.extend(words.next().map(str::to_owned)),
            Some("search") => {
                // With and without its last dot a domain is the same.
                let bare = |word: &str| match word.strip_suffix('.') {
                    Some(bare) if !bare.is_empty() => bare.to_owned(),
                    _ => word.to_owned(),
                };
                config.searches = words.map(bare).collect();
            }
            Some("options") => words.for_each(|word| set(&mut config.options, word)),
            _ => {}
        }
    }
    config
}

fn add(config: &mut DnsConfig, own: &api::PodDNSConfig) {
    for server in own.nameservers.iter().flatten() {
        add_once(&mut config.servers, server);
    }
    for search in own.searches.iter().flatten() {
        add_once(&mut config.searches, search);
    }
    for option in own.options.iter().flatten() {
        let name = option.name.as_deref().unwrap_or_default();
        match option.value.as_deref() {
            None | Some("") => set(&mut config.options, name),
            Some(value) => set(&mut config.options, &format!("{name}:{value}")),
        }
    }
}

fn add_once(list: &mut Vec<String>, text: &str) {
    if list.iter().all(|known| known != text) {
        list.push(text.to_owned());
    }
}

/// An option that is there already takes the new value and keeps its place.
fn set(options: &mut Vec<String>, option: &str) {
    let name = |option: &str| option.split(':').next().map(str::to_owned);
    let known = |known: &&mut String| name(known) == name(option);
    match options.iter_mut().find(known) {
        Some(known) => option.clone_into(known),
        None => options.push(option.to_owned()),
    }
}

/// Says whether anything was left out.
fn cut_searches(searches: &mut Vec<String>) -> bool {
    let asked = searches.len();
    searches.truncate(SEARCHES);
    searches.retain(|domain| domain.len() <= DOMAIN_BYTES);
    let mut bytes = 0;
    let fitting = searches
        .iter()
        .take_while(|domain| {
            bytes += domain.len() + usize::from(bytes > 0);
            bytes <= SEARCH_BYTES
        })
        .count();
    searches.truncate(fitting);
    searches.len() < asked
}

#[cfg(test)]
mod tests;
