//! Scratch databases for drills: named so that they are recognised and swept, also after a crash.

use super::{beside_name, exists};
use crate::Result;
use crate::config::component::ServerDatabaseSettings;
use crate::id::Id;
use crate::source::mysql::address::{Address, url_with_database};
use crate::source::mysql::session::{Session, lossy, quote_name};
use crate::target::Place;

/// Between the live database's name and the drill's id.
pub(super) const MARK: &str = "__drill_";

/// A new database for the drill `id`, on the drill server where one is named, else on the database's own.
pub fn drill_place(settings: &ServerDatabaseSettings, id: &Id) -> Result<Place> {
    let name = beside_name(&Address::parse(&settings.url)?.database, "drill", id);
    Ok(Place::Database { url: url_with_database(settings.drill_url.as_deref().unwrap_or(&settings.url), &name)? })
}

/// Whether a database is a drill's: its events stay off, and it may be swept.
pub(super) fn is_drill(database: &str) -> bool {
    database.rsplit_once(MARK).is_some_and(|(_, id)| Id::parse(id).is_ok())
}

/// Drops the scratch database of a drill; one that is gone is no error. Any other database is refused.
pub fn drop_database(url: &str) -> Result<()> {
    let address = Address::parse(url)?;
    if !is_drill(&address.database) {
        return Err(crate::Error::internal(format!("{} is not a drill's scratch database", address.database)));
    }
    let mut session = Session::connect(&address)?;
    session.execute(&format!("DROP DATABASE IF EXISTS {}", quote_name(&address.database)))
}

/// Drops what drills of this database left behind when they died. Call it when no drill of it runs. Answers the names.
pub fn sweep_drills(settings: &ServerDatabaseSettings) -> Result<Vec<String>> {
    let live = Address::parse(&settings.url)?.database;
    let address = Address::parse(settings.drill_url.as_deref().unwrap_or(&settings.url))?;
    let mut session = Session::connect(&address)?;
    let rows = session.rows("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")?;
    let names = rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).map(lossy);
    let ours = names.filter(|name| {
        is_drill(name)
            && name.rsplit_once(MARK).is_some_and(|(base, id)| {
                Id::parse(id).is_ok_and(|id| beside_name(&live, "drill", &id) == format!("{base}{MARK}{id}"))
            })
    });
    let ours = ours.collect::<Vec<_>>();
    for name in &ours {
        if exists(&mut session, name)? {
            session.execute(&format!("DROP DATABASE IF EXISTS {}", quote_name(name)))?;
        }
    }
    Ok(ours)
}

/// The first value of the first row of a query, as text, for a drill's assertions; empty for NULL and where there is no row.
/// Runs in a transaction that can only read.
pub fn query(url: &str, sql: &str) -> Result<String> {
    let mut session = Session::open(&Address::parse(url)?)?;
    session.execute("SET character_set_results = utf8mb4")?;
    session.execute("START TRANSACTION READ ONLY")?;
    Ok(session.text(sql)?.unwrap_or_default())
}
