//! Puts `postgres` components back: into a new database beside the live one, measured there, then both names are exchanged
//! in one transaction.
//!
//! Invariant: the live database is not touched before [`Target::swap`], and that is one transaction of the server: killed at
//! any instant, we or the server leave the live name on the old or on the new database. The uncomfortable consequences: the
//! server needs room for both, and nobody may be connected during the exchange.

mod admin;
mod filling;
mod in_place;
mod inspect;
mod json;
mod load;
mod names;
mod schema;
mod swap;

pub use admin::{drop_database, query, sweep_drills};

use crate::config::component::ServerDatabaseSettings;
use crate::id::Id;
use crate::manifest::{ComponentManifest, Figures};
use crate::source::postgres::address::{Address, ClientSettings};
use crate::source::postgres::layout::{LAYOUT_VERSION, Layout};
use crate::target::{Context, Place, Target, TargetPlan};
use crate::{Error, ErrorKind, Result};
use filling::Filling;
use names::{Record, Standing};
use std::io::Read;
use std::path::Path;
use swap::Direction;
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
    uncommitted: Option<postgres::Client>,
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

    /// What became of a restore within one transaction.
    fn was_committed(&self, record: &Record) -> Result<bool> {
        record.transaction.as_ref().map_or(Ok(false), |id| in_place::was_committed(&self.address()?, id))
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
            return Filling::start(address, layout, self.connections());
        }
        let (id, folder) = self.live()?;
        let old_oid = names::oid_of(&mut maintenance, &address.database)?;
        if !in_place::may_rename(&mut maintenance, &address.database)? {
            Record::new(&address.database, id, old_oid).save(folder, &self.name)?;
            context.progress.step("postgres.recorded");
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
        Filling::start(address.with_database(&record.beside), layout, self.connections())
    }

    /// Drops the new database, if we made it and it is still that one.
    fn drop_made(&mut self) -> Result<()> {
        if self.made.is_some() {
            let address = self.address()?;
            let mut maintenance = admin::connect_maintenance(&address, &address.database)?;
            admin::drop_if(&mut maintenance, &address.database, self.made)?;
            self.made = None;
        }
        Ok(())
    }

    fn filling(&mut self) -> Result<&mut Filling> {
        self.filling.as_mut().ok_or_else(|| {
            Error::new(
                ErrorKind::Damaged,
                format!("{}: the export does not begin with 0-layout.json", self.name),
                "This is no PostgreSQL export of Strongroom, or its beginning is missing.",
            )
        })
    }
}

/// A second start of the same restore may replace what lies beside, never what is live.
fn refuse_after_swap(client: &mut postgres::Client, record: &Record) -> Result<()> {
    if record.standing(client)? == Standing::New {
        return Err(Error::new(ErrorKind::Refused, "this restore was swapped in already", "Undo it first."));
    }
    Ok(())
}

impl Target for PostgresTarget {
    fn inspect(&mut self, _context: &Context<'_>, manifest: &ComponentManifest) -> Result<TargetPlan> {
        self.manifest = Some(manifest.clone());
        let address = self.address()?;
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
            "4-large-objects/2-data.copy" => self.filling()?.large_objects(&mut Counted { content, context }),
            "5-post-data.sql" => {
                let text = read_text(content, &path, SCHEMA_BYTES_MAX)?;
                self.filling()?.post_data = Some(text);
                Ok(())
            }
            _ if is_document(&path) => {
                let document = json::Document::open(Counted { content, context })?;
                self.filling = Some(self.create(context, document.layout()?)?);
                document.restore(self.filling()?)
            }
            _ => self.filling()?.table(&path, &mut Counted { content, context }),
        }
    }

    fn finish(&mut self, context: &Context<'_>) -> Result<Figures> {
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
        if let Place::Live { state_folder, .. } = &self.place
            && let Some(mut record) = self.record()?
        {
            record.measured = true;
            record.save(state_folder, &self.name)?;
        }
        context.progress.step("postgres.measured");
        Ok(Figures::Database(figures))
    }

    fn swap(&mut self, context: &Context<'_>) -> Result<()> {
        let record = self.finished_record()?;
        if let Some(mut client) = self.uncommitted.take() {
            let (_, folder) = self.live()?;
            in_place::commit(&mut client, record, |record| record.save(folder, &self.name))?;
            context.progress.step("postgres.swap.renamed");
            return Ok(());
        }
        if record.new_oid.is_none() {
            return if self.was_committed(&record)? { Ok(()) } else { Err(in_place::rolled_back()) };
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
        if record.new_oid.is_none() {
            self.uncommitted = None;
            return if self.was_committed(&record)? { Err(in_place::no_way_back()) } else { Ok(()) };
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
        let Some(record) = self.record()? else { return Ok(()) };
        let address = self.address()?;
        let mut client = admin::connect_maintenance(&address, &address.database)?;
        match record.standing(&mut client)? {
            Standing::New => admin::drop_if(&mut client, &record.before, record.old_oid)?,
            Standing::Old => {
                // Killed between CREATE DATABASE and its record, the object id is not known; the name holds a random id.
                let oid = match record.new_oid {
                    Some(oid) => Some(oid),
                    None => names::oid_of(&mut client, &record.beside)?,
                };
                admin::drop_if(&mut client, &record.beside, oid)?;
            }
        }
        let (_, folder) = self.live()?;
        Record::remove(folder, &self.name)?;
        context.progress.step("postgres.discarded");
        Ok(())
    }
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

/// Stops when the run is cancelled.
struct Counted<'a> {
    content: &'a mut dyn Read,
    context: &'a Context<'a>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.content.read(buffer)?;
        if self.context.progress.is_cancelled() {
            self.context.progress.check_cancelled()?;
        }
        Ok(length)
    }
}
