//! Keeps one [`Remote`] up to date: fetches when it is time, and writes to the store.

use std::{path::PathBuf, pin::pin, sync::Arc, time::Duration};

use http::HeaderName;
use pace::Clock;
use secret::SecretText;
use tokio::{sync::mpsc, task::spawn_blocking, time::sleep};

use crate::{
    address::Address,
    fetch::{Question, fetch},
    folder::{Order, with_cause},
    kept::{Kept, KeptError, Remembered, boot},
    remote::{Answer, Remote},
    trust::Trust,
    view::{Change, Decoder, View},
};

/// A manifest URL.
pub struct Settings {
    /// Where.
    pub address: Address,
    /// Sent with each request; names may repeat.
    pub headers: Vec<(HeaderName, SecretText)>,
    /// The authorities that may vouch for the host; without it, the system's.
    pub ca_file: Option<PathBuf>,
    /// From the end of a fetch to the next.
    pub period: Duration,
    /// The agent's root directory, where the last good body is kept.
    pub root: PathBuf,
}

/// A source on the network.
pub struct Site<D: Decoder> {
    machine: Remote<D::Pod>,
    settings: Settings,
    trust: Trust,
    decoder: Arc<D>,
    clock: Arc<dyn Clock>,
    kept: Kept,
    keep_trouble: Option<String>,
    first: Vec<Change>,
}

impl<D: Decoder> Site<D> {
    /// Opens the store and puts in force what it remembers; damaged pieces are in the answer.
    /// Blocks on the disk of the agent's root directory.
    ///
    /// # Errors
    /// [`KeptError::Directory`]: the store cannot be used.
    pub fn open(
        mut settings: Settings,
        decoder: Arc<D>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Vec<KeptError>), KeptError> {
        let url = settings.address.to_string();
        let (kept, remembered) = Kept::open(&settings.root, &url, boot())?;
        let Remembered { body, damaged, .. } = remembered;
        let mut machine = Remote::new(url, settings.period);
        let first = body.map_or_else(Vec::new, |body| machine.restore(body, &*decoder));
        let site = Self {
            machine,
            trust: Trust::new(settings.ca_file.take()),
            settings,
            decoder,
            clock,
            kept,
            keep_trouble: None,
            first,
        };
        Ok((site, damaged))
    }

    /// What is in force before the first fetch.
    #[must_use]
    pub fn view(&self) -> View<D::Pod> {
        self.machine.view()
    }

    /// Works until `stop`. Every change is told with the view after it; the first call tells what
    /// the store remembered.
    pub async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        stop: impl Future<Output = ()>,
        mut tell: impl FnMut(Vec<Change>, Arc<View<D::Pod>>),
    ) {
        let mut stop = pin!(stop);
        let mut open = true;
        tell(
            std::mem::take(&mut self.first),
            Arc::new(self.machine.view()),
        );
        loop {
            let outcome = tokio::select! {
                biased;
                () = &mut stop => return,
                outcome = self.fetch() => outcome,
            };
            let now = self.clock.now();
            let mut changes = self.machine.fetched(outcome, now, &*self.decoder);
            changes.extend(self.keep().await);
            if !changes.is_empty() {
                tell(changes, Arc::new(self.machine.view()));
            }
            let wait = self.machine.next().saturating_sub(now.mono);
            let mut rest = pin!(sleep(wait));
            loop {
                tokio::select! {
                    biased;
                    () = &mut stop => return,
                    order = orders.recv(), if open => {
                        open = order.is_some();
                        if order == Some(Order::Look) {
                            break;
                        }
                    }
                    () = &mut rest => break,
                }
            }
        }
    }

    async fn fetch(&mut self) -> Result<Answer, String> {
        let mut trust = None;
        if self.settings.address.tls {
            let mut shelf = std::mem::take(&mut self.trust);
            let made = spawn_blocking(move || {
                let config = shelf.config();
                (shelf, config)
            });
            let Ok((shelf, config)) = made.await else {
                return Err("cannot be fetched: its CA bundle was not read".into());
            };
            self.trust = shelf;
            trust = Some(config.map_err(|error| with_cause(&error))?);
        }
        let address = &self.settings.address;
        let question = Question {
            address,
            headers: &self.settings.headers,
            tag: self.machine.tag(),
            trust,
        };
        let answer = fetch(question).await;
        answer.map_err(|error| format!("{address} {}; nothing changes", with_cause(&error)))
    }

    async fn keep(&mut self) -> Option<Change> {
        let body = self.machine.take_unkept()?;
        let kept = self.kept.clone();
        let stored = spawn_blocking(move || kept.put_body(&body)).await;
        let trouble = match stored {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(with_cause(&error)),
            Err(_) => Some("a manifest cannot be kept".into()),
        };
        if trouble.is_some() {
            self.machine.not_kept();
        }
        if trouble == self.keep_trouble {
            return None;
        }
        self.keep_trouble.clone_from(&trouble);
        Some(Change::Kept(trouble))
    }
}

#[cfg(test)]
mod tests;
