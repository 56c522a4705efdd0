//! Questions and wishes to a running agent.

use std::{sync::Arc, time::Duration};

use manifests::{folder::Order, view::Report};
use plan::{PodKey, Seen, Why};
use pod::{Pod, api};
use tokio::sync::{mpsc, oneshot, watch};

/// The agent does not run any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the agent is stopping and takes no more questions")]
pub struct Gone;

/// One pod.
#[derive(Debug, Clone)]
pub struct PodView {
    /// Its name.
    pub key: PodKey,
    /// As wanted; `None` when its manifest is gone and it is being stopped.
    pub pod: Option<Arc<Pod>>,
    /// As a kubelet would publish it; empty without a manifest.
    pub status: api::PodStatus,
    /// Ready, or ended well.
    pub ready: bool,
    /// Something of it is being stopped.
    pub stopping: bool,
    /// What the runtime listed last; `None` before the first list.
    pub seen: Option<Seen>,
    /// What is waited for.
    pub waits: Vec<Waiting>,
    /// The source that the manifest was read from.
    pub source: Option<String>,
}

/// One thing that a pod waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The container it is about; `None` for the pod.
    pub container: Option<String>,
    /// The reason.
    pub why: Why,
    /// When it ends by itself: wall clock, Unix seconds.
    pub until: Option<i64>,
}

/// One source.
#[derive(Debug, Clone)]
pub struct SourceView {
    /// Its path or URL.
    pub name: String,
    /// It was read completely.
    pub complete: bool,
    /// Why it cannot be read as a whole now.
    pub trouble: Option<String>,
    /// Its files.
    pub files: Vec<Arc<Report>>,
}

/// How often the loop has decided what to do, and how long that took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passes {
    /// In this run of the agent.
    pub count: u64,
    /// All together.
    pub took: Duration,
    /// The longest one.
    pub longest: Duration,
}

/// Everything there is to know at one instant.
#[derive(Debug, Clone)]
pub struct Overview {
    /// In the order of their names.
    pub pods: Vec<PodView>,
    /// In the order of the configuration.
    pub sources: Vec<SourceView>,
    /// Why the runtime does not answer, if it does not.
    pub runtime_down: Option<String>,
    /// Why what is remembered cannot be written down, if it cannot.
    pub store_trouble: Option<String>,
    /// How the loop does.
    pub passes: Passes,
    /// Everything was told to stop, and nothing is started.
    pub halted: bool,
    /// When this was true: wall clock, Unix seconds.
    pub wall: i64,
}

/// What is asked of the loop.
pub(crate) enum Ask {
    View(oneshot::Sender<Overview>),
    Restart(PodKey, Option<String>, oneshot::Sender<bool>),
    StopAll(Option<Duration>, oneshot::Sender<bool>),
    StartAll(oneshot::Sender<bool>),
    Sources(Order),
}

/// Asks a running agent. Clones ask the same one.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) changes: watch::Receiver<u64>,
}

impl Handle {
    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Gone> {
        let (sender, answer) = oneshot::channel();
        self.asks.send(ask(sender)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    /// Everything there is to know now.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn view(&self) -> Result<Overview, Gone> {
        self.ask(Ask::View).await
    }

    /// Restarts a pod, or one of its containers. `false` where no such thing runs.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn restart(&self, key: PodKey, container: Option<String>) -> Result<bool, Gone> {
        self.ask(|answer| Ask::Restart(key, container, answer))
            .await
    }

    /// Stops everything, the lowest priority first, and starts nothing until
    /// [`Handle::start_all`] or the next run of the agent; answers when all is stopped, with
    /// `false` where that was taken back before. `grace` shortens what the pods ask for.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn stop_all(&self, grace: Option<Duration>) -> Result<bool, Gone> {
        self.ask(|answer| Ask::StopAll(grace, answer)).await
    }

    /// Takes [`Handle::stop_all`] back: what is wanted starts again. `false` where nothing was
    /// told to stop.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn start_all(&self) -> Result<bool, Gone> {
        self.ask(Ask::StartAll).await
    }

    /// Looks at all sources now.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn look(&self) -> Result<(), Gone> {
        self.order(Order::Look).await
    }

    /// Takes the directories that came in the place of those of before as the ones that are
    /// meant: what they lack is gone.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn accept_replacements(&self) -> Result<(), Gone> {
        self.order(Order::AcceptReplacement).await
    }

    async fn order(&self, order: Order) -> Result<(), Gone> {
        self.asks.send(Ask::Sources(order)).await.map_err(|_| Gone)
    }

    /// Grows with every change, for those who watch.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}
