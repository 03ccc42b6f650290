//! What a restore would do, found out without touching anything.

use super::journal::{Journal, Phase};
use super::stage::Staged;
use crate::catalog::restores::{RestoreRecord, RestoreState};
use crate::config::ComponentConfig;
use crate::hash::HashKey;
use crate::id::Id;
use crate::locate::{self, Backup};
use crate::manifest::{ComponentKind, ComponentManifest, Manifest, TableId};
use crate::room::{Actor, Room};
use crate::target::{Context, Place, TargetPlan, WayBack};
use crate::{Error, ErrorKind, Result, component};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vault::{EntryReader, Progress};

/// Where a restore goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Back where it came from.
    Live,
    /// Into this folder, which must be new or empty: a folder for each component.
    Folder(PathBuf),
    /// Into this new or empty database; for one database component.
    Database(String),
}

/// A restore that is wanted.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its id, where one was given out already.
    pub id: Option<Id>,
    /// The backup: an id, `latest`, or where it lies.
    pub backup: String,
    /// Only these components; all when empty.
    pub components: Vec<String>,
    /// Only these tables of the one component, a database; all when empty.
    pub tables: Vec<String>,
    /// Where to.
    pub destination: Destination,
    /// End other clients' connections where they are in the way.
    pub disconnect_clients: bool,
    /// Who asks.
    pub actor: Actor,
}

impl Request {
    pub(super) fn place_text(&self) -> String {
        match &self.destination {
            Destination::Live => "live".to_owned(),
            Destination::Folder(folder) => folder.display().to_string(),
            Destination::Database(url) => crate::redact::address(url),
        }
    }
}

/// What a restore would do.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The backup's id.
    pub backup_id: Id,
    /// When the backup's data was captured.
    pub captured_at: jiff::Timestamp,
    /// Component by component.
    pub components: Vec<ComponentPlan>,
}

/// What a restore would do to one component.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentPlan {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ComponentKind,
    /// What of it is restored: of a database with single tables, these alone.
    pub backup: ComponentManifest,
    /// Only these tables are put back; all when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableId>,
    /// What its target found.
    #[serde(flatten)]
    pub target: TargetPlan,
}

/// A restore that can begin: the backup is open and authentic, every target has looked.
pub(super) struct Prepared {
    pub(super) reader: Box<dyn EntryReader>,
    pub(super) manifest: Manifest,
    pub(super) components: Vec<Staged>,
    pub(super) disconnect_clients: bool,
    pub(super) tables: Vec<TableId>,
    restore_id: Id,
    configs: Vec<ComponentConfig>,
    plans: Vec<TargetPlan>,
}

/// Finds out what a restore would do.
pub fn plan(room: &Room, request: &Request, progress: &Arc<dyn Progress>) -> Result<Plan> {
    let prepared = prepare(room, request, progress)?;
    let components = prepared.components.iter().zip(prepared.plans).map(|(component, target)| ComponentPlan {
        name: component.manifest.name.clone(),
        kind: component.manifest.kind,
        backup: component.manifest.clone(),
        tables: prepared.tables.clone(),
        target,
    });
    let components = components.collect();
    Journal::forget_folder(room.state_folder(), &prepared.restore_id)?;
    Ok(Plan { backup_id: prepared.manifest.id, captured_at: prepared.manifest.captured_at, components })
}

/// Opens the backup (which authenticates it), finds each component's place, and lets every target look.
pub(super) fn prepare(room: &Room, request: &Request, progress: &Arc<dyn Progress>) -> Result<Prepared> {
    let restore_id = request.id.clone().map_or_else(Id::generate, Ok)?;
    progress.phase("checking the backup", None);
    let backup = locate::find(room, &request.backup)?;
    let (reader, manifest) = backup.open_with_manifest(room).map_err(|error| about(&backup, error))?;
    let mut wanted = wanted(&manifest, &request.components)?;
    let tables = single_tables(request, &mut wanted)?;
    if let Destination::Folder(folder) = &request.destination {
        refuse_occupied(folder)?;
    }
    let mut prepared = Prepared {
        reader,
        components: Vec::new(),
        disconnect_clients: request.disconnect_clients,
        tables,
        restore_id,
        configs: Vec::new(),
        plans: Vec::new(),
        manifest,
    };
    let hash_key = prepared.hash_key()?;
    let context = Context { progress: &**progress, hash_key, disconnect_clients: request.disconnect_clients };
    for part in wanted {
        let within = |error: Error| error.within(format!("component {}", part.name));
        let (config, place) = place(room, request, &prepared, &part).map_err(within)?;
        let mut target = component::target(&config, place, &room.surroundings).map_err(within)?;
        if !prepared.tables.is_empty() {
            target.only_tables(&prepared.tables).map_err(within)?;
        }
        prepared.plans.push(target.inspect(&context, &part).map_err(within)?);
        prepared.configs.push(config);
        prepared.components.push(Staged { manifest: part, target });
    }
    prepared.put_commits_last()?;
    Ok(prepared)
}

