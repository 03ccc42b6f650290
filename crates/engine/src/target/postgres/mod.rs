//! Puts `postgres` components back: into a new database beside the live one, measured there, then both names are exchanged
//! in one transaction.
//!
//! Invariant: the live database is not touched before [`Target::swap`], and that is one transaction of the server: killed at
//! any instant, we or the server leave the live name on the old or on the new database. The uncomfortable consequences: the
//! server needs room for both, and nobody may be connected during the exchange.

mod admin;
mod copy_binary;
mod extensions;
mod filling;
mod in_place;
mod indexes;
mod inspect;
mod json;
mod load;
mod names;
mod rows_in;
mod schema;
mod statistics;
mod swap;
mod tables;

pub use admin::{drop_database, query, sweep_drills};
#[doc(hidden)]
pub use copy_binary::fuzz as fuzz_copy_text;

use crate::config::component::ServerDatabaseSettings;
use crate::id::Id;
use crate::manifest::{ComponentManifest, Figures, TableId};
use crate::source::postgres::address::{Address, ClientSettings};
use crate::source::postgres::layout::{LAYOUT_VERSION, Layout};
use crate::target::{Context, Place, Target, TargetPlan, WayBack};
use crate::{Error, ErrorKind, Result};
use filling::Filling;
use names::{Record, Standing};
use std::io::Read;
use std::path::Path;
use swap::Direction;
use tables::Tables;
use vault::{Entry, EntryKind};

/// The steps that are reported to [`vault::Progress::step`], in order.
pub const STEPS: [&str; 7] = [
    "postgres.recorded",
    "postgres.created",
    "postgres.loaded",
    "postgres.measured",
    "postgres.swap.renamed",
    "postgres.swap_back.renamed",
    "postgres.discarded",
];

/// Longest `0-layout.json`: some hundred bytes for each table.
const LAYOUT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Longest half of a schema. `pg_dump`'s text of ten thousand tables has some ten million bytes.
const SCHEMA_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// A PostgreSQL database as a target.
pub struct PostgresTarget {
    name: String,
    settings: ServerDatabaseSettings,
    client: ClientSettings,
    place: Place,
    manifest: Option<ComponentManifest>,
    filling: Option<Filling>,
    /// Object id of the new database that we made, where the place is one.
    made: Option<u32>,
    /// The measured transaction that waits for its commit, where databases may not be renamed.
    uncommitted: Option<crate::source::postgres::client::Client>,
    /// These tables alone; all when empty.
    only: Vec<TableId>,
    /// Single tables on their way.
    tables: Option<Tables>,
    /// Everything happens in one transaction of the live database.
    in_place: bool,
}

impl PostgresTarget {
    /// The component's name and settings, what the binary found in the environment, and where to. Nothing is connected yet.
    pub fn new(name: &str, settings: &ServerDatabaseSettings, client: ClientSettings, place: Place) -> Self {
        Self {
            name: name.to_owned(),
            settings: settings.clone(),
            client,
            place,
            manifest: None,
            filling: None,
            made: None,
            uncommitted: None,
            only: Vec::new(),
            tables: None,
            in_place: false,
        }
    }

    /// Where the component is live, or the new database.
    fn address(&self) -> Result<Address> {
        match &self.place {
            Place::Live { .. } => Address::parse(&self.settings.url, &self.client),
            Place::Database { url } => Address::parse(url, &self.client),
            Place::Folder { .. } => Err(Error::new(
                ErrorKind::Usage,
                format!("{}: a PostgreSQL database cannot be restored into a folder", self.name),
                "Give the address of a new database, or unpack the archive: restore.sh in it needs psql alone.",
            )),
        }
    }

    fn live(&self) -> Result<(&Id, &Path)> {
        match &self.place {
            Place::Live { restore_id, state_folder } => Ok((restore_id, state_folder)),
            _ => Err(Error::internal("only a restore into the live database is swapped")),
        }
    }

    fn record(&self) -> Result<Option<Record>> {
        let (_, folder) = self.live()?;
        Record::load(folder, &self.name)
    }

