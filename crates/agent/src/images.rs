//! Images by policy. When a failed pull is tried again, the planner says.

use cri::{
    Fault, Runtime,
    v1::{Image, PodSandboxConfig},
};
use plan::{Failure, FailureClass, Outcome};
use pod::{api, image::Reference};

fn failed(reason: &str, message: String) -> Outcome {
    Outcome::Failed(Failure {
        class: FailureClass::Pull,
        reason: reason.to_owned(),
        message,
    })
}

fn asked(error: &cri::Error, reason: &str) -> Outcome {
    match error.fault {
        Fault::Unavailable { .. } | Fault::Deadline { .. } => Outcome::Lost,
        _ => failed(reason, error.to_string()),
    }
}

/// The image of a container, fetched if its policy wants that; else how the start ended.
pub(crate) async fn ensure(
    runtime: &dyn Runtime,
    container: &api::Container,
    sandbox: PodSandboxConfig,
) -> Result<Image, Outcome> {
    let text = container.image.as_deref().unwrap_or_default();
    let name = match text.parse::<Reference>() {
        Ok(reference) => reference.for_pull(),
        Err(error) => return Err(failed("InvalidImageName", format!("{text:?}: {error}"))),
    };
    let status = async |name: &str| {
        let status = runtime.image_status(name).await;
        status.map_err(|error| asked(&error, "ImageInspectError"))
    };
    let policy = container.image_pull_policy.as_deref();
    if policy != Some("Always") {
        if let Some(image) = status(&name).await? {
            return Ok(image);
        }
        if policy == Some("Never") {
            let message = format!(
                "image {name} is not on this node, and imagePullPolicy Never forbids to fetch it"
            );
            return Err(failed("ErrImageNeverPull", message));
        }
    }
    let pulled = runtime.pull_image(&name, Some(sandbox)).await;
    let pulled = pulled.map_err(|error| asked(&error, "ErrImagePull"))?;
    match status(&pulled).await? {
        Some(image) => Ok(image),
        None => Err(failed(
            "ErrImagePull",
            format!("image {name} was fetched as {pulled} and is gone again"),
        )),
    }
}
