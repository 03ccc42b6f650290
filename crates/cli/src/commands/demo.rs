//! `strongroom demo`: the whole product on a sample application, in a minute, in plain words.
//!
//! Nothing is pretended: each step is the command that a person would type, run through the same code.

use crate::args::{Demo, Global};
use crate::env_file;
use crate::output::{Report, units};
use crate::session::Session;
use engine::backup;
use engine::drill;
use engine::manifest::Tier;
use engine::restore::{self, Destination};
use engine::room::Room;
use engine::sample::SampleApp;
use engine::verify::{self, Depth};
use std::io::Write;
use std::path::{Path, PathBuf};
use vault::error::IoContext;
use vault::{Error, ErrorKind, Key, Result};

/// Builds the sample application and shows everything on it.
pub fn run(arguments: &Demo, global: &Global) -> Result<Report> {
    let folder = folder(arguments)?;
    let app = SampleApp::create(&folder)?;
    let key = Key::generate()?;
    env_file::set(&folder.join(".env"), &[("BACKUP_ENCRYPTION_KEY", &key.expose_hex())])?;
    let global = Global {
        folder: Some(folder.clone()),
        config: None,
        overrides: Vec::new(),
        json: global.json,
        quiet: global.quiet,
        verbose: global.verbose,
    };
    let session = Session::start(&global)?;
    let room = session.room()?;
    let tell = Teller { quiet: session.json };
    tell.line(&format!(
        "A sample CRM lies in {}: a SQLite database, uploads with odd names, configuration, logs.\n",
        folder.display()
    ))?;
    let result = story(&app, &session, &room, &tell);
    session.reporter.finish();
    let backup = result?;
    tell.line(&format!(
        "\nWhere things lie:\n  the application  {}\n  the backup       {}\n  the key          {}\n\nTry it yourself:\n  cd {}\n  strongroom list\n  strongroom show latest\n  strongroom files latest uploads/\n  strongroom restore latest --dry-run",
        folder.display(),
        backup,
        folder.join(".env").display(),
        folder.display(),
    ))?;
    if arguments.no_serve || session.json {
        return Ok(Report::done(serde_json::json!({ "folder": folder, "backup": backup }), ""));
    }
    tell.line("\nThe dashboard of this application is served now; Ctrl-C ends it.\n")?;
    drop(room);
    super::serve::serve(session)
}

fn folder(arguments: &Demo) -> Result<PathBuf> {
    if let Some(folder) = &arguments.at {
        let folder = std::path::absolute(folder).doing(|| "looking for the current folder")?;
        if folder.exists() {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("{} exists already", folder.display()),
                "Name a folder that does not exist yet.",
            ));
        }
        return Ok(folder);
    }
    let folder = tempfile::Builder::new().prefix("strongroom-demo-").tempdir().doing(|| "making a temporary folder")?;
    Ok(folder.keep().join("crm"))
}

/// Speaks to a person; keeps silent where a program listens.
struct Teller {
    quiet: bool,
}

impl Teller {
    fn line(&self, text: &str) -> Result<()> {
        if self.quiet {
            return Ok(());
        }
        writeln!(std::io::stdout(), "{text}").doing(|| "writing to standard output")
    }
}

fn story(app: &SampleApp, session: &Session, room: &Room, tell: &Teller) -> Result<String> {
    let progress = session.progress();
    let request = backup::Request {
        id: None,
        plan: "default".to_owned(),
        tier: Tier::Manual,
        description: Some("the demo".to_owned()),
        components: Vec::new(),
        format: None,
        late: false,
        force_reread: false,
        actor: session.actor.clone(),
    };
    let record = backup::run(room, &request, &progress)?;
    session.reporter.finish();
    let location = record.location.clone().unwrap_or_default();
    tell.line(&format!(
        "1. backup   {} in {}, encrypted, read back and hashed",
        units::bytes(record.bytes.unwrap_or(0)),
        units::milliseconds(record.duration_ms.unwrap_or(0))
    ))?;
    let id = record.id.as_str();
    let verified = verify::one(room, id, Depth::Open, &session.actor, &progress)?;
    if let Some(error) = verified.failure {
        return Err(error);
    }
    tell.line("2. verify   decrypted, unpacked and read to its end; it holds what its manifest says")?;
    let drilled = drill::run(room, id, &session.actor, &progress)?;
    session.reporter.finish();
    tell.line(&format!(
        "3. drill    restored into a scratch place in {} and compared: every row, index, trigger, view and file is equal",
        units::milliseconds(drilled.restore_duration_ms)
    ))?;
    damage(app)?;
    tell.line(&format!(
        "4. damage   half of the customers deleted ({} are left), the uploads gone, package.json overwritten",
        customers(app)?
    ))?;
    restore_and_undo(app, session, room, tell, id)?;
    Ok(location)
}

fn restore_and_undo(app: &SampleApp, session: &Session, room: &Room, tell: &Teller, id: &str) -> Result<()> {
    let progress = session.progress();
    let request = restore::Request {
        id: None,
        backup: id.to_owned(),
        components: Vec::new(),
        destination: Destination::Live,
        tables: Vec::new(),
        disconnect_clients: false,
        actor: session.actor.clone(),
    };
    let restored = restore::run(room, &request, &progress)?;
    session.reporter.finish();
    expect(app, true)?;
    tell.line(&format!(
        "5. restore  put beside, compared, exchanged: {} customers, the uploads and package.json are back",
        customers(app)?
    ))?;
    restore::undo(room, restored.id.as_str(), false, &session.actor, &progress)?;
    expect(app, false)?;
    tell.line("6. undo     the restore is taken back: the damaged application is there again, as it was")?;
    restore::undo(room, restored.id.as_str(), false, &session.actor, &progress)?;
    session.reporter.finish();
    expect(app, true)?;
    tell.line("7. redo     and the undo is taken back too: all is well")
}

fn damage(app: &SampleApp) -> Result<()> {
    let broken = |cause: rusqlite::Error| Error::internal(format!("damaging the sample application: {cause}"));
    let database = rusqlite::Connection::open(&app.database).map_err(broken)?;
    database.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM customers WHERE id % 2 = 0").map_err(broken)?;
    std::fs::remove_dir_all(&app.uploads).doing(|| "damaging the sample's uploads")?;
    std::fs::write(app.folder.join("package.json"), "oops").doing(|| "damaging the sample's package.json")
}

fn customers(app: &SampleApp) -> Result<i64> {
    rusqlite::Connection::open(&app.database)
        .and_then(|database| database.query_row("SELECT count(*) FROM customers", [], |row| row.get(0)))
        .map_err(|cause| Error::internal(format!("counting the sample's customers: {cause}")))
}

fn expect(app: &SampleApp, whole: bool) -> Result<()> {
    let package = std::fs::read(app.folder.join("package.json")).doing(|| "reading the sample's package.json")?;
    let found = app.uploads.join(Path::new("customers/0001/offer-0.pdf")).exists() && package != b"oops";
    if found == whole {
        return Ok(());
    }
    Err(Error::internal("the demo's application is not in the state that was announced"))
}
