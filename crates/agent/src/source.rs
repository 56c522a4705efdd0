//! Sources of manifests, and what they say.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use manifests::{
    folder::{Folder, Order},
    site::Site,
    view::{Change, Report, View},
};
use tokio::sync::{mpsc, watch};

use crate::loaded::{Loaded, Manifests};

/// What one source says at one instant.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Everything in it was read: what it does not name is gone.
    pub complete: bool,
    /// What is to run, the first of a name counts.
    pub pods: Vec<Loaded>,
    /// Why it cannot be read as a whole now.
    pub trouble: Option<String>,
    /// Its files, for people.
    pub files: Vec<Arc<Report>>,
}

impl Said {
    fn of(view: &View<Loaded>) -> Self {
        Self {
            // A manifest that is there and not understood may belong to any pod that runs.
            complete: view.ready && view.spared.is_empty(),
            pods: view
                .in_force
                .iter()
                .map(|m| since(&m.pod, m.accepted))
                .collect(),
            trouble: view.trouble.clone(),
            files: view.files.clone(),
        }
    }
}

fn since(pod: &Loaded, accepted: i64) -> Loaded {
    Loaded {
        since: Some(accepted),
        ..pod.clone()
    }
}

/// A source, under its configured path or URL.
pub enum Source {
    /// A directory or a file.
    Folder(String, Box<Folder<Manifests>>),
    /// A URL.
    Site(String, Box<Site<Manifests>>),
    /// Whatever the program itself hands in.
    Given(String, watch::Receiver<Said>),
}

/// Takes what a source says.
pub(crate) type Tell = Box<dyn FnMut(Vec<Change>, Said) + Send>;

impl Source {
    /// As configured.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Folder(name, _) | Self::Site(name, _) | Self::Given(name, _) => name,
        }
    }

    /// Works until `stop`.
    pub(crate) fn run(
        self,
        orders: mpsc::Receiver<Order>,
        stop: BoxFuture<'static, ()>,
        mut tell: Tell,
    ) -> BoxFuture<'static, ()> {
        match self {
            Self::Folder(_, folder) => Box::pin(folder.run(orders, stop, move |changes, view| {
                tell(changes, Said::of(&view));
            })),
            Self::Site(_, site) => Box::pin(site.run(orders, stop, move |changes, view| {
                tell(changes, Said::of(&view));
            })),
            Self::Given(_, mut said) => Box::pin(async move {
                let listen = async {
                    loop {
                        let now = said.borrow_and_update().clone();
                        tell(Vec::new(), now);
                        if said.changed().await.is_err() {
                            // Nobody will say anything else; what was said holds.
                            std::future::pending::<()>().await;
                        }
                    }
                };
                tokio::select! {
                    () = stop => {}
                    () = listen => {}
                }
            }),
        }
    }
}
