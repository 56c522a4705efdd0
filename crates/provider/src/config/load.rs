//! From a path to a checked configuration.

use std::{path::Path, sync::Arc};

use secret::file;
use yaml::{
    fault::{Fault, Show},
    source::{Place, Source},
    tree,
};

use super::{
    check::check,
    error::{ConfigError, Faults},
    overrides::Overrides,
    schema::schema,
    settings::{Config, Origin},
    walk,
};

/// Reads, checks and resolves the file at `path`; what `serve` starts from.
///
/// # Errors
/// [`ConfigError`], with every problem of the file in one message. Another identity than
/// `transit.expectedFingerprint` is one of them.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Config, ConfigError> {
    let config = read(path, overrides)?;
    config.check_identity()?;
    Ok(config)
}

/// As [`load`], but takes any identity: for commands that show what it is.
///
/// # Errors
/// [`ConfigError`]
pub fn read(path: &Path, overrides: &Overrides) -> Result<Config, ConfigError> {
    let bytes = file::read(path, &file::CONFIG).map_err(ConfigError::File)?;
    let text = String::from_utf8(bytes).map_err(|error| ConfigError::NotText {
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })?;
    parse(Source::new(path.display().to_string(), text), overrides)
}

/// Checks a text; pure.
pub(crate) fn parse(source: Source, overrides: &Overrides) -> Result<Config, ConfigError> {
    let mut faults = Vec::new();
    let root = tree::read(&source, &mut faults);
    let Some(mut root) = root.filter(|root| root.kind != tree::Kind::Null) else {
        if faults.is_empty() {
            return Err(ConfigError::Empty {
                path: source.name().into(),
            });
        }
        return Err(Faults::new(&source, &faults).into());
    };
    overrides.apply(&mut root);
    let (document, places) = walk::walk(&root, schema(), &mut faults);
    let raw = match serde_json::from_value(document) {
        Ok(raw) => raw,
        // The walk lets nothing through that the types refuse; a test holds them together.
        Err(error) => {
            faults.push(Fault {
                field: String::new(),
                place: Place::Nowhere,
                message: format!("does not decode ({:?})", error.classify()),
                advice: "report this as a fault of the program".to_owned(),
                show: Show::Hidden,
            });
            return Err(Faults::new(&source, &faults).into());
        }
    };
    let sections = check(&raw, &places, &mut faults);
    match sections {
        Some(sections) if faults.is_empty() => Ok(Config {
            server: sections.server,
            openbao: sections.openbao,
            auth: sections.auth,
            transit: sections.transit,
            bootstrap: sections.bootstrap,
            status: sections.status,
            state: sections.state,
            rotation: sections.rotation,
            logging: sections.logging,
            origin: Arc::new(Origin {
                source,
                places,
                raw,
            }),
        }),
        _ => Err(Faults::new(&source, &faults).into()),
    }
}

impl Config {
    /// The fingerprint of the identity: equal on all nodes of a cluster, and public.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        registry::fingerprint::of(
            &self.transit.scope,
            &self.transit.mount_path,
            &self.transit.key_name,
        )
    }

    /// Whether the identity is the expected one, where one is expected.
    ///
    /// # Errors
    /// The fault of `transit.expectedFingerprint`.
    pub fn check_identity(&self) -> Result<(), ConfigError> {
        match &self.transit.expected_fingerprint {
            Some(expected) if *expected != self.fingerprint() => Err(self.refuse(
                "transit.expectedFingerprint",
                format!(
                    "is not the fingerprint of this file's identity, which is {}",
                    self.fingerprint()
                ),
                "data that exists was written under the expected identity: put the changed \
                 name, id, namespace, mount or key back",
            )),
            _ => Ok(()),
        }
    }

    /// An error about `field` that only the host or the server could show, with the field's
    /// position in the file. `message` is a predicate of the field, `advice` an imperative.
    #[must_use]
    pub fn refuse(
        &self,
        field: &str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> ConfigError {
        Faults::new(&self.origin.source, &[self.fault(field, message, advice)]).into()
    }

    pub(crate) fn fault(
        &self,
        field: &str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Fault {
        let (place, show) = self.origin.places.find(field);
        Fault {
            field: field.to_owned(),
            place,
            message: message.into(),
            advice: advice.into(),
            show,
        }
    }
}
