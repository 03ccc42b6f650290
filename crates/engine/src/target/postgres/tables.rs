//! Single tables, put back into the live database within one transaction.
//!
//! A table that is there keeps its identity: its rows are replaced, so views, functions, grants, policies and the keys of other
//! tables go on meaning it. A table that is gone is made anew with all that hangs on it. Sequences never go backwards.
//!
//! Invariant: nothing is changed before the commit, and what is committed was measured in the transaction. Foreign keys, those
//! of other tables included, are taken away and made again, which checks every row: rows that would refer to nothing are a
//! refusal. The uncomfortable consequence: while the rows are exchanged, readers of these tables wait, and so do writers of
//! tables with a foreign key to or from them.

mod definitions;
mod inspect;
mod keys;
mod sequences;
mod switches;

pub use inspect::inspect;

use super::filling::{database_figures, leave_unhashed, reading};
use super::json::Sink;
use super::rows_in::Destination;
use super::schema::{run, run_led, schema_of};
use crate::manifest::{ComponentManifest, DatabaseFigures, TableId};
use crate::source::postgres::address::Address;
use crate::source::postgres::client::Client;
use crate::source::postgres::connect::connect;
use crate::source::postgres::error::database;
use crate::source::postgres::layout::{Layout, Table};
use crate::source::postgres::own_path::OwnPath;
use crate::source::postgres::rows::{self, Taking};
use crate::source::postgres::sql;
use crate::target::Context;
use crate::{Error, ErrorKind, Result};
use definitions::Definitions;
use std::collections::BTreeSet;
use std::io::Read;

/// How long a lock on a table is waited for.
const LOCK_TIMEOUT: &str = "30s";

/// Tables on their way back, in an open transaction.
pub struct Tables {
    client: Client,
    layout: Layout,
    wanted: Vec<Wanted>,
    /// Partitioned tables among them, which have no rows of their own, and whether they are there.
    united: Vec<(TableId, bool)>,
    /// Wanted, but not there when the backup was taken: they go. Only when a restore is taken back.
    absent: Vec<TableId>,
    definitions: Definitions,
    raw_bytes: bool,
    own_path: OwnPath,
}

/// One table.
struct Wanted {
    table: Table,
    /// Its path in a native export.
    path: String,
    /// Where its rows wait, where the table is there; `None` where it is made anew.
    aside: Option<Table>,
    came: bool,
}

impl Wanted {
    fn id(&self) -> TableId {
        TableId { schema: Some(self.table.schema.clone()), name: self.table.name.clone() }
    }

    /// Where its rows go first.
    fn receiver(&self) -> &Table {
        self.aside.as_ref().unwrap_or(&self.table)
    }
}

