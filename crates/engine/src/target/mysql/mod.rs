//! Puts MySQL and MariaDB databases back.
//!
//! Into a new database, or beside the live one as `<db>__restoring_<id>`; there it is measured, and then [`swap`](Target::swap)
//! moves all tables in one statement: the live ones to `<db>__before_<id>`, the new ones into their place (there is no RENAME
//! DATABASE). See [`mod@swap`] for what happens to everything that is not a table, and after a crash.

mod drill;
mod inspect;
mod journal;
mod keys;
mod load;
mod make;
mod swap;

pub use drill::{drill_place, drop_database, query, sweep_drills};
pub use swap::STEPS;

use crate::config::component::ServerDatabaseSettings;
use crate::export::json::JsonReader;
use crate::id::Id;
use crate::manifest::{ComponentManifest, Figures, TableId};
use crate::source::mysql::address::Address;
use crate::source::mysql::schema::Schema;
use crate::source::mysql::session::{Session, quote_name, quote_text};
use crate::source::mysql::{DOCUMENT_ENTRY, SCHEMA_ENTRY, figures, schema_from_document, script};
use crate::target::{Context, Place, Target, TargetPlan};
use crate::{Error, ErrorKind, Result};
use keys::Key;
use load::Loaders;
use make::Events;
use std::io::Read;
use std::path::{Path, PathBuf};
use vault::Entry;

/// The schema of a database with a hundred thousand columns is smaller.
const SCHEMA_BYTES_MAX: u64 = 256 << 20;

/// Where the restored database lies until it is live, and the live one after that.
#[derive(Debug, Clone)]
struct Beside {
    /// `<db>__restoring_<id>`
    restoring: String,
    /// `<db>__before_<id>`
    before: String,
    state_folder: PathBuf,
}

/// A MySQL or MariaDB database to be put back.
pub struct MysqlTarget {
    name: String,
    /// The live database, or the new one.
    address: Address,
    connections: usize,
    beside: Option<Beside>,
    /// The new database did not exist before.
    is_ours: bool,
    only: Option<Vec<String>>,
    /// Keys of these tables to others: made when they are live.
    keys: Vec<Key>,
    schema: Option<Schema>,
    loaders: Option<Loaders>,
}

impl MysqlTarget {
    /// The component `name`, put into `place`.
    pub fn new(name: &str, settings: &ServerDatabaseSettings, place: &Place) -> Result<Self> {
        let (address, beside) = match place {
            Place::Live { restore_id, state_folder } => {
                let address = Address::parse(&settings.url)?;
                let beside = Beside {
                    restoring: beside_name(&address.database, "restoring", restore_id),
                    before: beside_name(&address.database, "before", restore_id),
                    state_folder: state_folder.clone(),
                };
                (address, Some(beside))
            }
            Place::Database { url } => (Address::parse(url)?, None),
            Place::Folder { .. } => {
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!("component {name} is a MySQL database: it cannot be restored into a folder"),
                    "Name a database: mysql://user@host/new_name.",
                ));
            }
        };
        Ok(Self {
            name: name.to_owned(),
            address,
            connections: settings.connections.unwrap_or(2) as usize,
            beside,
            is_ours: false,
            only: None,
            keys: Vec::new(),
            schema: None,
            loaders: None,
        })
    }

    /// The database that is filled: the new one, or the one beside the live one.
    fn filled(&self) -> Address {
        match &self.beside {
            Some(beside) => self.address.with_database(&beside.restoring),
            None => self.address.clone(),
        }
    }

    fn live(&self) -> Result<&Beside> {
        self.beside
            .as_ref()
            .ok_or_else(|| Error::internal("a MySQL database that was restored elsewhere cannot be swapped"))
    }

    /// The schema has come: makes the tables.
    fn prepare(&mut self, mut schema: Schema) -> Result<()> {
        if let Some(only) = &self.only {
            let missing = only.iter().find(|name| schema.tables.iter().all(|table| table.name != **name));
            if let Some(name) = missing {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("there is no table {name} in the backup"),
                    "`strongroom files ID` shows what is in it.",
                ));
            }
            inspect::keep_only(&mut schema, only);
            self.keys = keys::take_out(&mut schema, only);
        }
        let filled = self.filled();
        let mut session = Session::connect(&filled)?;
        if let Some(beside) = &self.beside {
            journal::refuse_if_any(&beside.state_folder)?;
            // Left by an attempt that died: the name is ours alone.
            session.execute(&format!("DROP DATABASE IF EXISTS {}", quote_name(&beside.restoring)))?;
        } else if let Some(why) = inspect::not_empty(&mut session, &filled.database)? {
            return Err(Error::new(
                ErrorKind::Refused,
                why,
                "Name a database that does not exist yet, or an empty one.",
            ));
        }
        self.is_ours = !exists(&mut session, &filled.database)?;
        make::tables(&mut session, &schema, &filled.database)?;
        self.loaders = Some(Loaders::start(&filled, self.connections)?);
        self.schema = Some(schema);
        Ok(())
    }

    fn schema(&self) -> Result<&Schema> {
        self.schema.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Damaged,
                format!("component {}: the backup holds rows but no schema before them", self.name),
                "Use another copy or an older backup.",
            )
        })
    }

    fn rows(&mut self, path: &str, content: &mut dyn Read) -> Result<()> {
        let table = self.schema()?.tables.iter().find(|table| script::data_file(&table.name) == path);
        match (table, &self.only) {
            (Some(_), _) => {}
            (None, Some(_)) => return Ok(()),
            (None, None) => {
                return Err(Error::new(
                    ErrorKind::Damaged,
                    format!("component {}: {path} belongs to no table of the schema", self.name),
                    "Use another copy or an older backup.",
                ));
            }
        }
        let Some(loaders) = &mut self.loaders else { return Err(Error::internal("rows came before connections")) };
        loaders.file(content).map_err(|error| error.within(path))
    }

    fn document(&mut self, content: &mut dyn Read) -> Result<()> {
        let mut reader = JsonReader::new(content)?;
        let schema = schema_from_document(reader.header(), reader.schema(), reader.settings())?;
        self.prepare(schema)?;
        while let Some(head) = reader.next_table()? {
            let name = head.name.name.clone();
            let Some(table) = self.schema()?.tables.iter().find(|table| table.name == name).cloned() else {
                continue;
            };
            let Some(loaders) = &mut self.loaders else { return Err(Error::internal("rows came before connections")) };
            loaders.document(&mut reader, &head, &table).map_err(|error| error.within(format_args!("table {name}")))?;
        }
        reader.finish()
    }
}

