//! What a backup will be, decided before anything is written: a refusal here costs nothing.

use crate::config::{ComponentConfig, Compression, Plan};
use crate::id::Id;
use crate::manifest::{Format, Tier};
use crate::room::{Actor, Room};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use vault::Key;

/// A backup that is wanted.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its id, where one was given out already.
    pub id: Option<Id>,
    /// The plan.
    pub plan: String,
    /// Why.
    pub tier: Tier,
    /// The person's words.
    pub description: Option<String>,
    /// Only these components; all of the plan's when empty.
    pub components: Vec<String>,
    /// Another format than the plan's.
    pub format: Option<Format>,
    /// It makes up for a missed run.
    pub late: bool,
    /// Read every file again, also those that look unchanged.
    pub force_reread: bool,
    /// Who asks.
    pub actor: Actor,
}

/// A backup that can begin.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub id: Id,
    /// The plan's name.
    pub plan: String,
    /// Why.
    pub tier: Tier,
    /// The person's words.
    pub description: Option<String>,
    /// What is read, databases first: files are read after every database's snapshot was taken.
    pub components: Vec<ComponentConfig>,
    /// How it will lie in its store.
    pub format: Format,
    /// How it is compressed.
    pub compression: Compression,
    /// How strongly.
    pub level: u32,
    /// Encrypts it.
    pub key: Option<Key>,
    /// When it starts.
    pub started_at: Timestamp,
    /// It makes up for a missed run.
    pub late: bool,
    /// Read every file again.
    pub force_reread: bool,
    /// Who asks.
    pub actor: Actor,
}

impl Job {
    /// Decides everything that a request leaves open, or refuses it.
    pub fn prepare(room: &Room, request: &Request) -> Result<Self> {
        let plan = room.config.plan(&request.plan).ok_or_else(|| unknown_plan(room, &request.plan))?;
        let key = room.config.encryption.key_for_writing()?.cloned();
        let format = request.format.unwrap_or(plan.format);
        let components = components(room, plan, &request.components, format)?;
        Ok(Self {
            id: request.id.clone().map_or_else(Id::generate, Ok)?,
            plan: plan.name.clone(),
            tier: request.tier,
            description: request.description.clone(),
            components,
            format,
            compression: plan.compression,
            level: plan.level,
            key,
            started_at: room.now(),
            late: request.late,
            force_reread: request.force_reread,
            actor: request.actor.clone(),
        })
    }
}

fn components(room: &Room, plan: &Plan, wanted: &[String], format: Format) -> Result<Vec<ComponentConfig>> {
    let names: Vec<&String> =
        if wanted.is_empty() { plan.components.iter().collect() } else { wanted.iter().collect() };
    let mut components = Vec::new();
    for name in names {
        let component = room.config.component(name).ok_or_else(|| unknown_component(room, name))?;
        if !components.contains(component) {
            components.push(component.clone());
        }
    }
    if format == Format::Json {
        if wanted.is_empty() {
            components.retain(|component| component.settings.kind().is_database());
        }
        only_one_database(&components)?;
    }
    if components.is_empty() {
        return Err(Error::new(
            ErrorKind::Config,
            format!("there is nothing to back up in {}", room.config.folder.display()),
            "Run it in the application's folder, or name the components in strongroom.toml (`strongroom init` makes one).",
        ));
    }
    components.sort_by_key(|component| !component.settings.kind().is_database());
    Ok(components)
}

/// A JSON archive is one document with the tables of one database at its top: `jq` addresses a table by its name.
fn only_one_database(components: &[ComponentConfig]) -> Result<()> {
    if let [component] = components
        && component.settings.kind().is_database()
    {
        return Ok(());
    }
    let names: Vec<_> = components.iter().map(|component| component.name.as_str()).collect();
    Err(Error::new(
        ErrorKind::Usage,
        format!("the format json holds exactly one database, but these were asked for: {}", names.join(", ")),
        "Name the database with --component, or use the format tar for everything.",
    ))
}

fn unknown_plan(room: &Room, name: &str) -> Error {
    let known: Vec<_> = room.config.plans.iter().map(|plan| plan.name.as_str()).collect();
    Error::new(
        ErrorKind::NotFound,
        format!("there is no plan {name:?}"),
        format!("The plans are: {}.", known.join(", ")),
    )
}

fn unknown_component(room: &Room, name: &str) -> Error {
    let known: Vec<_> = room.config.components.iter().map(|component| component.name.as_str()).collect();
    Error::new(
        ErrorKind::NotFound,
        format!("there is no component {name:?}"),
        format!("The components are: {}.", known.join(", ")),
    )
}
