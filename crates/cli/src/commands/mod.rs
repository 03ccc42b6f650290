//! One file a verb. Each takes its arguments and gives a [`Report`].

mod backup;
mod cleanup;
mod completions;
mod config;
mod demo;
mod files;
mod init;
mod key;
mod records;
mod restore;
mod verify;

use crate::args::{Arguments, Command};
use crate::output::Report;
use crate::session::Session;
use vault::Result;

/// Runs the command that was asked for.
pub fn run(arguments: Arguments) -> Result<Report> {
    let global = arguments.global;
    let session = || Session::start(&global);
    let report = match arguments.command {
        Command::Completions { shell } => return Ok(completions::completions(shell)),
        Command::Man => return completions::man(),
        Command::Key(crate::args::Key::Generate) => return key::generate(),
        Command::Demo(demo) => return demo::run(&demo, &global),
        Command::Init(init) => init::run(&init, &session()?),
        Command::Backup(backup) => backup::run(&backup, &session()?),
        Command::List(list) => records::list(&list, &session()?),
        Command::Show(one) => records::show(&one.id, &session()?),
        Command::Files(files) => files::run(&files, &session()?),
        Command::Restore(restore) => restore::run(&restore, &session()?),
        Command::Undo(one) => restore::undo(&one.id, &session()?),
        Command::Restores => records::restores(&session()?),
        Command::Verify(verify) => verify::run(&verify, &session()?),
        Command::Drill(drill) => verify::drill(&drill.id, &session()?),
        Command::Pin(one) => records::pin(&one.id, true, &session()?),
        Command::Unpin(one) => records::pin(&one.id, false, &session()?),
        Command::Acknowledge(one) => records::acknowledge(&one.id, &session()?),
        Command::Delete(delete) => cleanup::delete(&delete, &session()?),
        Command::Cleanup(cleanup) => cleanup::run(&cleanup, &session()?),
        Command::Key(key) => key::run(&key, &session()?),
        Command::Config(command) => config::run(&command, &session()?),

        Command::Doctor => config::doctor(&session()?),
        Command::Audit(audit) => records::audit(&audit, &session()?),
        Command::Catalog(crate::args::Catalog::Rebuild) => records::rebuild(&session()?),
        Command::Serve(_) | Command::User(_) | Command::Token(_) => Err(vault::Error::new(
            vault::ErrorKind::Unsupported,
            "this build has no service",
            "Use the other commands; `strongroom --help` lists them.",
        )),
    }?;
    Ok(report)
}

/// A value as JSON; our own types always are.
fn json(value: impl serde::Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|cause| vault::Error::internal(format!("a result cannot be written as JSON: {cause}")))
}
