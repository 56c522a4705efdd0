//! The state file as text: its members, their canonical form and its hash.

use serde::Deserialize;

use crate::{
    gojson::Value,
    key_id::KeyId,
    record::{Record, RecordState},
    records::{self, RecordsFault},
    scope::Scope,
    state_hash::StateHash,
    strict::{self, Object},
    verdict::{Corruption, LoadError, PairFile},
};

/// The only schema that is read or written.
const SCHEMA: &str = "keyregistry.openbao-kms/v1alpha1";
/// The only AAD mode there is: always.
const AAD_MODE: &str = "aad.required";
/// Largest state file that is read or written, bytes.
pub(crate) const MAX_BYTES: u64 = 16 << 20;

/// The members of the file, as they stand there.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StateFile {
    schema_version: String,
    generation: u64,
    #[serde(default)]
    previous_hash: String,
    current_hash: String,
    active_key_id: String,
    snapshots: Vec<Object<FileRecord>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FileRecord {
    provider_name: String,
    cluster_id: String,
    openbao_instance_id: String,
    #[serde(default)]
    openbao_namespace: String,
    transit_mount_id: String,
    transit_key_lineage_id: String,
    transit_version: i64,
    transit_version_created_at_unix: i64,
    kubernetes_key_id: String,
    state: String,
    aad_mode: String,
    #[serde(default)]
    observed_at_unix: i64,
    #[serde(default)]
    stable_observation_count: i64,
    #[serde(default)]
    stable_at_unix: i64,
    #[serde(default)]
    promoted_at_unix: i64,
}

/// A file that is not corrupt. Whose it is has not been looked at.
#[derive(Debug, Clone)]
pub(crate) struct Intact {
    file: StateFile,
    pub(crate) generation: u64,
    pub(crate) previous_hash: Option<StateHash>,
    pub(crate) current_hash: StateHash,
    pub(crate) active: Record,
    /// In the order of a written file, whatever the order of this one.
    pub(crate) records: Vec<Record>,
}

impl Intact {
    /// Every rule that needs no configuration: key_ids are derived from the records' own fields.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, LoadError> {
        Self::judge(bytes).map_err(|fault| LoadError::Corrupt {
            file: PairFile::State,
            fault,
        })
    }

    fn judge(bytes: &[u8]) -> Result<Self, Corruption> {
        let file: StateFile = strict::read(bytes, MAX_BYTES)?;
        if file.schema_version != SCHEMA {
            return Err(Corruption::SchemaVersion(SCHEMA));
        }
        if file.generation == 0 {
            return Err(Corruption::GenerationZero);
        }
        let current_hash = file.hash();
        if current_hash.as_str() != file.current_hash {
            return Err(Corruption::Hash);
        }
        let previous_hash = if file.previous_hash.is_empty() {
            None
        } else {
            let parsed = StateHash::parse(&file.previous_hash);
            Some(parsed.ok_or(Corruption::MalformedHash("previousHash"))?)
        };
        let mut records = Vec::with_capacity(file.snapshots.len());
        for Object(record) in &file.snapshots {
            records.push(record.checked()?);
        }
        let active = records::check_set(&records)?.clone();
        if active.key_id.as_str() != file.active_key_id {
            return Err(Corruption::ActiveKeyId);
        }
        records::sort(&mut records);
        Ok(Self {
            generation: file.generation,
            file,
            previous_hash,
            current_hash,
            active,
            records,
        })
    }

    /// Whether every record belongs to `scope`.
    pub(crate) fn check_scope(&self, scope: &Scope) -> Result<(), LoadError> {
        for Object(record) in &self.file.snapshots {
            if let Some(field) = record.first_difference(scope) {
                let version = record.transit_version.unsigned_abs();
                return Err(LoadError::Scope { version, field });
            }
        }
        Ok(())
    }
}

impl StateFile {
    /// The text for `records`, which stand in the order of a written file.
    pub(crate) fn new(
        scope: &Scope,
        generation: u64,
        previous_hash: Option<&StateHash>,
        active: &KeyId,
        records: &[Record],
    ) -> Self {
        let mut file = Self {
            schema_version: SCHEMA.to_owned(),
            generation,
            previous_hash: previous_hash.map_or_else(String::new, |hash| hash.as_str().to_owned()),
            current_hash: String::new(),
            active_key_id: active.to_string(),
            snapshots: records
                .iter()
                .map(|record| Object(FileRecord::new(scope, record)))
                .collect(),
        };
        file.current_hash = file.hash().as_str().to_owned();
        file
    }

    /// Over the canonical form of everything but `currentHash`.
    pub(crate) fn hash(&self) -> StateHash {
        StateHash::of(&Value::Object(self.members(false)).compact())
    }

    /// The file's bytes.
    pub(crate) fn render(&self) -> Vec<u8> {
        Value::Object(self.members(true)).indented().into_bytes()
    }

    fn members(&self, with_hash: bool) -> Vec<(&'static str, Value<'_>)> {
        let mut members = vec![
            ("schemaVersion", Value::Text(&self.schema_version)),
            ("generation", Value::Integer(i128::from(self.generation))),
        ];
        if !self.previous_hash.is_empty() {
            members.push(("previousHash", Value::Text(&self.previous_hash)));
        }
        if with_hash {
            members.push(("currentHash", Value::Text(&self.current_hash)));
        }
        let records = self
            .snapshots
            .iter()
            .map(|record| record.0.value())
            .collect();
        members.push(("activeKeyId", Value::Text(&self.active_key_id)));
        members.push(("snapshots", Value::List(records)));
        members
    }
}

