//! One file a verb. Each takes its arguments and gives a [`Report`].

mod accounts;
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
mod serve;
mod verify;

use crate::args::{Arguments, Command};
use crate::output::Report;
use crate::session::Session;
use vault::Result;

/// Runs the command that was asked for.
pub fn run(arguments: Arguments) -> Result<Report> {
    let global = arguments.global;
    let session = || Session::start(&global);
    match arguments.command {
        Command::Completions { shell } => Ok(completions::completions(shell)),
        Command::Man => completions::man(),
        Command::Key(crate::args::Key::Generate) => key::generate(),
        Command::Demo(demo) => demo::run(&demo, &global),
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
        Command::Serve(serve) => serve::run(&serve, session()?),
        Command::User(command) => accounts::user(&command, &session()?),
        Command::Token(command) => accounts::token(&command, &session()?),
    }
}

/// A value as JSON; our own types always are.
fn json(value: impl serde::Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value)
        .map_err(|cause| vault::Error::internal(format!("a result cannot be written as JSON: {cause}")))
}
