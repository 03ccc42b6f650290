//! The `strongroom` binary: reads the command line, runs one command, prints what came of it, and exits with the code of
//! [`exit`].

mod args;
mod commands;
mod env_file;
mod exit;
mod logging;
mod output;
mod session;

use args::Arguments;
use clap::Parser;
use clap::error::ErrorKind as ClapErrorKind;
use std::process::ExitCode;
use vault::{Error, ErrorKind};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misused(&error),
    };
    output::progress::watch_for_interrupts();
    let as_json = arguments.global.json;
    match commands::run(arguments) {
        Ok(report) => match report.print(as_json) {
            Ok(()) => ExitCode::from(report.exit),
            // Whoever read our output has gone (`| head`): that is no failure.
            Err(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::from(report.exit),
            Err(cause) => fail(&Error::io("writing to standard output", cause), as_json),
        },
        Err(error) => fail(&error, as_json),
    }
}

fn fail(error: &Error, as_json: bool) -> ExitCode {
    output::print_error(error, as_json);
    ExitCode::from(exit::code(error.kind()))
}

/// Help and version are results; anything else that clap objects to is a usage error, as JSON where JSON was asked for.
fn misused(error: &clap::Error) -> ExitCode {
    let as_json = std::env::args_os().any(|argument| argument == "--json");
    if matches!(error.kind(), ClapErrorKind::DisplayHelp | ClapErrorKind::DisplayVersion) || !as_json {
        // Nothing can be done about a closed terminal.
        let _ = error.print();
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    }
    let message = error.render().to_string();
    let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    fail(&Error::new(ErrorKind::Usage, first, "`strongroom --help` shows what there is."), true)
}
