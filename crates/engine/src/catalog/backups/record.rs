//! What a backup's record says.

use crate::catalog::Failure;
use crate::id::Id;
use crate::manifest::{ComponentKind, ComponentManifest, Manifest, State, Tier};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One backup as lists and programs see it. Its JSON is published: names never change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupRecord {
    /// Its id.
    pub id: Id,
    /// The plan that made it.
    pub plan: String,
    /// Why.
    pub tier: Tier,
    /// The person's words.
    pub description: Option<String>,
    /// How it came out.
    pub state: State,
    /// When the run started.
    pub started_at: Timestamp,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// Path or address of the archive, `<repository>#<snapshot>` in a repository.
    pub location: Option<String>,
    /// Size in its store.
    pub bytes: Option<u64>,
    /// Of the archive.
    pub sha256: Option<String>,
    /// Its parts.
    pub components: Vec<ComponentSummary>,
    /// How far it is proven.
    pub trust: Trust,
    /// Fingerprint of its key; `None` when not encrypted.
    pub key_fingerprint: Option<String>,
    /// Never removed by retention.
    #[serde(default)]
    pub pinned: bool,
    /// It is much smaller than its predecessor.
    #[serde(default)]
    pub collapsed: Option<Collapse>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<Failure>,
    /// It made up for a missed run.
    #[serde(default)]
    pub late: bool,
}

/// One part of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentSummary {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ComponentKind,
    /// How it came out.
    pub state: State,
    /// Entries in the backup.
    pub entries: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// What is missing or changed meanwhile.
    pub warnings: Vec<String>,
}

/// The four steps of trust, each with its newest time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trust {
    /// Written and flushed.
    pub stored: Option<Timestamp>,
    /// Read back from the store and hashed.
    pub re_read: Option<Timestamp>,
    /// Decrypted, decompressed and parsed.
    pub opened: Option<Timestamp>,
    /// Restored by a drill that compared equal.
    pub restored: Option<Timestamp>,
    /// How long that restore took: the recovery time to expect.
    #[serde(default)]
    pub restore_duration_ms: Option<u64>,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrustStep {
    /// Written and flushed.
    Stored,
    /// Read back and hashed.
    ReRead,
    /// Decrypted, decompressed and parsed.
    Opened,
    /// Restored and compared.
    Restored,
}

/// A backup that is much smaller than its predecessor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collapse {
    /// In what, for people.
    pub reason: String,
    /// A person said that this is right; until then nothing older of its plan is removed.
    pub acknowledged: bool,
}

impl Tier {
    /// Reads a tier's name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Running, Self::Succeeded, Self::Partial, Self::Failed, Self::Cancelled];

    /// As in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads a state's name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl BackupRecord {
    /// A run that begins.
    pub fn running(id: Id, plan: impl Into<String>, tier: Tier, started_at: Timestamp) -> Self {
        Self {
            id,
            plan: plan.into(),
            tier,
            description: None,
            state: State::Running,
            started_at,
            finished_at: None,
            duration_ms: None,
            location: None,
            bytes: None,
            sha256: None,
            components: Vec::new(),
            trust: Trust::default(),
            key_fingerprint: None,
            pinned: false,
            collapsed: None,
            error: None,
            late: false,
        }
    }

    /// The run is over; the duration follows from the times.
    #[must_use]
    pub fn finished(mut self, state: State, at: Timestamp) -> Self {
        self.state = state;
        self.finished_at = Some(at);
        self.duration_ms = Some(at.duration_since(self.started_at).as_millis().max(0) as u64);
        self
    }

    /// The record that a backup's manifest amounts to, with `stored` as the only step of trust: for `catalog rebuild`.
    /// The state is `partial` when a component's is.
    pub fn from_manifest(manifest: &Manifest, location: String, bytes: u64, stored: Timestamp) -> Self {
        let partial = manifest.components.iter().any(|component| component.state != State::Succeeded);
        let mut record = Self::running(manifest.id.clone(), &manifest.plan, manifest.tier, manifest.started_at)
            .finished(if partial { State::Partial } else { State::Succeeded }, stored);
        record.description.clone_from(&manifest.description);
        record.components = manifest.components.iter().map(ComponentSummary::from).collect();
        record.key_fingerprint.clone_from(&manifest.key_fingerprint);
        record.location = Some(location);
        record.bytes = Some(bytes);
        record.trust.stored = Some(stored);
        record
    }
}

impl From<&ComponentManifest> for ComponentSummary {
    fn from(component: &ComponentManifest) -> Self {
        Self {
            name: component.name.clone(),
            kind: component.kind,
            state: component.state,
            entries: component.entries,
            bytes: component.bytes,
            warnings: component.warnings.clone(),
        }
    }
}
