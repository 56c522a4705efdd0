//! Images by policy. When a failed pull is tried again, the planner says.

use std::sync::Arc;

use cri::{
    Fault, Runtime,
    v1::{Image, PodSandboxConfig},
};
use plan::{Failure, FailureClass, Outcome};
use pod::{api, image::Reference};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Who fetches waits for a turn, where there are only so many at a time. Clones share them.
#[derive(Clone)]
pub(crate) struct Turns(Option<Arc<Semaphore>>);

impl Turns {
    /// So many at a time; any number without.
    pub(crate) fn new(most: Option<usize>) -> Self {
        Self(most.map(|most| Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)))))
    }

    async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(self.0.as_ref()?).acquire_owned().await.ok()
    }
}

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
    turns: &Turns,
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
    let turn = turns.wait().await;
    let pulled = runtime.pull_image(&name, Some(sandbox)).await;
    let pulled = pulled.map_err(|error| asked(&error, "ErrImagePull"))?;
    drop(turn);
    match status(&pulled).await? {
        Some(image) => Ok(image),
        None => Err(failed(
            "ErrImagePull",
            format!("image {name} was fetched as {pulled} and is gone again"),
        )),
    }
}
