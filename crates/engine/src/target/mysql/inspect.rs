//! Looks at a server before a restore: what would be replaced, what is missing, who is in the way. Touches nothing.

use super::drill::{MARK, is_drill};
use super::{Beside, exists};
use crate::Result;
use crate::manifest::{ComponentManifest, DatabaseFigures, Figures, TableFigures};
use crate::source::mysql::address::Address;
use crate::source::mysql::introspect::{self, version};
use crate::source::mysql::rights::{Rights, missing as missing_rights};
use crate::source::mysql::schema::{Object, ObjectKind, Schema};
use crate::source::mysql::session::{Session, lossy, quote_name, quote_text, text_at};
use crate::target::TargetPlan;
use std::collections::BTreeSet;

/// What a restore would do.
pub(super) fn inspect(
    address: &Address,
    beside: Option<&Beside>,
    manifest: &ComponentManifest,
    only: Option<&[String]>,
) -> Result<TargetPlan> {
    let mut session = Session::connect(address)?;
    let mut plan = TargetPlan::default();
    let database = &address.database;
    if let Some(beside) = beside {
        live(&mut session, database, beside, only, &mut plan)?;
    } else if let Some(why) = not_empty(&mut session, database)? {
        plan.obstacles.push(format!("{why}: name a database that does not exist yet, or an empty one"));
    }
    if let Figures::Database(figures) = &manifest.figures {
        server(&session, figures, &mut plan);
        collations(&mut session, figures, &mut plan)?;
        engines(&mut session, figures, &mut plan)?;
        definers(&mut session, address, figures, &mut plan)?;
        packets(&mut session, figures, &mut plan)?;
    }
    rights(&mut session, address, beside, &mut plan)?;
    // Rows with their indexes take about what their statements take, and the server writes its logs besides.
    plan.needs_bytes = manifest.bytes.saturating_mul(2);
    plan.free_bytes = free_bytes(&mut session)?;
    if plan.free_bytes.is_some_and(|free| free < plan.needs_bytes) {
        plan.obstacles.push(format!(
            "the server's data folder has {} bytes free, about {} are needed: free some space there",
            plan.free_bytes.unwrap_or(0),
            plan.needs_bytes
        ));
    }
    Ok(plan)
}

/// What is live now, and what hangs on it from outside.
fn live(
    session: &mut Session,
    database: &str,
    beside: &Beside,
    only: Option<&[String]>,
    plan: &mut TargetPlan,
) -> Result<()> {
    if !exists(session, database)? {
        plan.warnings.push(format!("there is no database {database} now: it is made anew"));
        return Ok(());
    }
    let mut names = introspect::names(session, database)?;
    plan.replaces = Some(format!("database {database}"));
    if let Some(only) = only {
        names.tables.retain(|table| only.contains(&table.name));
        let there: Vec<_> = names.tables.iter().map(|table| table.name.as_str()).collect();
        plan.replaces = (!there.is_empty()).then(|| format!("{} in database {database}", there.join(", ")));
        for name in staying_references(session, database, only)? {
            plan.obstacles.push(format!(
                "{name} refers to one of these tables by foreign key and would follow the old one: restore {name} along with them"
            ));
        }
    }
    let tables = names.tables.iter().map(|table| TableFigures {
        schema: None,
        name: table.name.clone(),
        rows: 0,
        content_hash: None,
    });
    let mut figures = DatabaseFigures {
        engine: session.flavour.name().to_owned(),
        tables: tables.collect(),
        ..DatabaseFigures::default()
    };
    for table in &mut figures.tables {
        // An estimate is of no use beside exact figures.
        table.rows =
            session.number(&format!("SELECT COUNT(*) FROM {}.{}", quote_name(database), quote_name(&table.name)))?;
    }
    plan.live = Some(Figures::Database(figures));
    plan.clients = super::swap::clients(session, database)?.into_iter().map(|client| client.describe()).collect();
    for foreign in foreign_references(session, database, beside)? {
        plan.obstacles.push(format!(
            "{foreign} refers to a table of {database} by foreign key and would follow the old one: drop the key, restore, and \
             make it anew"
        ));
    }
    Ok(())
}

/// Tables of other databases that refer to this one's.
pub(super) fn foreign_references(session: &mut Session, database: &str, beside: &Beside) -> Result<Vec<String>> {
    let ours = [database, &beside.restoring, &beside.before].map(quote_text).join(", ");
    let rows = session.rows(&format!(
        "SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME FROM information_schema.KEY_COLUMN_USAGE \
         WHERE REFERENCED_TABLE_SCHEMA = {} AND TABLE_SCHEMA NOT IN ({ours})",
        quote_text(database)
    ))?;
    Ok(rows.iter().map(|row| format!("{}.{}", text_at(row, 0), text_at(row, 1))).collect())
}