    /// The record of a restore that came to its end, for swapping.
    fn finished_record(&self) -> Result<Record> {
        self.record()?.filter(|record| record.measured).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("{}: nothing lies beside the live database", self.name),
                "The restore did not come to its end, or what it kept was removed since.",
            )
        })
    }

    /// A restore within one transaction begins: its record comes first.
    fn begin_in_place(&self, context: &Context<'_>, old_oid: Option<u32>) -> Result<Record> {
        let (id, folder) = self.live()?;
        let address = self.address()?;
        let record = in_place::record(self.record()?, || Record::new(&address.database, id, old_oid));
        record.save(folder, &self.name)?;
        context.progress.step("postgres.recorded");
        Ok(record)
    }

    fn commit(
        &mut self,
        mut client: crate::source::postgres::client::Client,
        record: Record,
        makes_restored_live: bool,
    ) -> Result<()> {
        let (_, folder) = self.live()?;
        in_place::commit(&mut client, record, makes_restored_live, |record| record.save(folder, &self.name))
    }

    fn connections(&self) -> usize {
        self.settings.connections.unwrap_or(2).clamp(1, 32) as usize
    }

    /// Makes the database that is filled.
    fn create(&mut self, context: &Context<'_>, layout: Layout) -> Result<Filling> {
        let address = self.address()?;
        let mut maintenance = admin::connect_maintenance(&address, &address.database)?;
        if matches!(self.place, Place::Database { .. }) {
            let found = names::oid_of(&mut maintenance, &address.database)?;
            if found.is_none() {
                filling::create_database(&mut maintenance, &layout, &address.database)?;
                self.made = names::oid_of(&mut maintenance, &address.database)?;
                context.progress.step("postgres.created");
            } else {
                inspect::refuse_not_empty(&address)?;
            }
            return Filling::start(address, layout, self.connections(), context, self.manifest.as_ref());
        }
        let (id, folder) = self.live()?;
        let old_oid = names::oid_of(&mut maintenance, &address.database)?;
        if self.in_place {
            self.begin_in_place(context, old_oid)?;
            return in_place::begin(&address, layout, context.disconnect_clients);
        }
        if let Some(earlier) = Record::load(folder, &self.name)? {
            refuse_after_swap(&mut maintenance, &earlier)?;
            let oid = names::oid_of(&mut maintenance, &earlier.beside)?;
            admin::drop_if(&mut maintenance, &earlier.beside, oid)?;
        }
        let mut record = Record::new(&address.database, id, old_oid);
        record.save(folder, &self.name)?;
        context.progress.step("postgres.recorded");
        filling::create_database(&mut maintenance, &layout, &record.beside)?;
        record.new_oid = names::oid_of(&mut maintenance, &record.beside)?;
        record.save(folder, &self.name)?;
        context.progress.step("postgres.created");
        let beside = address.with_database(&record.beside);
        Filling::start(beside, layout, self.connections(), context, self.manifest.as_ref())
    }

    /// Drops the new database, if we made it and it is still that one.
    fn drop_made(&mut self) -> Result<()> {
        if let Some(oid) = self.made {
            let address = self.address()?;
            admin::once_up(&address, |client| admin::drop_if(client, &address.database, Some(oid)))?;
            self.made = None;
        }
        Ok(())
    }

    fn filling(&mut self) -> Result<&mut Filling> {
        self.filling.as_mut().ok_or_else(|| no_layout(&self.name))
    }
}

/// A second start of the same restore may replace what lies beside, never what is live.
fn refuse_after_swap(client: &mut crate::source::postgres::client::Client, record: &Record) -> Result<()> {
    if record.standing(client)? == Standing::New {
        return Err(Error::new(ErrorKind::Refused, "this restore was swapped in already", "Undo it first."));
    }
    Ok(())
}

impl Target for PostgresTarget {
    fn only_tables(&mut self, tables: &[TableId]) -> Result<()> {
        self.only = tables.to_vec();
        Ok(())
    }

    fn way_back(&self) -> Result<WayBack> {
        let live = matches!(self.place, Place::Live { .. });
        let in_place = live && (self.in_place || self.record()?.is_some_and(|record| record.in_place));
        Ok(if in_place { WayBack::Backup } else { WayBack::Beside })
    }

    fn is_restored_side_live(&mut self) -> Result<bool> {
        in_place::is_restored_side_live(&self.address()?, &self.finished_record()?)
    }

    fn inspect(&mut self, _context: &Context<'_>, manifest: &ComponentManifest) -> Result<TargetPlan> {
        self.manifest = Some(manifest.clone());
        let address = self.address()?;
        if !self.only.is_empty() {
            self.in_place = true;
            return tables::inspect(&address, manifest, &self.only);
        }
        if matches!(self.place, Place::Live { .. }) {
            let begun = self.record()?.is_some_and(|record| record.in_place);
            let mut maintenance = admin::connect_maintenance(&address, &address.database)?;
            self.in_place = begun
                || !in_place::may_rename(&mut maintenance, &address.database)?
                || inspect::lives_on_extensions_beyond_the_role(&mut maintenance, &address, manifest)?;
        }
        inspect::inspect(&address, &self.place, manifest, self.settings.tools_folder.as_deref(), &self.client)
    }

