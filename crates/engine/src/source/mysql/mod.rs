//! Reads MySQL and MariaDB databases.
//!
//! The goal: everything that the database holds, of one instant, bit for bit, without the server's dump program; and SQL files
//! from which the server's own client alone restores it.
//!
//! `capture` takes the [`snapshot`]; `read` hands over, as `native` export:
//!
//! | entry | what |
//! |---|---|
//! | `1-schema/schema.json` | every definition, for our own restore |
//! | `1-schema/tables.sql` | sequences and tables |
//! | `2-data/<table>.sql` | INSERTs, a row a line, in key order |
//! | `3-routines-events-triggers-views.sql` | the rest |
//! | `restore.sql` | sources the others: `mariadb restored < restore.sql` |
//!
//! or as `json` export one document, `database.json`. Definitions come from `SHOW CREATE` in the snapshot's own session rather
//! than from `mariadb-dump`: no second program with a password and a view of its own of what the instant was.

pub(crate) mod address;
mod document;
pub(crate) mod figures;
pub(crate) mod introspect;
pub(crate) mod literal;
pub(crate) mod rights;
pub(crate) mod rows;
pub(crate) mod schema;
pub(crate) mod script;
pub(crate) mod session;
mod snapshot;
mod stream;

pub(crate) use document::schema_from_document;

use crate::config::component::ServerDatabaseSettings;
use crate::manifest::{ComponentKind, ComponentManifest, Export, Figures, State};
use crate::source::{Context, Source};
use crate::{Error, Result};
use address::Address;
use rights::Rights;
use session::Session;
use snapshot::{Snapshot, Wanted};
use std::io::Cursor;
use stream::{Form, QueueReader, Reading, TableEnd};
use vault::transfer::Content;
use vault::{Entry, EntryPath, EntryWriter, Hinted, Outcome, Structure, Timestamp};

/// Where the schema of a native export lies; its first entry.
pub(crate) const SCHEMA_ENTRY: &str = "1-schema/schema.json";

/// Where the document of a JSON export lies.
pub(crate) const DOCUMENT_ENTRY: &str = "database.json";

/// A MySQL or MariaDB database to be read.
pub struct MysqlSource {
    name: String,
    address: Address,
    settings: ServerDatabaseSettings,
    export: Export,
    snapshot: Option<Snapshot>,
}

/// What [`check_rights`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightsReport {
    /// The account as the server knows it.
    pub account: String,
    /// GRANT statements without which backups are refused.
    pub needed: Vec<String>,
    /// GRANT statements that make backups parallel and of one instant for every storage engine.
    pub advised: Vec<String>,
}

/// Asks the server which rights the account lacks for backups; fails where it cannot be reached at all.
pub fn check_rights(settings: &ServerDatabaseSettings) -> Result<RightsReport> {
    let address = Address::parse(&settings.url)?;
    let mut session = Session::open(&address)?;
    let rights = Rights::read(&mut session, &address.database)?;
    Ok(RightsReport {
        account: rights.account.clone(),
        needed: rights.grants_needed(&address.database),
        advised: rights.grants_advised(&address.database),
    })
}

impl MysqlSource {
    /// The component `name`, exported as `settings` say unless `export` says otherwise.
    pub fn new(name: &str, settings: &ServerDatabaseSettings, export: Option<Export>) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            address: Address::parse(&settings.url)?,
            export: export.or(settings.export).unwrap_or(Export::Native),
            settings: settings.clone(),
            snapshot: None,
        })
    }

    fn native(snapshot: &mut Snapshot, context: &Context<'_>, out: &mut Output<'_>) -> Result<Vec<(String, TableEnd)>> {
        out.text(SCHEMA_ENTRY, snapshot.schema.to_json()?)?;
        out.text("1-schema/tables.sql", script::tables_file(&snapshot.schema).into_bytes())?;
        let files = snapshot.schema.tables.iter().filter(|table| !table.without_rows);
        let files = files.map(|table| script::data_file(&table.name)).collect::<Vec<_>>();
        let after = [
            ("3-routines-events-triggers-views.sql", script::objects_file(&snapshot.schema)),
            ("restore.sql", script::restore_file(&snapshot.schema, &files)),
        ];
        let reading = Reading { hash_key: context.hash_key, form: Form::Inserts, in_key_order: context.deduplicating };
        let ends = stream::run(snapshot, reading, |tables, queues| {
            let mut ends = Vec::with_capacity(tables.len());
            for (table, queue) in tables.iter().zip(queues) {
                let end = if table.without_rows {
                    figures::end_of(&queue)?
                } else {
                    out.stream(&script::data_file(&table.name), &queue)?
                };
                ends.push((table.name.clone(), end));
            }
            Ok(ends)
        })?;
        for (path, text) in after {
            out.text(path, text.into_bytes())?;
        }
        Ok(ends)
    }
}