/// The tables that are wanted, and what the manifest promises of them alone.
fn single_tables(request: &Request, wanted: &mut [ComponentManifest]) -> Result<Vec<TableId>> {
    if request.tables.is_empty() {
        return Ok(Vec::new());
    }
    let usage = |message: &str, hint: &str| Err(Error::new(ErrorKind::Usage, message, hint));
    if request.destination != Destination::Live {
        return usage(
            "single tables are put back into the live database, not elsewhere",
            "Leave out --to; or leave out --table, restore the whole database there, and take from it what you need.",
        );
    }
    let [part] = wanted else {
        return usage("tables belong to one database, and several components are meant", "Name it with --component.");
    };
    let tables = part.tables_named(&request.tables)?;
    part.figures = part.figures.clone().of_tables(&tables);
    Ok(tables)
}

fn about(backup: &Backup, error: Error) -> Error {
    match (error.kind(), backup.known.fingerprint.as_ref()) {
        (ErrorKind::WrongKey | ErrorKind::NoKey, Some(fingerprint))
            if !error.message().contains(fingerprint.as_str()) =>
        {
            error.within(format!("the backup {} needs the key {fingerprint}", backup.label()))
        }
        _ => error,
    }
}

fn wanted(manifest: &Manifest, names: &[String]) -> Result<Vec<ComponentManifest>> {
    for name in names {
        if !manifest.components.iter().any(|component| component.name == *name) {
            let held: Vec<_> = manifest.components.iter().map(|component| component.name.as_str()).collect();
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("the backup {} holds no component {name:?}", manifest.id),
                format!("It holds: {}.", held.join(", ")),
            ));
        }
    }
    let wanted = manifest.components.iter().filter(|component| names.is_empty() || names.contains(&component.name));
    Ok(wanted.cloned().collect())
}

fn place(
    room: &Room,
    request: &Request,
    prepared: &Prepared,
    part: &ComponentManifest,
) -> Result<(ComponentConfig, Place)> {
    let known = room.config.component(&part.name).filter(|config| config.settings.kind() == part.kind).cloned();
    match &request.destination {
        Destination::Live => {
            let config = match known {
                Some(config) => config,
                None => from_manifest(room, prepared, part)?,
            };
            let state_folder = Journal::component_folder(room.state_folder(), &prepared.restore_id, &part.name)?;
            Ok((config, Place::Live { restore_id: prepared.restore_id.clone(), state_folder }))
        }
        Destination::Folder(_) if part.kind.is_database() && part.kind != ComponentKind::Sqlite => Err(Error::new(
            ErrorKind::Usage,
            format!("{} is a database on a server: it cannot be restored into a folder", part.name),
            "Give the address of a new database with --to, and name this component with --component.",
        )),
        Destination::Folder(folder) => {
            let config = known.map_or_else(|| ComponentConfig::elsewhere(&part.name, part.kind, folder), Ok)?;
            Ok((config, Place::Folder { path: folder.join(&part.name) }))
        }
        Destination::Database(url) => {
            let config = known.map_or_else(|| ComponentConfig::for_database(&part.name, part.kind, url), Ok)?;
            Ok((config, Place::Database { url: url.clone() }))
        }
    }
}

fn from_manifest(room: &Room, prepared: &Prepared, part: &ComponentManifest) -> Result<ComponentConfig> {
    if let Some(other) = room.config.component(&part.name) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("it is {} in the backup and {} here", part.kind.name(), other.settings.kind().name()),
            "Restore it elsewhere with --to, and move the data by the database's own means.",
        ));
    }
    let origin = prepared.manifest.origins.get(&part.name).ok_or_else(|| {
        Error::new(
            ErrorKind::Config,
            "nothing here says where it belongs",
            "Name it in strongroom.toml under [components], or restore it elsewhere with --to.",
        )
    })?;
    ComponentConfig::from_origin(&part.name, part.kind, origin, &room.config.folder)
}

