//! A new database while it is filled, and measured when it is full.
//!
//! Rows are read back as soon as a table's are committed, while the next table comes: the schema's second half makes indexes,
//! constraints and triggers, none of which changes a row, so they are then what they will be in the end. Everything else is
//! measured when all is there. A table that turns out otherwise (other columns than the backup's list says) is read again.

use super::copy_binary::{Encoders, encoders};
use super::extensions::{AllLeftOut, forgive_owners};
use super::indexes::{self, Indexes};
use super::json::Sink;
use super::load::{self, Loaders};
use super::rows_in::Destination;
use super::{schema, statistics};
use crate::manifest::{ComponentManifest, DatabaseFigures, Figures, TableFigures};
use crate::source::postgres::address::{Address, ClientSettings};
use crate::source::postgres::client::Client;
use crate::source::postgres::connect::{connect, server_version_number};
use crate::source::postgres::database_properties::DatabaseProperties;
use crate::source::postgres::error::database;
use crate::source::postgres::layout::{self, Layout, Table};
use crate::source::postgres::own_path::OwnPath;
use crate::source::postgres::pg_dump::PgDump;
use crate::source::postgres::rows::{Reading, Taking};
use crate::source::postgres::statements::split;
use crate::source::postgres::{by_hand, dump_schema, figures, large_objects, sql};
use crate::target::Context;
use crate::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// COPY text goes to the server in pieces of this size.
const COPY_BYTES: u64 = 256 * 1024;

/// A new database while it is filled.
pub struct Filling {
    address: Address,
    client: Client,
    /// `None` where everything happens in one transaction, and so on one connection.
    loaders: Option<Loaders>,
    layout: Layout,
    /// Tables whose rows are to come: their numbers in the layout, by path.
    missing: HashMap<String, usize>,
    /// How rows of the tables that are there are sent faster than as text.
    encoders: Encoders,
    /// Grants wait until the rows are in.
    grants: Vec<String>,
    /// The schema's second half, run when everything is there.
    post_data: Option<String>,
    /// Those of its indexes that are built as soon as their table is there.
    indexes: Indexes,
    /// Extensions that are there already and belong to somebody else: their comments stay.
    extensions: Vec<String>,
    left_out: AllLeftOut,
    own_path: OwnPath,
}

/// Makes an empty database as the dumped one was: encoding, collation, owner.
pub fn create_database(maintenance: &mut Client, layout: &Layout, name: &str) -> Result<()> {
    let number = server_version_number(maintenance)?;
    let owner = maintenance
        .query_one(
            "SELECT pg_catalog.pg_has_role(oid, 'USAGE') FROM pg_catalog.pg_roles WHERE rolname = $1",
            &[&layout.database.owner],
        )
        .is_ok_and(|row| row.get(0));
    let owner = owner.then_some(layout.database.owner.as_str());
    let statement = layout.database.create_statement(name, number, owner);
    maintenance.batch_execute(&statement).map_err(|error| {
        database(format!("creating database {name}"), error).with_hint(
            "The role needs CREATEDB (ALTER ROLE … CREATEDB), and the server the locale of the dumped database.",
        )
    })
}

impl Filling {
    /// Connects to the new, empty database. What the backup left unhashed is not hashed here either.
    pub fn start(
        address: Address,
        mut layout: Layout,
        connections: usize,
        context: &Context<'_>,
        expected: Option<&ComponentManifest>,
    ) -> Result<Self> {
        leave_unhashed(&mut layout, database_figures(expected));
        let mut client = connect(&address)?;
        client
            .batch_execute("SET synchronous_commit = off")
            .map_err(|error| database("preparing a connection", error))?;
        schema::run_all(&mut client, by_hand::prepare_statements(&layout).iter().map(String::as_str))?;
        let own_path = OwnPath::of(&layout);
        let loaders = Loaders::start(&address, connections, &layout, reading(context, &layout), own_path.clone())?;
        // Where a superuser made the database with extensions in it, for a role that may not.
        let extensions = layout::extensions(&mut client)?.into_iter().filter(|name| name != "plpgsql").collect();
        Ok(Self { extensions, ..Self::new(address, client, Some(loaders), layout, own_path) })
    }