    fn entry(&mut self, context: &Context<'_>, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        context.progress.check_cancelled()?;
        if entry.kind == EntryKind::Directory {
            // A repository shows the folders that its paths imply.
            return Ok(());
        }
        let path = String::from_utf8_lossy(entry.path.as_bytes()).into_owned();
        context.progress.entries(1);
        if !self.only.is_empty() {
            return self.table_entry(context, &path, content);
        }
        match path.as_str() {
            "0-layout.json" => {
                let layout = parse_layout(serde_json::from_str(&read_text(content, &path, LAYOUT_BYTES_MAX)?))?;
                self.filling = Some(self.create(context, layout)?);
                Ok(())
            }
            // For people; the target has what they say from the layout.
            "restore.sh" | "restore.sql" | "globals.sql" => Ok(()),
            "1-pre-data.sql" => {
                let text = read_text(content, &path, SCHEMA_BYTES_MAX)?;
                self.filling()?.pre_data(&text)
            }
            "3-sequences.sql" | "4-large-objects/1-definitions.sql" => {
                let text = read_text(content, &path, SCHEMA_BYTES_MAX)?;
                self.filling()?.run(&text)
            }
            "4-large-objects/2-data.copy" => self.filling()?.large_objects(content),
            "1-post-data.sql" | "5-post-data.sql" => {
                let text = read_text(content, &path, SCHEMA_BYTES_MAX)?;
                self.filling()?.post_data(text);
                Ok(())
            }
            _ if is_document(&path) => {
                let document = json::Document::open(content)?;
                self.filling = Some(self.create(context, document.layout()?)?);
                document.restore(self.filling()?)
            }
            _ => self.filling()?.table(&path, content),
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Result<Figures> {
        if let Some(tables) = self.tables.take() {
            return self.finish_tables(tables, context);
        }
        let pg_dump_folder = self.settings.tools_folder.clone();
        let expected = self.manifest.take();
        self.filling()?;
        let Some(filling) = self.filling.take() else { return Err(Error::internal("the filling is gone")) };
        context.progress.phase(&format!("building indexes of {}", self.name), None);
        let within_transaction = filling.is_within_transaction();
        let loaded = filling.complete(context)?;
        context.progress.step("postgres.loaded");
        context.progress.phase(&format!("comparing {}", self.name), None);
        let figures = if within_transaction {
            let (figures, client) = loaded.measure_within_transaction(context, expected.as_ref())?;
            self.uncommitted = Some(client);
            figures
        } else {
            loaded.measure(context, expected.as_ref(), pg_dump_folder.as_deref(), &self.client)?
        };
        self.manifest = expected;
        self.record_measured(context)?;
        Ok(Figures::Database(figures))
    }

    fn swap(&mut self, context: &Context<'_>) -> Result<()> {
        let record = self.finished_record()?;
        if let Some(client) = self.uncommitted.take() {
            self.commit(client, record, true)?;
            context.progress.step("postgres.swap.renamed");
            return Ok(());
        }
        if record.in_place {
            let live = in_place::is_restored_side_live(&self.address()?, &record)?;
            return if live { Ok(()) } else { Err(in_place::rolled_back()) };
        }
        swap::exchange(&self.address()?, &record, Direction::Forth, context.disconnect_clients)?;
        context.progress.step("postgres.swap.renamed");
        Ok(())
    }

    fn swap_back(&mut self, context: &Context<'_>) -> Result<()> {
        // What was never measured was never swapped in: there is nothing to take back.
        if self.record()?.is_some_and(|record| !record.measured) {
            return Ok(());
        }
        let record = self.finished_record()?;
        if record.in_place {
            let live = in_place::is_restored_side_live(&self.address()?, &record)?;
            return match self.uncommitted.take() {
                Some(client) if live => {
                    self.commit(client, record, false)?;
                    context.progress.step("postgres.swap_back.renamed");
                    Ok(())
                }
                _ if live => Err(in_place::no_way_back()),
                _ => Ok(()),
            };
        }
        swap::exchange(&self.address()?, &record, Direction::Back, context.disconnect_clients)?;
        context.progress.step("postgres.swap_back.renamed");
        Ok(())
    }

    fn discard(&mut self, context: &Context<'_>) -> Result<()> {
        if matches!(self.place, Place::Database { .. }) {
            self.filling = None;
            return self.drop_made();
        }
        self.filling = None;
        self.uncommitted = None;
        self.tables = None;
        let Some(record) = self.record()? else { return Ok(()) };
        if record.in_place {
            return self.forget(context);
        }
        admin::once_up(&self.address()?, |client| match record.standing(client)? {
            Standing::New => admin::drop_if(client, &record.before, record.old_oid),
            Standing::Old => {
                // Killed between CREATE DATABASE and its record, the object id is not known; the name holds a random id.
                let oid = match record.new_oid {
                    Some(oid) => Some(oid),
                    None => names::oid_of(client, &record.beside)?,
                };
                admin::drop_if(client, &record.beside, oid)
            }
        })?;
        self.forget(context)
    }
}

impl PostgresTarget {
    fn record_measured(&self, context: &Context<'_>) -> Result<()> {
        if let Place::Live { state_folder, .. } = &self.place
            && let Some(mut record) = self.record()?
        {
            record.measured = true;
            record.save(state_folder, &self.name)?;
        }
        context.progress.step("postgres.measured");
        Ok(())
    }

    fn forget(&self, context: &Context<'_>) -> Result<()> {
        let (_, folder) = self.live()?;
        Record::remove(folder, &self.name)?;
        context.progress.step("postgres.discarded");
        Ok(())
    }

    /// One entry of a backup of which only some tables are wanted.
    fn table_entry(&mut self, context: &Context<'_>, path: &str, content: &mut dyn Read) -> Result<()> {
        if path == "0-layout.json" {
            let layout = parse_layout(serde_json::from_str(&read_text(content, path, LAYOUT_BYTES_MAX)?))?;
            self.tables = Some(self.begin_tables(context, layout)?);
            return Ok(());
        }
        if is_document(path) {
            let document = json::Document::open(content)?;
            let mut tables = self.begin_tables(context, document.layout()?)?;
            document.restore(&mut tables)?;
            self.tables = Some(tables);
            return Ok(());
        }
        let tables = self.tables.as_mut().ok_or_else(|| no_layout(&self.name))?;
        match path {
            "1-pre-data.sql" => tables.pre_data(&read_text(content, path, SCHEMA_BYTES_MAX)?),
            "1-post-data.sql" | "5-post-data.sql" => {
                tables.post_data(read_text(content, path, SCHEMA_BYTES_MAX)?);
                Ok(())
            }
            _ => tables.rows(path, content),
        }
    }

    fn begin_tables(&self, context: &Context<'_>, layout: Layout) -> Result<Tables> {
        let record = self.begin_in_place(context, None)?;
        Tables::begin(&self.address()?, layout, &self.only, record.transaction.is_some())
    }

    fn finish_tables(&mut self, tables: Tables, context: &Context<'_>) -> Result<Figures> {
        context.progress.phase(&format!("putting tables back into {}", self.name), None);
        let (figures, client) = tables.finish(context, self.manifest.as_ref())?;
        self.uncommitted = Some(client);
        self.record_measured(context)?;
        Ok(Figures::Database(figures))
    }
}

fn no_layout(name: &str) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("{name}: the export does not begin with 0-layout.json"),
        "This is no PostgreSQL export of Strongroom, or its beginning is missing.",
    )
}