impl Target for MysqlTarget {
    /// These tables alone, with their triggers; routines, views, events and other tables are left as they are.
    fn only_tables(&mut self, tables: &[TableId]) -> Result<()> {
        self.only = Some(tables.iter().map(|table| table.name.clone()).collect());
        Ok(())
    }

    fn inspect(&mut self, _context: &Context<'_>, manifest: &ComponentManifest) -> Result<TargetPlan> {
        inspect::inspect(&self.address, self.beside.as_ref(), manifest, self.only.as_deref())
    }

    fn entry(&mut self, context: &Context<'_>, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        context.progress.check_cancelled()?;
        let path = entry.path.to_string();
        let result = match path.as_str() {
            SCHEMA_ENTRY => {
                let mut bytes = Vec::new();
                content
                    .take(SCHEMA_BYTES_MAX)
                    .read_to_end(&mut bytes)
                    .map_err(|cause| vault::error::from_io("reading the schema", cause))?;
                self.prepare(Schema::from_json(&bytes)?)
            }
            DOCUMENT_ENTRY => self.document(content),
            path if path.starts_with("2-data/") => self.rows(path, content),
            // For people; what they hold is in the schema as well.
            _ => Ok(()),
        };
        context.progress.entries(1);
        result.map_err(|error| error.within(format_args!("component {}", self.name)))
    }

    fn finish(&mut self, context: &Context<'_>) -> Result<Figures> {
        context.progress.phase(&format!("completing {}", self.name), None);
        if let Some(loaders) = self.loaders.take() {
            loaders.finish()?;
        }
        let filled = self.filled();
        let schema = self.schema()?.clone();
        let mut session = Session::open(&filled)?;
        make::objects(
            &mut session,
            &schema.objects,
            &schema.collation,
            &filled.database,
            Events::Disabled,
            context.progress,
        )?;
        let measured = figures::measure(&filled, self.connections, &schema, context.hash_key)?;
        match &self.beside {
            Some(beside) => {
                let keys = self.only.is_some().then(|| self.keys.clone());
                journal::begin(beside, &self.address.database, &schema, keys)?;
            }
            None if !drill::is_drill(&filled.database) => make::enable_events(&mut session, &schema, &filled.database)?,
            None => {}
        }
        Ok(Figures::Database(measured))
    }

    fn swap(&mut self, context: &Context<'_>) -> Result<()> {
        swap::run(&self.address, self.live()?, journal::Side::New, context)
    }

    fn swap_back(&mut self, context: &Context<'_>) -> Result<()> {
        swap::run(&self.address, self.live()?, journal::Side::Old, context)
    }

    fn discard(&mut self, context: &Context<'_>) -> Result<()> {
        drop(self.loaders.take());
        match &self.beside {
            Some(beside) => swap::discard(&self.address, beside, context),
            None if self.is_ours => {
                let mut session = Session::connect(&self.address)?;
                session.execute(&format!("DROP DATABASE IF EXISTS {}", quote_name(&self.address.database)))
            }
            None => Ok(()),
        }
    }
}

/// `<db>__<what>_<id>`, with the database's name cut so that it stays within the server's 64 characters.
fn beside_name(database: &str, what: &str, id: &Id) -> String {
    let suffix = format!("__{what}_{id}");
    let kept = database.chars().take(64 - suffix.chars().count()).collect::<String>();
    format!("{kept}{suffix}")
}

/// Whether a database of that name exists.
fn exists(session: &mut Session, database: &str) -> Result<bool> {
    let sql = format!("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}", quote_text(database));
    Ok(session.number(&sql)? > 0)
}

/// The folder's path, for messages.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