/// Live tables that stay, and refer to one that would be exchanged.
pub(super) fn staying_references(session: &mut Session, database: &str, exchanged: &[String]) -> Result<Vec<String>> {
    let quoted = quote_text(database);
    let rows = session.rows(&format!(
        "SELECT DISTINCT TABLE_NAME, REFERENCED_TABLE_NAME FROM information_schema.KEY_COLUMN_USAGE \
         WHERE REFERENCED_TABLE_SCHEMA = {quoted} AND TABLE_SCHEMA = {quoted}"
    ))?;
    let pairs = rows.iter().map(|row| (text_at(row, 0), text_at(row, 1)));
    Ok(pairs.filter(|(from, to)| exchanged.contains(to) && !exchanged.contains(from)).map(|(from, _)| from).collect())
}

/// Why a database is no place for a restore, if it exists and holds anything.
pub(super) fn not_empty(session: &mut Session, database: &str) -> Result<Option<String>> {
    let quoted = quote_text(database);
    let mut found = Vec::new();
    for (what, view, column) in [
        ("tables or views", "TABLES", "TABLE_SCHEMA"),
        ("routines", "ROUTINES", "ROUTINE_SCHEMA"),
        ("events", "EVENTS", "EVENT_SCHEMA"),
    ] {
        let count =
            session.number(&format!("SELECT COUNT(*) FROM information_schema.{view} WHERE {column} = {quoted}"))?;
        if count > 0 {
            found.push(format!("{count} {what}"));
        }
    }
    Ok((!found.is_empty()).then(|| format!("the database {database} exists and holds {}", found.join(", "))))
}

fn server(session: &Session, figures: &DatabaseFigures, plan: &mut TargetPlan) {
    let flavour = session.flavour.name();
    if figures.engine != flavour {
        plan.obstacles.push(format!(
            "the backup is of {}, the server is {flavour}: their types and definitions differ; restore it to a {} server",
            figures.engine, figures.engine
        ));
        return;
    }
    let (theirs, ours) = (version(&figures.engine_version), version(&session.version));
    if theirs > ours {
        plan.obstacles.push(format!(
            "the backup is of version {}, the server has {}: restore it to a server of that version or a newer one",
            figures.engine_version, session.version
        ));
    } else if theirs < ours {
        plan.warnings.push(format!(
            "the backup is of version {}, the server has {}: definitions may read differently and fail the comparison",
            figures.engine_version, session.version
        ));
    }
}

fn missing(session: &mut Session, wanted: Option<&String>, separator: &str, sql: &str) -> Result<Vec<String>> {
    let wanted = wanted.map(String::as_str).unwrap_or_default();
    let known = session.rows(sql)?.into_iter().filter_map(|row| row.into_iter().next().flatten()).map(lossy);
    let known = known.map(|name| name.to_ascii_lowercase()).collect::<BTreeSet<_>>();
    let wanted = wanted.split(separator).filter(|name| !name.is_empty());
    Ok(wanted.filter(|name| !known.contains(&name.to_ascii_lowercase())).map(str::to_owned).collect())
}

fn collations(session: &mut Session, figures: &DatabaseFigures, plan: &mut TargetPlan) -> Result<()> {
    // MariaDB from 10.10 on has collations whose full name is in another view.
    let sql = "SELECT COLLATION_NAME FROM information_schema.COLLATIONS";
    let full = "SELECT FULL_COLLATION_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY";
    let mut unknown = missing(session, figures.values.get("collations"), " ", sql)?;
    if !unknown.is_empty()
        && let Ok(still) = missing(session, Some(&unknown.join(" ")), " ", full)
    {
        unknown = still;
    }
    for name in unknown {
        plan.obstacles.push(format!("the server does not know the collation {name}: restore to a server that has it"));
    }
    Ok(())
}

fn engines(session: &mut Session, figures: &DatabaseFigures, plan: &mut TargetPlan) -> Result<()> {
    let sql = "SELECT ENGINE FROM information_schema.ENGINES WHERE SUPPORT IN ('YES', 'DEFAULT')";
    for name in missing(session, figures.values.get("engines"), " ", sql)? {
        plan.obstacles.push(format!("the server has no storage engine {name}: install its plugin first"));
    }
    Ok(())
}

