//! Why a runtime is not asked for a sandbox or a container.

use pod::{env::EnvError, image::ImageError};
use thiserror::Error;

/// What stands in the way, in a pod that is otherwise sound.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reason {
    /// Directories are named after it.
    #[error(
        "the uid {0:?} cannot be the name of a directory: write letters, digits, '-', '_' and '.'"
    )]
    Uid(String),
    /// Linux holds 64 bytes.
    #[error(
        "the host name {name} has {} bytes and a kernel holds 64: shorten it, or remove \
         setHostnameAsFQDN",
        name.len()
    )]
    HostName {
        /// What it would be.
        name: String,
    },
    /// Nothing but separators within the first 63 bytes.
    #[error("nothing is left of the pod's name {0:?} as a host name: set spec.hostname")]
    NoHostName(String),
    /// The agent's own table has no such name.
    #[error("there is no runtime class {0} in the agent's table")]
    RuntimeClass(String),
    /// Ids would have to be set aside for each pod.
    #[error("no ids are set aside for user namespaces: remove hostUsers: false")]
    UserNamespace,
    /// `runAsNonRoot` beside `runAsUser: 0`.
    #[error("container {0} has runAsNonRoot and runAsUser 0: remove one of them")]
    RootByManifest(String),
    /// `runAsNonRoot`, and the image says 0 or nothing.
    #[error(
        "container {0} has runAsNonRoot and its image runs as root: set runAsUser to a number \
         other than 0"
    )]
    RootByImage(String),
    /// `runAsNonRoot`, and the image gives a name: only the image's own files could tell its
    /// number.
    #[error(
        "container {container} has runAsNonRoot and its image's user is the name {user:?}, which \
         may be root: set runAsUser to its number"
    )]
    NamedUser {
        /// Of the manifest.
        container: String,
        /// Of the image.
        user: String,
    },
    /// Of seccomp or AppArmor.
    #[error("container {container} has the {kind} profile {profile:?}, which is none")]
    Profile {
        /// Of the manifest.
        container: String,
        /// `seccomp` or `AppArmor`.
        kind: &'static str,
        /// As in the manifest.
        profile: String,
    },
    /// Validation lets only quantities through, which may still be for pages that are not there.
    #[error("container {container} asks for {resource}, and the node has no pages of that size")]
    HugePages {
        /// Of the manifest.
        container: String,
        /// `hugepages-2Mi`.
        resource: String,
    },
    /// Of a name that expansion knows, of an object, of a file.
    #[error("container {container} has no environment")]
    Environment {
        /// Of the manifest.
        container: String,
        /// What is wrong with which variable.
        #[source]
        source: EnvError,
    },
    /// Its volume was not prepared.
    #[error("container {container} mounts {path}, for which nothing was prepared")]
    Mount {
        /// Of the manifest.
        container: String,
        /// In the container.
        path: String,
    },
    /// As the runtime would refuse it.
    #[error("container {container} has the image {image:?}")]
    Image {
        /// Of the manifest.
        container: String,
        /// As in the manifest.
        image: String,
        /// Why it is none.
        #[source]
        source: ImageError,
    },
}

impl Reason {
    /// The word under which a kubelet shows it in the status of a container or as an event.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Uid(_)
            | Self::HostName { .. }
            | Self::NoHostName(_)
            | Self::RuntimeClass(_)
            | Self::UserNamespace => "FailedCreatePodSandBox",
            Self::RootByManifest(_)
            | Self::RootByImage(_)
            | Self::NamedUser { .. }
            | Self::Profile { .. }
            | Self::HugePages { .. }
            | Self::Environment { .. }
            | Self::Mount { .. } => "CreateContainerConfigError",
            Self::Image { .. } => "InvalidImageName",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_container_names_it() {
        let container = || "main".to_owned();
        let reasons = [
            Reason::RootByManifest(container()),
            Reason::RootByImage(container()),
            Reason::NamedUser {
                container: container(),
                user: "web".into(),
            },
            Reason::Profile {
                container: container(),
                kind: "seccomp",
                profile: "x".into(),
            },
            Reason::HugePages {
                container: container(),
                resource: "hugepages-2Mi".into(),
            },
            Reason::Environment {
                container: container(),
                source: EnvError::Field("A".into()),
            },
            Reason::Mount {
                container: container(),
                path: "/x".into(),
            },
        ];
        for reason in reasons {
            assert_eq!(reason.code(), "CreateContainerConfigError");
            let text = reason.to_string();
            assert!(
                text.contains("container main") && !text.ends_with('.'),
                "{text}"
            );
        }
    }
}
