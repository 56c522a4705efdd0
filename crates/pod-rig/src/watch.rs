//! Never two instances of one name, looked at all the time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use cri::{
    Client, Runtime as _,
    v1::{PodSandbox, PodSandboxState},
};
use fake_cri::containerd::Rig;

use crate::sight::{Instance, instances};

const LOOK: Duration = Duration::from_millis(25);

/// Looks at the lists of a runtime again and again, from its making to [`Watch::end`].
pub struct Watch {
    stop: Arc<AtomicBool>,
    looking: Option<JoinHandle<Seen>>,
}

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    looks: usize,
    doubles: Vec<String>,
}

impl Watch {
    /// Begins.
    #[must_use]
    pub fn begin(rig: &Rig) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let endpoint = rig.endpoint().clone();
        let looking = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let client = Client::new(endpoint);
                let mut seen = Seen::default();
                while !told.load(Ordering::Relaxed) {
                    look(&client, &mut seen).await;
                    tokio::time::sleep(LOOK).await;
                }
                seen
            })
        });
        Self {
            stop,
            looking: Some(looking),
        }
    }

    /// How often it looked.
    ///
    /// # Panics
    /// Where two containers of one name in one pod, or two sandboxes of one pod, ran at once.
    pub fn end(mut self) -> usize {
        let seen = self.finish().expect("the watch looks");
        assert_eq!(seen.doubles, Vec::<String>::new());
        seen.looks
    }

    fn finish(&mut self) -> Option<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.looking.take()?.join().ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

async fn look(client: &Client, seen: &mut Seen) {
    if let Some(containers) = instances(client).await {
        seen.looks += 1;
        let running = containers.iter().filter(|one| one.runs);
        let name = |one: &Instance| format!("{}/{}/{}", one.namespace, one.pod, one.container);
        seen.doubles.extend(doubles(running.map(name)));
    }
    if let Ok(sandboxes) = client.list_pod_sandbox(None).await {
        let ready = |sandbox: &&PodSandbox| sandbox.state() == PodSandboxState::SandboxReady;
        let names = sandboxes.iter().filter(ready).filter_map(|sandbox| {
            let metadata = sandbox.metadata.as_ref()?;
            Some(format!("{}/{}", metadata.namespace, metadata.name))
        });
        seen.doubles.extend(doubles(names));
    }
}

fn doubles(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut count = BTreeMap::new();
    for name in names {
        *count.entry(name).or_insert(0) += 1;
    }
    let several = count.into_iter().filter(|(_, count)| *count > 1);
    several
        .map(|(name, count)| format!("{count} of {name}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_there_twice_is_told() {
        let names = ["a", "b", "a"].map(str::to_owned);
        assert_eq!(doubles(names.into_iter()), ["2 of a"]);
    }
}
