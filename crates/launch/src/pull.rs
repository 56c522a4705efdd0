//! What a runtime is asked for when an image is fetched.

use pod::{api, image::Reference};

use crate::reason::Reason;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{container, pod};
    use serde_json::json;

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