/// Accounts that own routines, views, triggers or events of the backup: only some may make these for others, and where an
/// account is not there, what it owns could not be used.
fn definers(session: &mut Session, address: &Address, figures: &DatabaseFigures, plan: &mut TargetPlan) -> Result<()> {
    let definers = figures.values.get("definers").map_or("", String::as_str);
    let own = session.text("SELECT CURRENT_USER()")?.unwrap_or_default();
    let others: Vec<_> = definers.split(", ").filter(|account| !account.is_empty() && *account != own).collect();
    if !others.is_empty() {
        let rights = Rights::read(session, &address.database)?;
        if !rights.set_definer {
            plan.obstacles.push(format!(
                "routines, views, triggers or events belong to {}, and {} may not make them: {}",
                others.join(", "),
                rights.account,
                rights.set_definer_grant()
            ));
        }
        let routines = ["functions", "procedures", "packages"];
        if !rights.foreign_routines && routines.iter().any(|kind| figures.objects.get(*kind).is_some_and(|&n| n > 0)) {
            plan.obstacles.push(format!(
                "routines of others could not be compared with the manifest: {}",
                rights.foreign_routines_grant()
            ));
        }
    }
    let sql = "SELECT CONCAT(User, '@', Host) FROM mysql.user";
    match missing(session, figures.values.get("definers"), ", ", sql) {
        Ok(accounts) => {
            for account in accounts {
                let (user, host) = account.rsplit_once('@').unwrap_or((&account, "%"));
                plan.warnings.push(format!(
                    "the account {account} owns routines, views, triggers or events of the backup and is not on the server: they \
                     are restored but fail when used; CREATE USER '{user}'@'{host}' first"
                ));
            }
        }
        Err(_) => {
            plan.warnings.push("whether all definers exist cannot be seen: GRANT SELECT ON mysql.user".to_owned());
        }
    }
    Ok(())
}

/// A row goes over in one statement, in which binary values take twice their size.
fn packets(session: &mut Session, figures: &DatabaseFigures, plan: &mut TargetPlan) -> Result<()> {
    let largest = figures.values.get("largestRowBytes").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let (needed, accepted) = (2 * largest + (1 << 20), session.number("SELECT @@GLOBAL.max_allowed_packet")?);
    if accepted < needed {
        plan.obstacles.push(format!(
            "the backup's largest row may take a statement of {needed} bytes, the server accepts {accepted}: \
             SET GLOBAL max_allowed_packet = {};",
            needed.next_power_of_two().min(1 << 30)
        ));
    }
    Ok(())
}

/// Rights that a restore needs on the databases it makes.
fn rights(session: &mut Session, address: &Address, beside: Option<&Beside>, plan: &mut TargetPlan) -> Result<()> {
    const NEEDED: &[&str] = &[
        "SELECT",
        "INSERT",
        "CREATE",
        "DROP",
        "ALTER",
        "INDEX",
        "REFERENCES",
        "CREATE VIEW",
        "SHOW VIEW",
        "TRIGGER",
        "EVENT",
        "CREATE ROUTINE",
        "ALTER ROUTINE",
    ];
    if beside.is_some() && !missing_rights(session, "", &["PROCESS"])?.1.is_empty() {
        plan.warnings.push("connections of other accounts cannot be seen: GRANT PROCESS ON *.*".to_owned());
    }
    let names = match beside {
        Some(beside) => vec![&address.database, &beside.restoring, &beside.before],
        None => vec![&address.database],
    };
    for name in names {
        let (account, missing) = missing_rights(session, name, NEEDED)?;
        if !missing.is_empty() {
            let pattern = match beside {
                Some(_) => all_names_of(&address.database),
                // The next drill's has another name.
                None if is_drill(name) => all_names_of(name.rsplit_once(MARK).map_or(name, |(live, _)| live)),
                None => name.clone(),
            };
            plan.obstacles.push(format!(
                "{account} lacks {} on {name}: GRANT ALL ON {}.* TO {account};",
                missing.join(", "),
                quote_name(&pattern)
            ));
            return Ok(());
        }
    }
    // What was restored is measured by the same account, which must see all of it.
    let filled = beside.map_or(&address.database, |beside| &beside.restoring);
    for grant in Rights::read(session, filled)?.grants_needed(filled) {
        plan.obstacles.push(format!("what is restored could not be compared with the manifest: {grant}"));
    }
    Ok(())
}

/// A pattern for the database and those beside it.
fn all_names_of(database: &str) -> String {
    format!("{}%", database.replace('_', "\\_"))
}

/// Bytes free where the server keeps its data; known only from MariaDB's DISKS plugin or on this machine.
fn free_bytes(session: &mut Session) -> Result<Option<u64>> {
    let sql = "SELECT Available * 1024 FROM information_schema.DISKS WHERE @@datadir LIKE CONCAT(Path, '%') \
               ORDER BY LENGTH(Path) DESC LIMIT 1";
    let installed = session.number(
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'information_schema' AND TABLE_NAME = 'DISKS'",
    )?;
    if installed == 0 {
        return Ok(None);
    }
    Ok(session.text(sql).ok().flatten().and_then(|text| text.parse().ok()))
}

/// Leaves these tables and their triggers.
pub(super) fn keep_only(schema: &mut Schema, tables: &[String]) {
    let kept = |object: &Object| object.table.as_ref().is_some_and(|table| tables.contains(table));
    schema.objects.retain(|object| object.kind == ObjectKind::Trigger && kept(object));
    schema.tables.retain(|table| tables.contains(&table.name));
    schema.sequences.clear();
}
