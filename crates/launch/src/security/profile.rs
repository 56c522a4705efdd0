//! Profiles of seccomp and AppArmor.

use cri::v1::{SecurityProfile, security_profile::ProfileType};
use pod::{Pod, api};

use crate::{node::Node, reason::Reason};

/// Before there was a field, a pod named the profile of each container by an annotation.
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const LOCALHOST: &str = "localhost/";

/// Of the container, else of the pod, else none at all unless the node says otherwise.
pub(super) fn seccomp(
    node: &Node,
    container: &api::Container,
    wanted: Option<&api::SeccompProfile>,
) -> Result<SecurityProfile, Reason> {
    let Some(wanted) = wanted else {
        return Ok(of(if node.seccomp_default {
            ProfileType::RuntimeDefault
        } else {
            ProfileType::Unconfined
        }));
    };
    let file = wanted.localhost_profile.as_deref().unwrap_or_default();
    match wanted.type_.as_str() {
        "RuntimeDefault" => Ok(of(ProfileType::RuntimeDefault)),
        "Unconfined" => Ok(of(ProfileType::Unconfined)),
        "Localhost" if stays_below(file) => Ok(on_host(format!("{}/seccomp/{file}", node.root))),
        "Localhost" => Err(no_profile(container, "seccomp", file)),
        other => Err(no_profile(container, "seccomp", other)),
    }
}

/// Of the container, else of its annotation, else of the pod. Without any the runtime applies its
/// own where the kernel has AppArmor.
pub(super) fn apparmor(
    pod: &Pod,
    container: &api::Container,
    own: &api::SecurityContext,
    of_pod: &api::PodSecurityContext,
) -> Result<Option<SecurityProfile>, Reason> {
    let annotations = pod.api.metadata.annotations.as_ref();
    let annotation = annotations
        .and_then(|annotations| annotations.get(&format!("{APPARMOR}{}", container.name)));
    let wanted = match (&own.app_armor_profile, annotation) {
        (Some(wanted), _) => wanted,
        (None, Some(text)) => return annotated(container, text).map(Some),
        (None, None) => match &of_pod.app_armor_profile {
            Some(wanted) => wanted,
            None => return Ok(None),
        },
    };
    let name = wanted.localhost_profile.as_deref().unwrap_or_default();
    match wanted.type_.as_str() {
        "RuntimeDefault" => Ok(Some(of(ProfileType::RuntimeDefault))),
        "Unconfined" => Ok(Some(of(ProfileType::Unconfined))),
        "Localhost" if !name.is_empty() => Ok(Some(on_host(name.to_owned()))),
        "Localhost" => Err(no_profile(container, "AppArmor", name)),
        other => Err(no_profile(container, "AppArmor", other)),
    }
}

fn annotated(container: &api::Container, text: &str) -> Result<SecurityProfile, Reason> {
    match (text, text.strip_prefix(LOCALHOST)) {
        ("runtime/default", _) => Ok(of(ProfileType::RuntimeDefault)),
        ("unconfined", _) => Ok(of(ProfileType::Unconfined)),
        (_, Some(name)) if !name.is_empty() => Ok(on_host(name.to_owned())),
        _ => Err(no_profile(container, "AppArmor", text)),
    }
}

/// A relative path that never goes up.
fn stays_below(file: &str) -> bool {
    !file.is_empty() && !file.starts_with('/') && file.split('/').all(|part| part != "..")
}

fn of(kind: ProfileType) -> SecurityProfile {
    SecurityProfile {
        profile_type: kind.into(),
        localhost_ref: String::new(),
    }
}

fn on_host(reference: String) -> SecurityProfile {
    SecurityProfile {
        localhost_ref: reference,
        ..of(ProfileType::Localhost)
    }
}

fn no_profile(container: &api::Container, kind: &'static str, profile: &str) -> Reason {
    Reason::Profile {
        container: container.name.clone(),
        kind,
        profile: profile.to_owned(),
    }
}