    /// Goes on in the transaction that the client is in: everything is on this one connection.
    pub fn within_transaction(address: Address, mut client: Client, layout: Layout) -> Result<Self> {
        let extensions = layout::extensions(&mut client)?;
        let own_path = OwnPath::live(true);
        Ok(Self { extensions, ..Self::new(address, client, None, layout, own_path) })
    }

    fn new(address: Address, client: Client, loaders: Option<Loaders>, layout: Layout, own_path: OwnPath) -> Self {
        let missing = layout.tables.iter().enumerate().map(|(number, table)| (table.file(number), number)).collect();
        let (indexes, grants, extensions) = (Indexes::new(), Vec::new(), Vec::new());
        Self {
            address,
            client,
            loaders,
            layout,
            missing,
            encoders: Encoders::new(),
            grants,
            post_data: None,
            indexes,
            extensions,
            left_out: AllLeftOut::default(),
            own_path,
        }
    }

    /// Whether nothing is committed before [`Loaded::measure_within_transaction`].
    pub const fn is_within_transaction(&self) -> bool {
        self.loaders.is_none()
    }

    /// The schema's first half.
    pub fn pre_data(&mut self, text: &str) -> Result<()> {
        (self.grants, self.left_out) = schema::run_pre_data(&mut self.client, text, &self.extensions, &self.own_path)?;
        if self.loaders.is_some() {
            self.encoders = encoders(&mut self.client, &self.layout.tables)?;
        }
        Ok(())
    }

    /// The schema's second half. It comes before the rows, but for backups of earlier versions.
    pub fn post_data(&mut self, text: String) {
        if self.loaders.is_some() {
            self.indexes = indexes::of(&split(&text), &self.layout.tables);
            self.indexes.values_mut().for_each(|indexes| indexes.retain(|index| index.is_plain));
        }
        self.post_data = Some(text);
    }

    /// Statements that may run at once.
    pub fn run(&mut self, text: &str) -> Result<()> {
        schema::run_all(&mut self.client, split(text))
    }

    /// The rows of one table.
    pub fn table(&mut self, path: &str, content: &mut dyn Read) -> Result<()> {
        let number = self.missing.remove(path).ok_or_else(|| {
            Error::new(
                ErrorKind::Damaged,
                format!("{path} is not in the export's own list, or came twice"),
                "The backup was not made by Strongroom or was tampered with. Use another one.",
            )
        })?;
        let (what, table) = (format!("restoring {path}"), &self.layout.tables[number]);
        match &self.loaders {
            Some(loaders) => {
                let encoder = self.encoders.remove(&(table.schema.clone(), table.name.clone()));
                let indexes = self.indexes.remove(&indexes::key(table)).unwrap_or_default();
                let loaded = loaders.load(&what, number, table, (encoder, indexes), content);
                loaded.map_err(|error| self.left_out.explained(error))
            }
            None => {
                let raw_bytes = self.layout.database.encoding == "SQL_ASCII";
                let taking = Taking { raw_bytes, ..Taking::default() };
                let destination = Destination { what: &what, table, taking, encoder: None };
                destination.fill(&mut self.client, &self.own_path, &table.schema, content)
            }
        }
    }

    /// The contents of the large objects; their definitions came before.
    pub fn large_objects(&mut self, content: &mut dyn Read) -> Result<()> {
        let what = "restoring large objects";
        self.client.batch_execute(large_objects::PREPARE).map_err(|error| database(what, error))?;
        copy_in(&mut self.client, what, large_objects::COPY_IN, content)?;
        self.client.batch_execute(large_objects::PUT_BACK).map_err(|error| database(what, error))
    }

