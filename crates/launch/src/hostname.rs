//! The name that a pod has for itself.

use pod::{Pod, api};

use crate::{node::Dns, reason::Reason};

/// A host name without its domain, in bytes.
const LONGEST_LABEL: usize = 63;
/// What a kernel holds, in bytes.
const LONGEST: usize = 64;

/// A host name and the domain that it is known under, which is empty without `subdomain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName {
    /// The first part, or all of a `hostnameOverride`.
    pub name: String,
    /// Without a dot at either end.
    pub domain: String,
}

/// The host name of a pod that has a network of its own: `hostnameOverride`, `hostname`, or the
/// pod's name as far as it fits.
///
/// # Errors
///
/// Nothing is left of the name when it is cut, or the override is too long.
pub fn of(pod: &Pod, dns: &Dns) -> Result<HostName, Reason> {
    let spec = pod.api.spec.as_ref();
    if let Some(name) = spec.and_then(|spec| text(&spec.hostname_override)) {
        if name.len() > LONGEST {
            return Err(Reason::HostName {
                name: name.to_owned(),
            });
        }
        return Ok(HostName {
            name: name.to_owned(),
            domain: String::new(),
        });
    }
    let whole = spec
        .and_then(|spec| text(&spec.hostname))
        .unwrap_or(&pod.key.name);
    let domain =
        spec.and_then(|spec| text(&spec.subdomain))
            .map_or_else(String::new, |subdomain| {
                let services = format!("{subdomain}.{}.svc", pod.key.namespace);
                match dns.domain.as_str() {
                    "" => services,
                    domain => format!("{services}.{domain}"),
                }
            });
    Ok(HostName {
        name: cut(whole)?,
        domain,
    })
}

/// What the kernel is given: the host name, with its domain behind it under `setHostnameAsFQDN`.
///
/// # Errors
///
/// It is longer than a kernel holds.
pub fn for_kernel(spec: &api::PodSpec, host: &HostName) -> Result<String, Reason> {
    let qualified = spec.set_hostname_as_fqdn.unwrap_or_default() && !host.domain.is_empty();
    if !qualified {
        return Ok(host.name.clone());
    }
    let name = format!("{}.{}", host.name, host.domain);
    if name.len() > LONGEST {
        return Err(Reason::HostName { name });
    }
    Ok(name)
}

fn cut(whole: &str) -> Result<String, Reason> {
    if whole.len() <= LONGEST_LABEL {
        return Ok(whole.to_owned());
    }
    let end = whole.floor_char_boundary(LONGEST_LABEL);
    let kept = whole.get(..end).unwrap_or_default();
    match kept.trim_end_matches(['-', '.']) {
        "" => Err(Reason::NoHostName(whole.to_owned())),
        name => Ok(name.to_owned()),
    }
}

fn text(field: &Option<String>) -> Option<&str> {
    field.as_deref().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::pod;
    use serde_json::json;

    fn dns() -> Dns {
        Dns {
            domain: "cluster.local".into(),
            ..Dns::default()
        }
    }

    fn kernel(spec: serde_json::Value) -> Result<String, Reason> {
        let pod = pod("web", spec);
        let host = of(&pod, &dns())?;
        for_kernel(pod.api.spec.as_ref().unwrap(), &host)
    }

    #[test]
    fn the_kernel_gets_the_name_that_the_manifest_asks_for() {
        let long = "a".repeat(60);
        for (spec, expected) in [
            (json!({}), Ok("web")),
            (json!({"hostname": ""}), Ok("web")),
            (json!({"hostname": "front"}), Ok("front")),
            (json!({"hostname": "front", "subdomain": "s"}), Ok("front")),
            (
                json!({"subdomain": "s", "setHostnameAsFQDN": true}),
                Ok("web.s.ns.svc.cluster.local"),
            ),
            (json!({"setHostnameAsFQDN": true}), Ok("web")),
            (
                json!({"hostnameOverride": "a.b.c", "hostname": "x", "subdomain": "s", "setHostnameAsFQDN": true}),
                Ok("a.b.c"),
            ),
            (
                json!({"hostname": long, "subdomain": "s", "setHostnameAsFQDN": true}),
                Err(format!("{long}.s.ns.svc.cluster.local")),
            ),
            (
                json!({"hostnameOverride": "b".repeat(65)}),
                Err("b".repeat(65)),
            ),
        ] {
            let expected = expected
                .map(str::to_owned)
                .map_err(|name| Reason::HostName { name });
            assert_eq!(kernel(spec), expected);
        }
    }

    #[test]
    fn a_name_of_64_bytes_with_its_domain_still_fits() {
        // ".s.ns.svc.cluster.local" has 23.
        let spec = |length: usize| json!({"hostname": "a".repeat(length), "subdomain": "s", "setHostnameAsFQDN": true});
        assert_eq!(kernel(spec(41)).map(|name| name.len()), Ok(64));
        assert!(kernel(spec(42)).is_err());
    }

    #[test]
    fn a_domain_needs_no_cluster() {
        let host = of(&pod("web", json!({"subdomain": "s"})), &Dns::default()).unwrap();
        assert_eq!(host.domain, "s.ns.svc");
    }

    #[test]
    fn separators_at_the_cut_are_dropped() {
        let kept = "a".repeat(60);
        assert_eq!(cut(&format!("{kept}-.-b")), Ok(kept));
        assert_eq!(cut(&"a".repeat(64)), Ok("a".repeat(63)));
        let nothing = "-".repeat(64);
        assert_eq!(cut(&nothing), Err(Reason::NoHostName(nothing)));
    }

    proptest! {
        #[test]
        fn any_name_fits_or_says_that_nothing_is_left(name in "[a-z0-9.é-]{1,253}") {
            if let Ok(kept) = cut(&name) {
                prop_assert!(kept.len() <= LONGEST_LABEL && !kept.is_empty());
                prop_assert!(name.starts_with(&kept));
                prop_assert!(name.len() <= LONGEST_LABEL || !kept.ends_with(['-', '.']));
            }
        }
    }
}
