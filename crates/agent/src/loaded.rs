//! Manifests as this room needs them: read, named, and ready for the planner.

use std::{path::Path, sync::Arc};

use manifests::view::{Decoder, Named};
use pace::Clock;
use plan::Wanted;
use pod::{Item, Node, Origin, Pod, Reading, RuntimeFeatures, api, refusals};

use crate::wants;

/// One pod of a manifest.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The pod.
    pub pod: Arc<Pod>,
    /// What the planner is told of it.
    pub wanted: Arc<Wanted>,
    /// When its manifest was accepted, in Unix seconds, if its source remembers.
    pub since: Option<i64>,
}

impl Named for Loaded {
    fn full_name(&self) -> String {
        self.pod.key.to_string()
    }
}

/// Reads the manifests of one source for one node.
pub struct Manifests {
    source: String,
    node: Node,
    features: Option<RuntimeFeatures>,
    clock: Arc<dyn Clock>,
}

impl Manifests {
    /// `source` is the configured path or URL. With the runtime's features given, a manifest that
    /// asks for what the runtime cannot give is refused.
    #[must_use]
    pub fn new(
        source: String,
        node: Node,
        features: Option<RuntimeFeatures>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            source,
            node,
            features,
            clock,
        }
    }

    fn load(&self, item: &Item) -> Result<Loaded, String> {
        let Ok(manifest) = &item.manifest else {
            return Err(format!("pod {} has faults", item.key));
        };
        let seen = jiff::Timestamp::from_second(self.clock.now().wall).unwrap_or_default();
        let pod = pod::name(manifest, &self.node, &api::Time(seen));
        let pod = pod.map_err(|error| error.to_string())?;
        if let Some(features) = &self.features {
            let refused = refusals::by_runtime(&pod.api, features);
            if !refused.is_empty() {
                let lines = refused.iter();
                let lines = lines.map(|r| format!("{} {}: {}", r.field, r.reason, r.advice));
                return Err(lines.collect::<Vec<_>>().join("\n"));
            }
        }
        let wanted = wants::wanted(&pod, &self.node, &self.source);
        Ok(Loaded {
            pod: Arc::new(pod),
            wanted: Arc::new(wanted),
            since: None,
        })
    }

    fn all(&self, reading: &Reading) -> Result<Vec<Loaded>, String> {
        let errors = reading.errors();
        if !errors.is_empty() {
            return Err(yaml::fault::render(&reading.source, &errors));
        }
        reading.items.iter().map(|item| self.load(item)).collect()
    }
}

impl Decoder for Manifests {
    type Pod = Loaded;

    fn file(&self, path: &Path, bytes: &[u8]) -> Result<Loaded, String> {
        let name = path.to_string_lossy();
        let reading = pod::read(&Origin::File(name.clone().into_owned()), &name, bytes);
        let pods = self.all(&reading)?;
        let pod = pods.into_iter().next();
        pod.ok_or_else(|| "the file holds no pod".to_owned())
    }

    fn list(&self, url: &str, bytes: &[u8]) -> Result<Vec<Loaded>, String> {
        let reading = pod::read(&Origin::Url(url.to_owned()), url, bytes);
        self.all(&reading)
    }
}
