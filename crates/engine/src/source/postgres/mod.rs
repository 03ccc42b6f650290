//! Reads `postgres` components: one consistent snapshot for everything, the schema by the server's own `pg_dump`, the rows
//! by our own connections.
//!
//! Invariant: rows, figures and schema come from one exported snapshot, and every table stays locked against DDL until the
//! source is dropped. The uncomfortable consequence: a migration that needs an exclusive lock waits as long as the backup
//! takes, and so do the queries that queue behind it. Sequences are not transactional in PostgreSQL: their values are read after
//! the snapshot and may be ahead of its rows, never behind.

pub mod address;
pub(crate) mod by_hand;
pub(crate) mod client;
pub(crate) mod connect;
pub(crate) mod copy_text;
pub(crate) mod database_properties;
pub(crate) mod error;
pub(crate) mod figures;
pub(crate) mod json;
pub(crate) mod large_objects;
pub(crate) mod layout;
mod native;
pub(crate) mod own_path;
mod patience;
pub(crate) mod pg_dump;
mod pipe;
pub(crate) mod prefetch;
pub(crate) mod rows;
pub(crate) mod snapshot;
pub(crate) mod sql;
pub(crate) mod statements;
mod tls;

pub use address::{Address, ClientSettings};

use crate::config::component::ServerDatabaseSettings;
use crate::manifest::{ComponentKind, ComponentManifest, Export, Figures, State};
use crate::source::{Context, Source};
use crate::{Error, Result};
use native::{Out, Written};
use pg_dump::{PgDump, Section};
use rows::Reading;
use snapshot::Snapshot;
use vault::EntryWriter;

/// A PostgreSQL database as a source.
pub struct PostgresSource {
    name: String,
    settings: ServerDatabaseSettings,
    client: ClientSettings,
    export: Export,
    captured: Option<Captured>,
}

/// What `capture` holds for `read`.
pub(crate) struct Captured {
    snapshot: Snapshot,
    pre_data: String,
    post_data: String,
}

impl PostgresSource {
    /// The component's name and settings, and what the binary found in the environment. Nothing is connected yet.
    pub fn new(name: &str, settings: &ServerDatabaseSettings, client: ClientSettings, export: Export) -> Self {
        Self { name: name.to_owned(), settings: settings.clone(), client, export, captured: None }
    }

    fn connections(&self) -> usize {
        self.settings.connections.unwrap_or(2).clamp(1, 32) as usize
    }
}

impl Source for PostgresSource {
    fn capture(&mut self, context: &Context<'_>) -> Result<()> {
        context.progress.phase(&format!("taking the snapshot of {}", self.name), None);
        let address = Address::parse(&self.settings.url, &self.client)?;
        let mut snapshot = Snapshot::take(&address, self.connections())?;
        for table in &mut snapshot.layout.tables {
            table.unhashed = self.settings.content_hash_bytes_max.is_some_and(|max| table.bytes > max);
        }
        let number = snapshot.layout.server_version_number;
        let pg_dump = PgDump::find(number, self.settings.tools_folder.as_deref(), &self.client)?;
        let (pre_data, post_data) = dump_schema(&pg_dump, &snapshot.address, Some(&snapshot.name))?;
        self.captured = Some(Captured { snapshot, pre_data, post_data });
        Ok(())
    }

    fn read(&mut self, context: &Context<'_>, writer: &mut dyn EntryWriter) -> Result<ComponentManifest> {
        let mut captured =
            self.captured.take().ok_or_else(|| Error::internal("a database was read before it was captured"))?;
        let bytes = figures::database_bytes(&mut captured.snapshot.exporter)?;
        context.progress.phase(&format!("backing up {}", self.name), Some(bytes));
        let warnings = warnings(&captured);
        warnings.iter().for_each(|warning| context.progress.warning(warning));
        let reading = Reading {
            hash_key: context.hash_key,
            ordered: context.deduplicating,
            raw_bytes: captured.snapshot.layout.database.encoding == "SQL_ASCII",
        };
        let mut out = Out { writer, context, written: Written::default() };
        let figures = match self.export {
            Export::Native => native::write(&mut captured, &reading, &mut out)?,
            Export::Json => json::write(&self.name, &mut captured, &reading, &mut out)?,
        };
        Ok(ComponentManifest {
            name: self.name.clone(),
            kind: ComponentKind::Postgres,
            export: Some(self.export),
            state: State::Succeeded,
            entries: out.written.entries,
            bytes: out.written.bytes,
            warnings,
            figures: Figures::Database(figures),
        })
    }
}

/// What the address's role lacks to back up everything, as the statements that give it; empty when nothing is missing.
/// A role from which row-level security hides rows lacks something, too.
pub fn check_privileges(settings: &ServerDatabaseSettings, client: &ClientSettings) -> Result<Vec<String>> {
    layout::missing_privileges(&mut connect::connect(&Address::parse(&settings.url, client)?)?)
}

/// What the backup does not hold, by name. It lies elsewhere by its nature: the backup is not partial for it.
fn warnings(captured: &Captured) -> Vec<String> {
    let layout = &captured.snapshot.layout;
    let foreign = layout.foreign_tables.iter().map(|table| {
        format!("foreign table {table}: its definition is in the backup, its rows are on another server and are not")
    });
    let subscriptions = layout.subscriptions.iter().map(|name| {
        format!(
            "subscription {name} is not in the backup: a copy that subscribes would take the original's changes away"
        )
    });
    foreign.chain(subscriptions).collect()
}

/// Both halves of the schema at once.
pub(crate) fn dump_schema(pg_dump: &PgDump, address: &Address, snapshot: Option<&str>) -> Result<(String, String)> {
    std::thread::scope(|scope| {
        let post_data = scope.spawn(|| pg_dump.schema(address, Section::PostData, snapshot));
        let pre_data = pg_dump.schema(address, Section::PreData, snapshot)?;
        let post_data = post_data.join().unwrap_or_else(|_| Err(Error::internal("running pg_dump panicked")))?;
        Ok((pre_data, post_data))
    })
}