fn refuse_occupied(folder: &Path) -> Result<()> {
    let occupied = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if occupied || folder.is_file() {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("{} is not empty, and a restore elsewhere replaces nothing", folder.display()),
            "Name a folder that does not exist yet, or an empty one.",
        ));
    }
    Ok(())
}

impl Prepared {
    /// The key of the manifest's content hashes.
    pub(super) fn hash_key(&self) -> Result<HashKey> {
        self.manifest.hash_key()
    }

    /// What is committed in a transaction cannot be exchanged back: it comes last, when nothing else can fail any more, and
    /// there can only be one.
    fn put_commits_last(&mut self) -> Result<()> {
        let mut ways = Vec::new();
        for component in &self.components {
            ways.push(component.target.way_back()?);
        }
        if ways.iter().filter(|way| **way == WayBack::Backup).count() > 1 {
            return Err(Error::new(
                ErrorKind::Refused,
                "several databases would each be restored in a transaction of their own, which cannot be all or none",
                "Restore them one after the other with --component, or let the role create and rename databases.",
            ));
        }
        let mut order: Vec<usize> = (0..ways.len()).collect();
        order.sort_by_key(|&at| ways[at]);
        let mut all: Vec<_> =
            self.components.drain(..).zip(self.configs.drain(..)).zip(self.plans.drain(..)).map(Some).collect();
        for ((component, config), plan) in order.into_iter().filter_map(|at| all[at].take()) {
            self.components.push(component);
            self.configs.push(config);
            self.plans.push(plan);
        }
        Ok(())
    }

    /// The component that is overwritten in a transaction, if one is: the backup before it is the only way back.
    pub(super) fn overwritten(&self) -> Result<Option<String>> {
        match self.components.last() {
            Some(last) if last.target.way_back()? == WayBack::Backup => Ok(Some(last.manifest.name.clone())),
            _ => Ok(None),
        }
    }

    /// Every reason against it at once, so that a person mends them all in one go.
    pub(super) fn refuse_if_obstructed(&self) -> Result<()> {
        for (component, plan) in self.components.iter().zip(&self.plans) {
            if let Some(free) = plan.free_bytes
                && plan.needs_bytes > free
            {
                return Err(Error::new(
                    ErrorKind::NoSpace,
                    format!(
                        "component {}: {} bytes are needed beside the live data, {free} are free",
                        component.manifest.name, plan.needs_bytes
                    ),
                    "Free some space there, or restore onto another disk with --to.",
                ));
            }
        }
        let obstacles: Vec<_> = self
            .components
            .iter()
            .zip(&self.plans)
            .flat_map(|(component, plan)| {
                plan.obstacles.iter().map(|why| format!("{}: {}", component.manifest.name, why.trim_end_matches(';')))
            })
            .collect();
        if obstacles.is_empty() {
            return Ok(());
        }
        let kind =
            if self.plans.iter().any(|plan| !plan.clients.is_empty()) { ErrorKind::Busy } else { ErrorKind::Refused };
        Err(Error::new(kind, obstacles.join("; "), "Nothing was touched. Remove the obstacles and try again."))
    }

    /// The components that exist now and that a plan knows how to read: they are backed up before they are replaced.
    pub(super) fn existing_components(&self, room: &Room) -> Vec<String> {
        let exists = |config: &&ComponentConfig| match config.origin(Path::new("/")) {
            Some((_, path)) => Path::new("/").join(path).exists(),
            None => true,
        };
        let known = |config: &&ComponentConfig| room.config.component(&config.name).is_some();
        self.configs.iter().filter(known).filter(exists).map(|config| config.name.clone()).collect()
    }

    pub(super) fn record(&self, room: &Room) -> RestoreRecord {
        RestoreRecord {
            id: self.restore_id.clone(),
            backup_id: self.manifest.id.clone(),
            pre_restore_id: None,
            components: self.components.iter().map(|component| component.manifest.name.clone()).collect(),
            state: RestoreState::Prepared,
            started_at: room.now(),
            swapped_at: None,
            finished_at: None,
            journal: Some(Journal::folder(room.state_folder(), &self.restore_id)),
            undo_until: None,
            error: None,
        }
    }

    pub(super) fn journal(&self, restore_id: &Id) -> Journal {
        Journal {
            restore_id: restore_id.clone(),
            backup_id: Some(self.manifest.id.clone()),
            phase: Phase::Staging,
            components: self.configs.iter().map(ComponentConfig::without_secrets).collect(),
            hash_key: self.manifest.hash_key.clone(),
            tables: self.tables.clone(),
            secured: None,
        }
    }
}
