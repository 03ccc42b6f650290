//! Makes databases, tables and stored programs from a backup's schema.

use crate::Result;
use crate::source::mysql::schema::{Object, ObjectKind, Schema};
use crate::source::mysql::script;
use crate::source::mysql::session::{Session, quote_name};
use vault::Progress;

/// How events are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Events {
    /// Off, whatever they were: they must not change what is being compared, or what lies beside.
    Disabled,
    /// As they were.
    AsTheyWere,
}

/// Makes the database and everything that rows go into. A database that exists already must be empty.
pub(super) fn tables(session: &mut Session, schema: &Schema, database: &str) -> Result<()> {
    session.execute(&format!(
        "CREATE DATABASE IF NOT EXISTS {} CHARACTER SET {} COLLATE {}",
        quote_name(database),
        schema.character_set,
        schema.collation
    ))?;
    session.execute(&script::alter_database(database, &schema.character_set, &schema.collation, &schema.comment))?;
    session.use_database(database)?;
    run(session, script::SESSION_FOR_TABLES)?;
    for sequence in &schema.sequences {
        run(session, &script::sequence(sequence))?;
    }
    for table in script::in_order(schema) {
        session.execute(&table.definition).map_err(|error| error.within(format_args!("table {}", table.name)))?;
    }
    Ok(())
}

/// Makes routines, views, triggers and events. A view that did not work in the source need not work now.
pub(super) fn objects(
    session: &mut Session,
    objects: &[Object],
    collation: &str,
    database: &str,
    events: Events,
    progress: &dyn Progress,
) -> Result<()> {
    session.use_database(database)?;
    session.execute("SET NAMES utf8mb4")?;
    for view in objects.iter().filter(|object| object.kind == ObjectKind::View && !object.broken) {
        session.execute(&script::stand_in(view))?;
    }
    for made in objects {
        match object(session, made, collation, database, events) {
            Err(error) if made.broken => {
                progress
                    .warning(&format!("view {} did not work in the source and could not be made: {error}", made.name));
            }
            other => {
                other
                    .map_err(|error| error.within(format_args!("{} {}", made.kind.sql().to_lowercase(), made.name)))?;
            }
        }
    }
    plain(session)
}

/// Back to the settings of every session.
fn plain(session: &mut Session) -> Result<()> {
    session.execute("SET NAMES utf8mb4")?;
    session.execute("SET SESSION time_zone = '+00:00', sql_mode = ''")?;
    session.execute("SET character_set_results = NULL")
}

fn object(session: &mut Session, object: &Object, collation: &str, database: &str, events: Events) -> Result<()> {
    run(session, &script::object_session(object))?;
    let other_collation = !object.database_collation.is_empty() && object.database_collation != collation;
    let alter = |collation: &str| format!("ALTER DATABASE {} COLLATE {collation}", quote_name(database));
    if other_collation {
        // The server writes down the database's collation of the moment.
        session.execute(&alter(&object.database_collation))?;
    }
    let made = match (object.kind, events) {
        (ObjectKind::Event, Events::Disabled) => disabled_event(session, object),
        // Whoever has rights on a routine keeps them.
        _ if object.kind.is_routine() && session.flavour == crate::source::mysql::session::Flavour::MariaDb => {
            session.execute(&script::or_replace(&object.definition))
        }
        _ => session.execute(&script::create_object(object)),
    };
    if other_collation {
        session.execute(&alter(collation))?;
    }
    made
}

/// An event for a single moment that has passed would not be made at all: for this statement it is long ago.
fn disabled_event(session: &mut Session, event: &Object) -> Result<()> {
    session.execute("SET SESSION timestamp = 1")?;
    let made = session.execute(&script::set_event_status(&event.definition, "DISABLE"));
    session.execute("SET SESSION timestamp = DEFAULT")?;
    made
}

/// Makes the events anew as they were, after they were made disabled.
pub(super) fn enable_events(session: &mut Session, schema: &Schema, database: &str) -> Result<()> {
    session.use_database(database)?;
    for event in schema.of(ObjectKind::Event) {
        // ALTER EVENT would make us its definer.
        session.execute(&format!("DROP EVENT IF EXISTS {}", quote_name(&event.name)))?;
        object(session, event, &schema.collation, database, Events::AsTheyWere)?;
    }
    plain(session)
}

fn run<S: AsRef<str>>(session: &mut Session, statements: &[S]) -> Result<()> {
    statements.iter().try_for_each(|statement| session.execute(statement.as_ref().trim_end_matches(';')))
}
