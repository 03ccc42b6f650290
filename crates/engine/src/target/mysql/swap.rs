//! Exchanges the live database with the one beside it, table by table in one statement, and back.
//!
//! The goal: at any instant, also after `kill -9` of us or of the server, the live database is wholly the old or wholly the new
//! one, or the next call makes it so. There is no RENAME DATABASE; tables move between databases only without triggers (error
//! 1435), views, routines and events do not move at all. So an exchange is:
//!
//! 1. refuse while clients are connected (or end their connections), and while a transaction holds a table;
//! 2. write the definitions of everything that will be dropped into the journal;
//! 3. drop triggers, views and events of both sides, and routines that only the old side has;
//! 4. one `RENAME TABLE` for all tables and sequences of both sides; foreign keys go along;
//! 5. make the new side's triggers, views, routines and events in the live database, and the old side's beside it, with events
//!    switched off; note in the journal that it is done.
//!
//! A failure before 4 is undone at once; a crash anywhere is finished (or, before 4, undone) by the next call: which tables have
//! moved is read from the server, never guessed. The uncomfortable consequence: a client that connects between 3 and 5, some
//! milliseconds, finds no triggers or views. Clients ended with `disconnect_clients` may come back that fast: stop the
//! application where its triggers matter.

use super::journal::{Contents, Journal, Pending, Side};
use super::make::{self, Events};
use super::{Beside, exists, inspect, shown};
use crate::source::mysql::address::Address;
use crate::source::mysql::introspect;
use crate::source::mysql::schema::{Object, ObjectKind};
use crate::source::mysql::script;
use crate::source::mysql::session::{Flavour, Session, quote_name, quote_text, text_at};
use crate::target::Context;
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The points between two states that an exchange passes, in order.
pub const STEPS: &[&str] =
    &["mysql.swap.journalled", "mysql.swap.dropped", "mysql.swap.renamed", "mysql.swap.remade", "mysql.swap.done"];

/// How long an exchange waits for locks, and for clients to end.
const WAIT_SECONDS: u64 = 10;

/// Another connection to a database.
pub(super) struct Client {
    id: u64,
    user: String,
    host: String,
    command: String,
}

impl Client {
    /// In words.
    pub fn describe(&self) -> String {
        format!("{} from {} (connection {}, {})", self.user, self.host, self.id, self.command.to_lowercase())
    }
}

/// Makes `wanted` live.
pub(super) fn run(address: &Address, beside: &Beside, wanted: Side, context: &Context<'_>) -> Result<()> {
    let Some(mut journal) = Journal::read(&beside.state_folder)? else {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("there is no restored database to swap: {} holds no journal of one", shown(&beside.state_folder)),
            "The restore was discarded or never finished.",
        ));
    };
    let mut session = connect(address)?;
    let mut exchange = Exchange { session: &mut session, beside, live: &address.database, context };
    exchange.settle(&mut journal)?;
    if journal.live == wanted {
        return Ok(());
    }
    exchange.begin(&mut journal, wanted)?;
    exchange.carry_out(&mut journal)
}

/// Drops what lies beside.
pub(super) fn discard(address: &Address, beside: &Beside, context: &Context<'_>) -> Result<()> {
    let mut session = connect(address)?;
    let journal = Journal::read(&beside.state_folder)?;
    let old_is_live = match journal {
        Some(mut journal) => {
            let mut exchange = Exchange { session: &mut session, beside, live: &address.database, context };
            exchange.settle(&mut journal)?;
            journal.live == Side::Old
        }
        None => true,
    };
    if old_is_live && inspect::not_empty(&mut session, &beside.before)?.is_some() {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("{} holds tables, but nothing says that they were replaced", beside.before),
            "Look at it; if it is not wanted, drop it by hand.",
        ));
    }
    for database in [&beside.before, &beside.restoring] {
        session.execute(&format!("DROP DATABASE IF EXISTS {}", quote_name(database)))?;
    }
    Journal::remove(&beside.state_folder)
}

fn connect(address: &Address) -> Result<Session> {
    let mut session = Session::connect(address)?;
    session.execute(&format!("SET SESSION lock_wait_timeout = {WAIT_SECONDS}, foreign_key_checks = 0"))?;
    Ok(session)
}

/// Other connections whose current database this is.
pub(super) fn clients(session: &mut Session, database: &str) -> Result<Vec<Client>> {
    let rows = session.rows(&format!(
        "SELECT ID, USER, HOST, COMMAND FROM information_schema.PROCESSLIST \
         WHERE BINARY DB = {} AND ID <> CONNECTION_ID() ORDER BY ID",
        quote_text(database)
    ))?;
    Ok(rows
        .iter()
        .map(|row| Client {
            id: text_at(row, 0).parse().unwrap_or(0),
            user: text_at(row, 1),
            host: text_at(row, 2),
            command: text_at(row, 3),
        })
        .collect())
}