impl FileRecord {
    fn new(scope: &Scope, record: &Record) -> Self {
        Self {
            provider_name: scope.provider_name.clone(),
            cluster_id: scope.cluster_id.clone(),
            openbao_instance_id: scope.openbao_instance_id.clone(),
            openbao_namespace: scope.openbao_namespace.clone(),
            transit_mount_id: scope.transit_mount_id.clone(),
            transit_key_lineage_id: scope.key_lineage_id.clone(),
            // A document holds only versions that fit (see `records::check_fields`).
            transit_version: i64::try_from(record.version).unwrap_or(i64::MAX),
            transit_version_created_at_unix: record.created_unix,
            kubernetes_key_id: record.key_id.to_string(),
            state: record.state.as_str().to_owned(),
            aad_mode: AAD_MODE.to_owned(),
            observed_at_unix: record.observed_unix,
            stable_observation_count: i64::from(record.stable_count),
            stable_at_unix: record.stable_unix,
            promoted_at_unix: record.promoted_unix,
        }
    }

    fn scope(&self) -> Scope {
        Scope {
            provider_name: self.provider_name.clone(),
            cluster_id: self.cluster_id.clone(),
            openbao_instance_id: self.openbao_instance_id.clone(),
            openbao_namespace: self.openbao_namespace.clone(),
            transit_mount_id: self.transit_mount_id.clone(),
            key_lineage_id: self.transit_key_lineage_id.clone(),
        }
    }

    /// The record, if its fields are sound and derive the key_id that is stored with them.
    fn checked(&self) -> Result<Record, Corruption> {
        let no_version = RecordsFault::Version(i128::from(self.transit_version));
        let version = u64::try_from(self.transit_version).map_err(|_| no_version)?;
        let required = [
            ("providerName", &self.provider_name),
            ("clusterId", &self.cluster_id),
            ("openbaoInstanceId", &self.openbao_instance_id),
            ("transitMountId", &self.transit_mount_id),
            ("transitKeyLineageId", &self.transit_key_lineage_id),
        ];
        if let Some((field, _)) = required.into_iter().find(|(_, text)| text.is_empty()) {
            return Err(Corruption::EmptyIdentity { version, field });
        }
        let count = RecordsFault::OutOfRange {
            version,
            field: "stableObservationCount",
        };
        let record = Record {
            version,
            created_unix: self.transit_version_created_at_unix,
            key_id: KeyId::parse(&self.kubernetes_key_id)
                .map_err(|_| RecordsFault::KeyId(version))?,
            state: RecordState::parse(&self.state).ok_or(Corruption::RecordState(version))?,
            observed_unix: self.observed_at_unix,
            stable_count: u32::try_from(self.stable_observation_count).map_err(|_| count)?,
            stable_unix: self.stable_at_unix,
            promoted_unix: self.promoted_at_unix,
        };
        records::check_record(&self.scope(), &record)?;
        Ok(record)
    }

    fn first_difference(&self, scope: &Scope) -> Option<&'static str> {
        let pairs = [
            ("providerName", &*self.provider_name, &*scope.provider_name),
            ("clusterId", &self.cluster_id, &scope.cluster_id),
            (
                "openbaoInstanceId",
                &self.openbao_instance_id,
                &scope.openbao_instance_id,
            ),
            (
                "openbaoNamespace",
                &self.openbao_namespace,
                &scope.openbao_namespace,
            ),
            (
                "transitMountId",
                &self.transit_mount_id,
                &scope.transit_mount_id,
            ),
            (
                "transitKeyLineageId",
                &self.transit_key_lineage_id,
                &scope.key_lineage_id,
            ),
            ("aadMode", &self.aad_mode, AAD_MODE),
        ];
        pairs
            .into_iter()
            .find(|(_, here, configured)| here != configured)
            .map(|(field, ..)| field)
    }

    fn value(&self) -> Value<'_> {
        let mut members = vec![
            ("providerName", Value::Text(&self.provider_name)),
            ("clusterId", Value::Text(&self.cluster_id)),
            ("openbaoInstanceId", Value::Text(&self.openbao_instance_id)),
        ];
        if !self.openbao_namespace.is_empty() {
            members.push(("openbaoNamespace", Value::Text(&self.openbao_namespace)));
        }
        let created = self.transit_version_created_at_unix;
        members.extend([
            ("transitMountId", Value::Text(&self.transit_mount_id)),
            (
                "transitKeyLineageId",
                Value::Text(&self.transit_key_lineage_id),
            ),
            (
                "transitVersion",
                Value::Integer(i128::from(self.transit_version)),
            ),
            (
                "transitVersionCreatedAtUnix",
                Value::Integer(i128::from(created)),
            ),
            ("kubernetesKeyId", Value::Text(&self.kubernetes_key_id)),
            ("state", Value::Text(&self.state)),
            ("aadMode", Value::Text(&self.aad_mode)),
        ]);
        let omitted_when_zero = [
            ("observedAtUnix", self.observed_at_unix),
            ("stableObservationCount", self.stable_observation_count),
            ("stableAtUnix", self.stable_at_unix),
            ("promotedAtUnix", self.promoted_at_unix),
        ];
        for (name, number) in omitted_when_zero {
            if number != 0 {
                members.push((name, Value::Integer(i128::from(number))));
            }
        }
        Value::Object(members)
    }
}