impl Tables {
    /// Begins the transaction. `taking_back`: tables that the backup lacks were not there before, and go.
    pub fn begin(address: &Address, layout: Layout, only: &[TableId], taking_back: bool) -> Result<Self> {
        let mut client = connect(address)?;
        client
            .batch_execute(&format!("BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
            .map_err(|error| database("beginning the transaction", error))?;
        let (mut wanted, mut united, mut absent) = (Vec::new(), Vec::new(), Vec::new());
        for (number, id) in only.iter().enumerate() {
            let at = layout.tables.iter().position(|t| Some(&t.schema) == id.schema.as_ref() && t.name == id.name);
            match at {
                Some(at) => {
                    let table = layout.tables[at].clone();
                    let aside = aside(&mut client, &table, number)?;
                    wanted.push(Wanted { path: table.file(at), table, aside, came: false });
                }
                None if layout.partitioned.iter().any(|table| table.id == *id) => {
                    united.push((id.clone(), inspect::find(&mut client, id)?.is_some()));
                }
                None if taking_back => absent.push(id.clone()),
                None => return Err(incomplete(id)),
            }
        }
        let (raw_bytes, own_path) = (layout.database.encoding == "SQL_ASCII", OwnPath::live(true));
        let gone = wanted.iter().filter(|table| table.aside.is_none()).map(Wanted::id);
        let made = gone.chain(united.iter().filter(|(_, is_there)| !is_there).map(|(id, _)| id.clone())).collect();
        Ok(Self { client, layout, wanted, united, absent, definitions: Definitions::of(made), raw_bytes, own_path })
    }

    /// The schema's first half: tables that are gone are made.
    pub fn pre_data(&mut self, text: &str) -> Result<()> {
        self.definitions.before_rows(&mut self.client, text, &self.own_path)
    }

    /// The schema's second half, which is needed last.
    pub fn post_data(&mut self, text: String) {
        self.definitions.after_rows = Some(text);
    }

    /// Rows of a native export; those of other tables are passed over.
    pub fn rows(&mut self, path: &str, content: &mut dyn Read) -> Result<()> {
        match self.wanted.iter().position(|wanted| wanted.path == path) {
            Some(at) => self.take(at, content),
            None => Ok(()),
        }
    }

    fn take(&mut self, at: usize, content: &mut dyn Read) -> Result<()> {
        let wanted = &mut self.wanted[at];
        wanted.came = true;
        let destination = Destination {
            what: &format!("restoring table {}", wanted.id()),
            table: wanted.receiver(),
            taking: Taking { raw_bytes: self.raw_bytes, ..Taking::default() },
            encoder: None,
        };
        destination.fill(&mut self.client, &self.own_path, &wanted.table.schema, content)
    }

    /// Exchanges the rows, makes keys, sequences and triggers right, and measures; what is left is to commit.
    pub fn finish(
        mut self,
        context: &Context<'_>,
        expected: Option<&ComponentManifest>,
    ) -> Result<(DatabaseFigures, Client)> {
        if let Some(missing) = self.wanted.iter().find(|wanted| !wanted.came) {
            return Err(incomplete(&missing.id()));
        }
        let there: Vec<String> =
            self.wanted.iter().filter(|t| t.aside.is_some()).map(|wanted| wanted.table.qualified()).collect();
        let going: Vec<String> = self.absent.iter().map(qualified).collect();
        let touched: Vec<String> = there.iter().chain(&going).cloned().collect();
        let client = &mut self.client;
        lock(client, &touched)?;
        let keys = keys::take_away(client, &touched)?;
        for wanted in &self.wanted {
            if let Some(aside) = &wanted.aside {
                replace_rows(client, &wanted.table, aside, &self.own_path)?;
            }
        }
        for name in &going {
            run(client, &format!("DROP TABLE IF EXISTS {name}"))?;
        }
        self.definitions.after_rows(client, &self.own_path, &keys)?;
        keys::make_again(client, &keys, &going, &self.own_path)?;
        for wanted in &self.wanted {
            sequences::put_back(client, &wanted.id(), &self.layout, wanted.aside.is_some())?;
            let statement = format!("ANALYZE {}", wanted.table.qualified());
            self.own_path.attempt_on(client, &wanted.table, |client| run(client, &statement))?;
        }
        for (id, was_there) in &self.united {
            sequences::put_back(client, id, &self.layout, *was_there)?;
            run(client, &format!("ANALYZE {}", qualified(id)))?;
        }
        context.progress.check_cancelled()?;
        context.progress.step("postgres.loaded");
        let figures = self.measure(context, expected)?;
        Ok((figures, self.client))
    }

    fn measure(&mut self, context: &Context<'_>, expected: Option<&ComponentManifest>) -> Result<DatabaseFigures> {
        let expected = database_figures(expected);
        leave_unhashed(&mut self.layout, expected);
        let reading = reading(context, &self.layout);
        let names: BTreeSet<_> = self.wanted.iter().map(|wanted| wanted.path.clone()).collect();
        let mut figures = DatabaseFigures {
            engine: "postgresql".to_owned(),
            engine_version: self.layout.server_version.clone(),
            ..DatabaseFigures::default()
        };
        for (number, table) in self.layout.tables.iter().enumerate() {
            if names.contains(&table.file(number)) {
                figures.tables.push(rows::measure(&mut self.client, table, &reading)?);
            }
        }
        Ok(figures)
    }
}

impl Sink for Tables {
    fn pre_data(&mut self, text: &str) -> Result<()> {
        Self::pre_data(self, text)
    }

    fn sequences(&mut self, _text: &str) -> Result<()> {
        Ok(())
    }

    fn large_object_definitions(&mut self, _text: &str) -> Result<()> {
        Ok(())
    }

    fn post_data(&mut self, text: String) -> Result<()> {
        Self::post_data(self, text);
        Ok(())
    }

    fn table_named(&mut self, schema: &str, name: &str, rows: &mut dyn Read) -> Result<()> {
        match self.wanted.iter().position(|wanted| wanted.table.schema == schema && wanted.table.name == name) {
            Some(at) => self.take(at, rows),
            None => Ok(()),
        }
    }

    fn large_objects(&mut self, _rows: &mut dyn Read) -> Result<()> {
        Ok(())
    }
}

fn qualified(id: &TableId) -> String {
    sql::qualified(id.schema.as_deref().unwrap_or("public"), &id.name)
}

fn incomplete(id: &TableId) -> Error {
    Error::new(ErrorKind::Truncated, format!("the export holds no rows of {id}"), "Use another backup.")
}

/// Makes a temporary table for the rows, where the table is there with the columns of then.
fn aside(client: &mut Client, table: &Table, number: usize) -> Result<Option<Table>> {
    let what = || format!("looking at table {}.{}", table.schema, table.name);
    let found = client
        .query_opt(
            "SELECT c.relkind::text, ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '')
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE n.nspname = $1 AND c.relname = $2",
            &[&table.schema, &table.name],
        )
        .map_err(|error| database(what(), error))?;
    let Some(row) = found else { return Ok(None) };
    let (kind, columns): (String, Vec<String>) = (row.get(0), row.get(1));
    if let Some(why) = inspect::difference(table, &kind, &columns) {
        return Err(Error::new(
            ErrorKind::Refused,
            why,
            "Nothing was changed. Restore everything into a new database with --to, and take the rows from there.",
        ));
    }
    let aside = Table {
        schema: "pg_temp".to_owned(),
        name: format!("strongroom_{number}"),
        columns: table.columns.clone(),
        ..Table::default()
    };
    let columns = sql::identifiers(&table.columns);
    let statement = format!(
        "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {columns} FROM ONLY {} WITH NO DATA",
        aside.qualified(),
        table.qualified()
    );
    client.batch_execute(&statement).map_err(|error| database(what(), error))?;
    Ok(Some(aside))
}

fn lock(client: &mut Client, tables: &[String]) -> Result<()> {
    if tables.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = tables.iter().map(|name| format!("ONLY {name}")).collect();
    client.batch_execute(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", names.join(", "))).map_err(|error| {
        database(format!("waiting {LOCK_TIMEOUT} for a lock on {}", tables.join(", ")), error)
            .with_hint("Nothing was changed. End the transactions that use these tables, and try again.")
    })
}

/// All rows go and those that wait come, without triggers and rules: they fired when the rows were new.
fn replace_rows(client: &mut Client, table: &Table, aside: &Table, own_path: &OwnPath) -> Result<()> {
    let name = table.qualified();
    let switches = switches::off(client, table)?;
    run_led(own_path, client, &format!("TRUNCATE ONLY {name}"))?;
    let columns = sql::identifiers(&table.columns);
    let list = table.column_list();
    let insert = if table.columns.is_empty() {
        format!("INSERT INTO {name} SELECT FROM {}", aside.qualified())
    } else {
        format!("INSERT INTO {name}{list} OVERRIDING SYSTEM VALUE SELECT {columns} FROM {}", aside.qualified())
    };
    own_path.attempt_on(client, table, |client| run(client, &insert))?;
    run(client, "SET CONSTRAINTS ALL IMMEDIATE")?;
    run(client, &format!("DROP TABLE {}", aside.qualified()))?;
    switches.on(client)
}