struct Exchange<'a> {
    session: &'a mut Session,
    beside: &'a Beside,
    live: &'a str,
    context: &'a Context<'a>,
}

impl Exchange<'_> {
    /// Where the side that becomes live comes from, and where the other one goes.
    fn databases(&self, to: Side) -> (&str, &str) {
        match to {
            Side::New => (&self.beside.restoring, &self.beside.before),
            Side::Old => (&self.beside.before, &self.beside.restoring),
        }
    }

    /// Finishes or undoes what an earlier call left half done.
    fn settle(&mut self, journal: &mut Journal) -> Result<()> {
        let Some(pending) = journal.pending.clone() else { return Ok(()) };
        if self.moved(journal, &pending)? { self.carry_out(journal) } else { self.undo(journal, &pending) }
    }

    /// Whether any table has moved.
    fn moved(&mut self, journal: &Journal, pending: &Pending) -> Result<bool> {
        let (incoming, outgoing) = self.databases(pending.to);
        let (incoming, outgoing) = (incoming.to_owned(), outgoing.to_owned());
        let left = tables_of(self.session, &incoming)?;
        let arrived = tables_of(self.session, &outgoing)?;
        Ok(pending.outgoing.tables.iter().any(|table| arrived.contains(table))
            || journal.beside.tables.iter().any(|table| !left.contains(table)))
    }

    /// Makes sure that the exchange can be done, and writes down what it will do. Nothing on the server has changed after a failure.
    fn begin(&mut self, journal: &mut Journal, to: Side) -> Result<()> {
        let incoming = self.databases(to).0.to_owned();
        let there = tables_of(self.session, &incoming)?;
        if let Some(missing) = journal.beside.tables.iter().find(|table| !there.contains(*table)) {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("{incoming} should become live, but its table {missing} is gone"),
                "Somebody dropped it: restore again under a new id. The live database was not touched.",
            ));
        }
        let mut outgoing = if exists(self.session, self.live)? {
            self.clear_the_way(journal)?;
            Contents::of_database(self.session, self.live)?
        } else {
            Contents {
                character_set: journal.beside.character_set.clone(),
                collation: journal.beside.collation.clone(),
                ..Contents::default()
            }
        };
        if journal.only_tables {
            outgoing.keep_only(self.session, self.live, &journal.beside.tables)?;
            for key in &journal.beside.keys {
                key.check(self.session, &incoming, self.live)?;
            }
        }
        journal.pending = Some(Pending { to, outgoing });
        journal.write(&self.beside.state_folder)?;
        self.context.progress.step(STEPS[0]);
        Ok(())
    }

    /// No clients, no locks, no foreign keys from elsewhere.
    fn clear_the_way(&mut self, journal: &Journal) -> Result<()> {
        if let Some(foreign) = inspect::foreign_references(self.session, self.live, self.beside)?.first() {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("{foreign} refers to a table of {} by foreign key and would follow the old one", self.live),
                "Drop that key, swap, and make it anew. Nothing was changed.",
            ));
        }
        if journal.only_tables
            && let Some(table) = inspect::staying_references(self.session, self.live, &journal.beside.tables)?.first()
        {
            return Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "table {table} refers to one of {} by foreign key and would follow the old one",
                    journal.beside.tables.join(", ")
                ),
                format!("Restore {table} along with them. Nothing was changed."),
            ));
        }
        self.clear_clients()?;
        let tables = introspect::names(self.session, self.live)?.tables;
        if tables.is_empty() {
            return Ok(());
        }
        let locks = tables.iter().map(|table| format!("{}.{} WRITE", quote_name(self.live), quote_name(&table.name)));
        let locks = format!("LOCK TABLES {}", locks.collect::<Vec<_>>().join(", "));
        if let Err((code, message)) = self.session.try_execute(&locks)? {
            // Other failures (a broken MERGE table) say nothing about locks.
            if code == 1205 {
                return Err(Error::new(
                    ErrorKind::Busy,
                    format!("a transaction holds tables of {} ({message})", self.live),
                    "End it, or stop the application, and try again. Nothing was changed.",
                ));
            }
        }
        self.session.execute("UNLOCK TABLES")
    }

    fn clear_clients(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(WAIT_SECONDS);
        loop {
            let clients = clients(self.session, self.live)?;
            if clients.is_empty() {
                return Ok(());
            }
            if !self.context.disconnect_clients || Instant::now() > deadline {
                let names = clients.iter().map(Client::describe).collect::<Vec<_>>();
                return Err(Error::new(
                    ErrorKind::Busy,
                    format!("clients are connected to {}: {}", self.live, names.join("; ")),
                    "Stop the application, or restore with --disconnect-clients. Nothing was changed.",
                ));
            }
            for client in &clients {
                // 1094: it has ended by itself.
                if let Err((code, message)) = self.session.try_execute(&format!("KILL CONNECTION {}", client.id))?
                    && code != 1094
                {
                    return Err(Error::new(
                        ErrorKind::PermissionDenied,
                        format!("the connection of {} cannot be ended: {message}", client.describe()),
                        "GRANT CONNECTION ADMIN ON *.* to the account, or stop the application. Nothing was changed.",
                    ));
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Everything from the journal on; idempotent.
    fn carry_out(&mut self, journal: &mut Journal) -> Result<()> {
        let Some(pending) = journal.pending.clone() else { return Ok(()) };
        let (incoming, outgoing) = self.databases(pending.to);
        let (incoming, outgoing) = (incoming.to_owned(), outgoing.to_owned());
        if !self.moved(journal, &pending)?
            && let Err(error) = self.rename_all(journal, &pending, &incoming, &outgoing)
        {
            // Only where the statement did nothing; a server that died is settled by the next call.
            if self.moved(journal, &pending).is_ok_and(|moved| !moved) {
                self.undo(journal, &pending)?;
            }
            return Err(error);
        }
        self.rename(journal, &pending, &incoming, &outgoing)?;
        self.context.progress.step(STEPS[2]);
        self.remake(journal, &pending, &incoming, &outgoing)?;
        self.context.progress.step(STEPS[3]);
        journal.live = pending.to;
        journal.beside = pending.outgoing;
        journal.pending = None;
        journal.write(&self.beside.state_folder)?;
        self.context.progress.step(STEPS[4]);
        Ok(())
    }

    fn rename_all(&mut self, journal: &Journal, pending: &Pending, incoming: &str, outgoing: &str) -> Result<()> {
        for (database, contents) in [(self.live, &journal.beside), (outgoing, &pending.outgoing)] {
            self.session.execute(&format!(
                "CREATE DATABASE IF NOT EXISTS {} CHARACTER SET {} COLLATE {}",
                quote_name(database),
                contents.character_set,
                contents.collation
            ))?;
        }
        let kept = journal.beside.objects.iter().filter(|object| object.kind.is_routine()).collect::<Vec<_>>();
        self.drop_objects(self.live, &pending.outgoing.objects, &kept)?;
        self.drop_objects(incoming, &journal.beside.objects, &[])?;
        for key in &pending.outgoing.keys {
            key.drop(self.session, self.live)?;
        }
        self.context.progress.step(STEPS[1]);
        self.rename(journal, pending, incoming, outgoing)
    }

    /// Drops what would hinder the move. Routines of the same name stay: replacing them keeps the grants on them.
    fn drop_objects(&mut self, database: &str, objects: &[Object], kept: &[&Object]) -> Result<()> {
        let keeps = self.session.flavour == Flavour::MariaDb;
        // Triggers last: the time without them is the shortest.
        for object in objects
            .iter()
            .rev()
            .filter(|o| o.kind != ObjectKind::Trigger)
            .chain(objects.iter().filter(|object| object.kind == ObjectKind::Trigger))
        {
            if keeps && kept.iter().any(|other| other.kind == object.kind && other.name == object.name) {
                continue;
            }
            let is_package = matches!(object.kind, ObjectKind::Package | ObjectKind::PackageBody);
            if is_package {
                // Elsewhere the server does not know the word.
                self.session.execute("SET SESSION sql_mode = 'ORACLE'")?;
            }
            self.session.execute(&format!(
                "DROP {} IF EXISTS {}.{}",
                object.kind.sql(),
                quote_name(database),
                quote_name(&object.name)
            ))?;
            if is_package {
                self.session.execute("SET SESSION sql_mode = ''")?;
            }
        }
        Ok(())
    }

    /// Moves what has not moved yet, in one statement.
    fn rename(&mut self, journal: &Journal, pending: &Pending, incoming: &str, outgoing: &str) -> Result<()> {
        let live = tables_of(self.session, self.live)?;
        let left = tables_of(self.session, incoming)?;
        let arrived = tables_of(self.session, outgoing)?;
        let go = pending.outgoing.tables.iter().filter(|table| live.contains(*table) && !arrived.contains(*table));
        let come = journal.beside.tables.iter().filter(|table| left.contains(*table));
        let path = |database: &str, table: &str| format!("{}.{}", quote_name(database), quote_name(table));
        let moves = go
            .map(|table| format!("{} TO {}", path(self.live, table), path(outgoing, table)))
            .chain(come.map(|table| format!("{} TO {}", path(incoming, table), path(self.live, table))))
            .collect::<Vec<_>>();
        if moves.is_empty() {
            return Ok(());
        }
        self.session.execute(&format!("RENAME TABLE {}", moves.join(", ")))
    }

    /// Makes everything that is not a table, on both sides.
    fn remake(&mut self, journal: &Journal, pending: &Pending, incoming: &str, outgoing: &str) -> Result<()> {
        let (new, old) = (&journal.beside, &pending.outgoing);
        if !journal.only_tables {
            self.session.execute(&script::alter_database(
                self.live,
                &new.character_set,
                &new.collation,
                &new.comment,
            ))?;
            self.session.execute(&script::alter_database(
                outgoing,
                &old.character_set,
                &old.collation,
                &old.comment,
            ))?;
        }
        self.fix_sequence_defaults(&new.tables, incoming)?;
        for key in &new.keys {
            key.make(self.session, self.live)?;
        }
        self.check_foreign_keys()?;
        // A crash may have left some of them made.
        self.drop_objects(
            self.live,
            &new.objects,
            &new.objects.iter().filter(|o| o.kind.is_routine()).collect::<Vec<_>>(),
        )?;
        let progress = self.context.progress;
        make::objects(self.session, &new.objects, &new.collation, self.live, Events::AsTheyWere, progress)?;
        self.drop_objects(outgoing, &old.objects, &[])?;
        if let Err(error) =
            make::objects(self.session, &old.objects, &old.collation, outgoing, Events::Disabled, progress)
        {
            progress.warning(&format!(
                "in {outgoing}, which keeps the replaced tables, not everything could be made again: {error}. Its definition is \
                 kept for an undo."
            ));
        }
        Ok(())
    }

    /// A column's default names its sequence's database; the new tables were made in another one.
    fn fix_sequence_defaults(&mut self, tables: &[String], incoming: &str) -> Result<()> {
        self.session.use_database(self.live)?;
        let wrong = format!("({}.", quote_name(incoming));
        let right = format!("({}.", quote_name(self.live));
        for table in tables {
            let shown = self.session.rows(&format!("SHOW CREATE TABLE {}", quote_name(table)))?;
            let definition = shown.first().map(|row| text_at(row, 1)).unwrap_or_default();
            for line in definition.lines().filter(|line| line.contains(&format!("nextval{wrong}"))) {
                let column = line.trim().trim_end_matches(',').replace(&wrong, &right);
                self.session.execute(&format!("ALTER TABLE {} MODIFY COLUMN {column}", quote_name(table)))?;
            }
        }
        Ok(())
    }

    /// The server moves references along with the tables; this makes sure.
    fn check_foreign_keys(&mut self) -> Result<()> {
        let beside = [&self.beside.restoring, &self.beside.before].map(|name| quote_text(name)).join(", ");
        let rows = self.session.rows(&format!(
            "SELECT TABLE_NAME, REFERENCED_TABLE_SCHEMA FROM information_schema.KEY_COLUMN_USAGE \
             WHERE TABLE_SCHEMA = {} AND REFERENCED_TABLE_SCHEMA IN ({beside}) LIMIT 1",
            quote_text(self.live)
        ))?;
        match rows.first() {
            None => Ok(()),
            Some(row) => Err(Error::internal(format!(
                "after the exchange {}.{} refers to a table of {}",
                self.live,
                text_at(row, 0),
                text_at(row, 1)
            ))),
        }
    }

    /// No table has moved: makes what was dropped again.
    fn undo(&mut self, journal: &mut Journal, pending: &Pending) -> Result<()> {
        let old = &pending.outgoing;
        if exists(self.session, self.live)? {
            for key in &old.keys {
                key.make(self.session, self.live)?;
            }
            self.drop_objects(
                self.live,
                &old.objects,
                &old.objects.iter().filter(|o| o.kind.is_routine()).collect::<Vec<_>>(),
            )?;
            make::objects(
                self.session,
                &old.objects,
                &old.collation,
                self.live,
                Events::AsTheyWere,
                self.context.progress,
            )?;
        }
        journal.pending = None;
        journal.write(&self.beside.state_folder)
    }
}

/// Tables and sequences of a database; none where it does not exist.
fn tables_of(session: &mut Session, database: &str) -> Result<BTreeSet<String>> {
    let names = introspect::names(session, database)?;
    Ok(names.tables.into_iter().map(|table| table.name).chain(names.sequences).collect())
}
