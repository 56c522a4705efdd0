//! Whether an image must be fetched before a container starts.

use pod::{api, image::Reference};

use crate::reason::Reason;

/// What to do about an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// It is here.
    Use,
    /// Ask the runtime for it.
    Fetch,
}

/// What the runtime is asked for: with a tag of `latest` where neither tag nor digest is written.
///
/// # Errors
///
/// The manifest names no image.
pub fn reference(container: &api::Container) -> Result<String, Reason> {
    let image = container.image.as_deref().unwrap_or_default();
    let parsed: Result<Reference, _> = image.parse();
    parsed
        .map(|reference| reference.for_pull())
        .map_err(|source| Reason::Image {
            container: container.name.clone(),
            image: image.to_owned(),
            source,
        })
}

/// Decided anew at every start of a container. `Always` fetches what is here, too: a tag may name
/// another image now.
///
/// # Errors
///
/// The image is not here and must not be fetched.
pub fn decide(container: &api::Container, present: bool) -> Result<Pull, Reason> {
    match (container.image_pull_policy.as_deref(), present) {
        (Some("Always"), _) => Ok(Pull::Fetch),
        (_, true) => Ok(Pull::Use),
        (Some("Never"), false) => Err(Reason::Absent {
            container: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
        }),
        (_, false) => Ok(Pull::Fetch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{container, pod};
    use serde_json::json;

    #[test]
    fn the_policy_and_what_is_here_decide() {
        for (policy, present, expected) in [
            ("Always", true, Some(Pull::Fetch)),
            ("Always", false, Some(Pull::Fetch)),
            ("IfNotPresent", true, Some(Pull::Use)),
            ("IfNotPresent", false, Some(Pull::Fetch)),
            ("Never", true, Some(Pull::Use)),
            ("Never", false, None),
        ] {
            let container = api::Container {
                name: "main".into(),
                image: Some("web:1".into()),
                image_pull_policy: Some(policy.into()),
                ..api::Container::default()
            };
            let decided = decide(&container, present);
            assert_eq!(decided.clone().ok(), expected, "{policy} {present}");
            assert!(decided.is_ok() || decided.unwrap_err().code() == "ErrImageNeverPull");
        }
    }

    #[test]
    fn a_name_alone_means_latest_and_what_is_no_name_is_refused() {
        let image = |image: &str| {
            let pod = pod(
                "p",
                json!({"containers": [{"name": "main", "image": image}]}),
            );
            reference(container(&pod, "main"))
        };
        assert_eq!(image("web"), Ok("web:latest".into()));
        assert_eq!(image("web:1"), Ok("web:1".into()));
        let refused = image("Web Server").unwrap_err();
        assert_eq!(refused.code(), "InvalidImageName");
    }
}