impl Source for MysqlSource {
    fn capture(&mut self, context: &Context<'_>) -> Result<()> {
        context.progress.phase(&format!("taking a snapshot of {}", self.name), None);
        let wanted = Wanted {
            connections: self.settings.connections.unwrap_or(2) as usize,
            scratch: Some(context.scratch),
            content_hash_bytes_max: self.settings.content_hash_bytes_max,
        };
        let snapshot = Snapshot::take(&self.address, &wanted)
            .map_err(|error| error.within(format_args!("component {}", self.name)))?;
        snapshot.warnings.iter().for_each(|warning| context.progress.warning(warning));
        self.snapshot = Some(snapshot);
        Ok(())
    }

    fn read(&mut self, context: &Context<'_>, writer: &mut dyn EntryWriter) -> Result<ComponentManifest> {
        let Some(mut snapshot) = self.snapshot.take() else {
            return Err(Error::internal("a MySQL source was read before it was captured"));
        };
        context.progress.phase(&format!("backing up {}", self.name), None);
        let mut out = Output { context, writer, entries: 0, bytes: 0 };
        let ends = match self.export {
            Export::Native => Self::native(&mut snapshot, context, &mut out),
            Export::Json => document::write(&self.name, &mut snapshot, context, &mut out),
        };
        let ends = ends.map_err(|error| error.within(format_args!("component {}", self.name)))?;
        Ok(ComponentManifest {
            name: self.name.clone(),
            kind: ComponentKind::Mysql,
            export: Some(self.export),
            state: if snapshot.partial { State::Partial } else { State::Succeeded },
            entries: out.entries,
            bytes: out.bytes,
            warnings: snapshot.warnings.clone(),
            figures: Figures::Database(figures::figures(&snapshot, &ends)),
        })
    }
}

/// Writes entries and counts them.
struct Output<'a> {
    context: &'a Context<'a>,
    writer: &'a mut dyn EntryWriter,
    entries: u64,
    bytes: u64,
}

impl Output<'_> {
    /// A small generated file.
    fn text(&mut self, path: &str, bytes: Vec<u8>) -> Result<()> {
        let size_bytes = bytes.len() as u64;
        self.write(path, Some(size_bytes), &mut Cursor::new(bytes))
    }

    /// A table's rows.
    fn stream(&mut self, path: &str, queue: &crossbeam_channel::Receiver<stream::Block>) -> Result<TableEnd> {
        let mut content = QueueReader::new(queue, self.context.progress);
        let mut rows = Hinted { content: &mut content, structure: Structure::Rows { by_key: false } };
        let written = self.write(path, None, &mut rows);
        match content.end {
            // The reader's own error says more than the writer's about it.
            Some(Err(error)) => Err(error),
            _ if written.is_err() => written.map(|()| TableEnd::default()),
            Some(Ok(end)) => Ok(end),
            None => Err(Error::internal(format!("{path} was not taken to its end"))),
        }
    }

    fn write(&mut self, path: &str, size_bytes: Option<u64>, content: &mut dyn Content) -> Result<()> {
        self.context.progress.check_cancelled()?;
        let started = Timestamp {
            seconds: self.context.started_at.as_second(),
            nanoseconds: self.context.started_at.subsec_nanosecond().unsigned_abs(),
        };
        let entry = Entry::generated(EntryPath::new(path)?, size_bytes, started);
        match self.writer.write(&entry, Some(content))? {
            Outcome::Stored { bytes, padded_bytes: 0 } => {
                self.entries += 1;
                self.bytes += bytes;
                self.context.progress.entries(1);
                Ok(())
            }
            other => Err(Error::internal(format!("{path}: generated content came out as {other:?}"))),
        }
    }
}
