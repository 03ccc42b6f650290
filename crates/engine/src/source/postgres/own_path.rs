//! Functions that find others by the path of the application alone.
//!
//! `pg_dump`'s text and the rows go in with an empty search path: every name in them says its schema. The bodies of functions
//! do not. An index on `unaccent(name)` or `ll_to_earth(latitude, longitude)`, a check, a generated column, a materialized view:
//! each may run a function that calls another one by its bare name, and `pg_restore` fails at it. What fails for want of a
//! name is taken back here and tried once more, with the path that the database itself sets and the table's schema behind it.
//!
//! Invariant: the empty path comes first, so nothing that works without is ever led past what it means.

use super::client::Client;
use super::error::{database, lacks_a_name};
use super::layout::{Layout, Table};
use super::sql::{identifier, literal};
use crate::{Error, Result};

/// The search path of a database's own.
#[derive(Debug, Clone)]
pub struct OwnPath {
    /// The statement that sets it.
    set: String,
    /// An attempt that failed is taken back with a savepoint: otherwise each is a transaction of its own.
    within_transaction: bool,
}

impl OwnPath {
    /// That of a database that is filled from a backup: what the dumped one set.
    pub fn of(layout: &Layout) -> Self {
        let mut settings = layout.database.settings.iter();
        let own = settings.find(|setting| setting.role.is_none() && setting.name == "search_path");
        let list = own.map_or("\"$user\", public", |setting| &setting.value);
        let set = format!("SELECT pg_catalog.set_config('search_path', {}, false)", literal(list));
        Self { set, within_transaction: false }
    }

    /// That of the database that the client is connected to.
    pub fn live(within_transaction: bool) -> Self {
        Self { set: "SET search_path = DEFAULT".to_owned(), within_transaction }
    }

    /// Does something to a table, if need be with the path.
    pub fn attempt_on<T>(
        &self,
        client: &mut Client,
        table: &Table,
        mut attempt: impl FnMut(&mut Client) -> Result<T>,
    ) -> Result<T> {
        self.attempt(client, Some(&identifier(&table.schema)), |client| attempt(client).map(Ok))
    }

    /// `schema` is quoted, and stands behind the path. An attempt that fails must have changed nothing, or only within the
    /// transaction. The inner result is of what cannot be tried again: with it the connection is left as it is, for what was
    /// under way may still be.
    pub fn attempt<T>(
        &self,
        client: &mut Client,
        schema: Option<&str>,
        mut attempt: impl FnMut(&mut Client) -> Result<Result<T>>,
    ) -> Result<T> {
        let failure = match self.guarded(client, &mut attempt) {
            Err(failure) if lacks_a_name(&failure) => failure,
            done => return done?,
        };
        tracing::debug!(%failure, "tried again with the database's own search path");
        self.set(client, schema)?;
        let done = self.guarded(client, &mut attempt).map_err(explained);
        if matches!(done, Ok(Err(_))) {
            return done?;
        }
        let cleared = execute(client, "SELECT pg_catalog.set_config('search_path', '', false)");
        // Where both failed, the connection or the transaction did, and the attempt says of what.
        done?.and_then(|done| cleared.map(|()| done))
    }

    /// A failure leaves the transaction as it was.
    fn guarded<T>(
        &self,
        client: &mut Client,
        attempt: &mut impl FnMut(&mut Client) -> Result<Result<T>>,
    ) -> Result<Result<T>> {
        if !self.within_transaction {
            return attempt(client);
        }
        execute(client, "SAVEPOINT strongroom")?;
        match attempt(client) {
            Ok(Ok(done)) => execute(client, "RELEASE SAVEPOINT strongroom").map(|()| Ok(done)),
            Ok(Err(failure)) => Ok(Err(failure)),
            Err(failure) => {
                // Where the connection itself is lost, that is what the attempt failed of.
                let _ = execute(client, "ROLLBACK TO SAVEPOINT strongroom");
                Err(failure)
            }
        }
    }

    fn set(&self, client: &mut Client, schema: Option<&str>) -> Result<()> {
        let behind = schema.map_or_else(String::new, |schema| {
            format!(
                "; SELECT pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ',
                     nullif(pg_catalog.current_setting('search_path'), ''), {}), false)",
                literal(schema)
            )
        });
        execute(client, &format!("{}{behind}", self.set))
    }
}

fn execute(client: &mut Client, statement: &str) -> Result<()> {
    client.batch_execute(statement).map_err(|error| database("setting the search path", error))
}

fn explained(error: Error) -> Error {
    if !lacks_a_name(&error) {
        return error;
    }
    error.with_hint(
        "A function names something without its schema, and neither the database's search_path nor the table's schema leads \
         there. In the source, ALTER FUNCTION … SET search_path = … or ALTER DATABASE … SET search_path = …, then back up again.",
    )
}