    /// Everything has come: indexes, constraints, triggers, grants, settings.
    pub fn complete(mut self, context: &Context<'_>) -> Result<Loaded> {
        let load::Loaded { clients: mut helpers, measured, built } =
            self.loaders.take().map_or_else(|| Ok(load::Loaded::default()), Loaders::finish)?;
        if let Some(missing) = self.missing.keys().min() {
            return Err(incomplete(missing));
        }
        let post_data = self.post_data.take().ok_or_else(|| incomplete("1-post-data.sql"))?;
        let unfilled = schema::run_post_data(
            &mut self.client,
            &mut helpers,
            &post_data,
            &self.grants,
            &self.layout.tables,
            &self.own_path,
            built,
        )
        .map_err(|error| self.left_out.explained(error))?;
        for view in &unfilled {
            let (name, error) = (view.name(), &view.error);
            context
                .progress
                .warning(&format!("the materialized view {name} could not be filled, and stays empty: {error}"));
        }
        context.progress.check_cancelled()?;
        // A live database that is filled again has kept its own, and only its owner may set them.
        let kept =
            helpers.is_empty() && self.layout.database.same_settings(&DatabaseProperties::read(&mut self.client)?);
        if !kept {
            let target = sql::identifier(&self.address.database);
            let statements = self.layout.database.statements(&target);
            schema::run_all(&mut self.client, statements.iter().map(String::as_str))?;
        }
        for extension in &self.left_out.0 {
            context.progress.warning(&format!(
                "the extension {} was left out, the role may not create it. As a superuser: {};",
                extension.name, extension.statements[0]
            ));
        }
        let unfilled = unfilled.into_iter().map(|view| view.statement).collect();
        let measured =
            measured.into_iter().map(|(number, figures)| (self.layout.tables[number].clone(), figures)).collect();
        let Self { address, client, own_path, left_out, .. } = self;
        Ok(Loaded { address, client, helpers, measured, unfilled, left_out, own_path })
    }
}

impl Sink for Filling {
    fn pre_data(&mut self, text: &str) -> Result<()> {
        Self::pre_data(self, text)
    }

    fn sequences(&mut self, text: &str) -> Result<()> {
        self.run(text)
    }

    fn large_object_definitions(&mut self, text: &str) -> Result<()> {
        self.run(text)
    }

    fn post_data(&mut self, text: String) -> Result<()> {
        Self::post_data(self, text);
        Ok(())
    }

    fn table_named(&mut self, schema: &str, name: &str, rows: &mut dyn Read) -> Result<()> {
        let path = self.layout.file_of(schema, name).unwrap_or_else(|| format!("{schema}.{name}"));
        self.table(&path, rows)
    }

    fn large_objects(&mut self, rows: &mut dyn Read) -> Result<()> {
        Self::large_objects(self, rows)
    }
}

/// Takes COPY text on one connection.
fn copy_in(client: &mut Client, what: &str, statement: &str, content: &mut dyn Read) -> Result<()> {
    client.copy_in(what, statement, || {
        let mut piece = Vec::new();
        let read =
            content.take(COPY_BYTES).read_to_end(&mut piece).map_err(|error| vault::error::from_io(what, error))?;
        Ok((read > 0).then_some(piece.into()))
    })
}

fn incomplete(path: &str) -> Error {
    Error::new(ErrorKind::Truncated, format!("the export ends without {path}"), "Use another backup.")
}

/// A full database, to be measured.
pub struct Loaded {
    address: Address,
    client: Client,
    helpers: Vec<Client>,
    /// Tables that were read back already, as they are in the backup's layout.
    measured: Vec<(Table, TableFigures)>,
    /// What `pg_dump` says of the materialized views that could not be filled, where they are.
    unfilled: Vec<String>,
    left_out: AllLeftOut,
    own_path: OwnPath,
}

impl Loaded {
    /// Measures within the transaction, before it is committed. `pg_dump` cannot see it: the definitions are compared by
    /// their counts, which is said.
    pub fn measure_within_transaction(
        mut self,
        context: &Context<'_>,
        expected: Option<&ComponentManifest>,
    ) -> Result<(DatabaseFigures, Client)> {
        let mut layout = layout::read(&mut self.client)?;
        let expected = database_figures(expected);
        leave_unhashed(&mut layout, expected);
        let mut clients = [self.client];
        let mut figures = figures::measure(&mut clients, &layout, Vec::new(), &reading(context, &layout))?;
        if let Some(expected) = expected {
            figures.schema_hash.clone_from(&expected.schema_hash);
        }
        forgive_unfilled(&mut figures, self.unfilled.len());
        forgive_owners(&mut figures, expected);
        context.progress.warning(
            "restored in one transaction, which pg_dump cannot see: definitions are compared by their counts, not word for word",
        );
        let [client] = clients;
        Ok((figures, client))
    }