/// Where a drill of a component restores to: a database of its own, to be dropped with [`drop_database`].
pub fn drill_place(settings: &ServerDatabaseSettings, id: &Id, client: &ClientSettings) -> Result<Place> {
    admin::drill_url(&settings.url, settings.drill_url.as_deref(), id, client).map(|url| Place::Database { url })
}

fn parse_layout(text: serde_json::Result<Layout>) -> Result<Layout> {
    let layout = text.map_err(|cause| {
        Error::new(ErrorKind::Damaged, format!("the layout cannot be read: {cause}"), "Use another backup.")
            .because(cause)
    })?;
    if layout.version > LAYOUT_VERSION {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("the export is of version {}, this build knows up to {LAYOUT_VERSION}", layout.version),
            "Restore with a newer Strongroom.",
        ));
    }
    Ok(layout)
}

/// The JSON export is one document at the top, named after its component.
fn is_document(path: &str) -> bool {
    let path = Path::new(path);
    path.components().count() == 1 && path.extension().is_some_and(|extension| extension == "json")
}

fn read_text(content: &mut dyn Read, path: &str, bytes_max: u64) -> Result<String> {
    let mut bytes = Vec::new();
    let read = content.take(bytes_max + 1).read_to_end(&mut bytes);
    read.map_err(|error| vault::error::from_io(format!("reading {path}"), error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("{path} is longer than {bytes_max} bytes"),
            "Is it an export of ours?",
        ));
    }
    String::from_utf8(bytes).map_err(|cause| {
        Error::new(ErrorKind::Damaged, format!("{path} is not UTF-8"), "Use another backup.").because(cause)
    })
}