    /// Measures what is there now, not what passed by. Statistics for the planner are gathered meanwhile.
    pub fn measure(
        mut self,
        context: &Context<'_>,
        expected: Option<&ComponentManifest>,
        tools_folder: Option<&Path>,
        client: &ClientSettings,
    ) -> Result<DatabaseFigures> {
        let mut layout = layout::read(&mut self.client)?;
        let expected = database_figures(expected);
        leave_unhashed(&mut layout, expected);
        let reading = reading(context, &layout);
        let names: Vec<_> = self.measured.iter().map(|(table, _)| (table.schema.clone(), table.name.clone())).collect();
        let done = names.iter().map(|(schema, name)| (schema.as_str(), name.as_str())).collect();
        let known = still_so(self.measured, &layout);
        let pg_dump = PgDump::find(layout.server_version_number, tools_folder, client)?;
        let (schema, analyzed, figures) = std::thread::scope(|scope| {
            let schema = scope.spawn(|| dump_schema(&pg_dump, &self.address, None));
            let analyzed = scope.spawn(|| statistics::complete(&mut self.client, &done, &self.own_path));
            let figures = figures::measure(&mut self.helpers, &layout, known, &reading);
            (schema.join(), analyzed.join(), figures)
        });
        let panicked = |_| Error::internal("a helper of the comparison panicked");
        let (pre_data, post_data) = schema.map_err(panicked)??;
        for (table, error) in analyzed.map_err(panicked)?? {
            context.progress.warning(&format!("statistics of {table} could not be gathered: {error}"));
        }
        let mut figures = figures?;
        let left_out = self.left_out.0.iter().flat_map(|extension| &extension.statements);
        let unsaid = left_out.chain(&self.unfilled).map(String::as_str).collect::<Vec<_>>().join(";\n");
        figures.schema_hash = crate::source::postgres::statements::hash(&[&pre_data, &post_data, &unsaid]);
        forgive_other_version(&mut figures, expected, context);
        forgive_unfilled(&mut figures, self.unfilled.len());
        self.left_out.forgive(&mut figures, expected);
        forgive_owners(&mut figures, expected);
        Ok(figures)
    }
}

/// Figures of tables that the restored database has with the very columns that were read.
fn still_so(measured: Vec<(Table, TableFigures)>, layout: &Layout) -> Vec<TableFigures> {
    let found: HashMap<_, _> = layout.tables.iter().map(|table| ((&table.schema, &table.name), table)).collect();
    let same = |read: &Table, now: &Table| {
        read.columns == now.columns && read.condition == now.condition && read.unhashed == now.unhashed
    };
    let so = measured
        .into_iter()
        .filter(|(table, _)| found.get(&(&table.schema, &table.name)).is_some_and(|now| same(table, now)));
    so.map(|(_, figures)| figures).collect()
}

pub fn database_figures(manifest: Option<&ComponentManifest>) -> Option<&DatabaseFigures> {
    match manifest.map(|manifest| &manifest.figures) {
        Some(Figures::Database(figures)) => Some(figures),
        _ => None,
    }
}

pub fn reading(context: &Context<'_>, layout: &Layout) -> Reading {
    Reading { hash_key: context.hash_key, ordered: false, raw_bytes: layout.database.encoding == "SQL_ASCII" }
}

/// What the backup left unhashed is not hashed here either.
pub fn leave_unhashed(layout: &mut Layout, expected: Option<&DatabaseFigures>) {
    let Some(expected) = expected else { return };
    for table in &mut layout.tables {
        table.unhashed = expected.tables.iter().any(|figures| {
            figures.name == table.name
                && figures.schema.as_deref() == Some(&table.schema)
                && figures.content_hash.is_none()
        });
    }
}

/// A materialized view holds nothing of its own: what could not be filled was named, and is no reason to refuse the rest.
fn forgive_unfilled(figures: &mut DatabaseFigures, unfilled: usize) {
    if unfilled > 0 {
        *figures.objects.entry("materializedViewsPopulated".to_owned()).or_default() += unfilled as u64;
    }
}

/// Another major version writes the same definitions in other words: they cannot be compared, which is said. Counts of all
/// objects are compared in any case.
fn forgive_other_version(figures: &mut DatabaseFigures, expected: Option<&DatabaseFigures>, context: &Context<'_>) {
    let Some(expected) = expected else { return };
    let major = |version: &str| version.split('.').next().unwrap_or_default().to_owned();
    if major(&expected.engine_version) != major(&figures.engine_version) {
        context.progress.warning(&format!(
            "the backup is of PostgreSQL {}, this server is {}: definitions are compared by their counts, not word for word",
            expected.engine_version, figures.engine_version
        ));
        figures.schema_hash.clone_from(&expected.schema_hash);
    }
}
