//! What people and programs get to see: one report a command, as text or as JSON.

pub mod backups;
pub mod progress;
pub mod table;
pub mod units;

use serde_json::Value;
use std::io::{self, Write};
use vault::Error;

/// What a command came to.
#[derive(Debug)]
pub struct Report {
    /// For programs.
    pub json: Value,
    /// For people.
    pub human: String,
    /// The exit code.
    pub exit: u8,
}

impl Report {
    /// Done.
    pub fn done(json: Value, human: impl Into<String>) -> Self {
        Self { json, human: human.into(), exit: crate::exit::DONE }
    }

    /// Done, and the command printed its result itself, as it came.
    pub const fn printed() -> Self {
        Self { json: Value::Null, human: String::new(), exit: crate::exit::DONE }
    }

    /// Done, with an exit code that says more.
    #[must_use]
    pub const fn with_exit(mut self, exit: u8) -> Self {
        self.exit = exit;
        self
    }

    /// Prints it: one JSON document, or the text.
    pub fn print(&self, as_json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if as_json && !self.json.is_null() {
            writeln!(out, "{}", self.json)?;
        } else if !self.human.is_empty() {
            writeln!(out, "{}", self.human.trim_end())?;
        }
        out.flush()
    }
}

/// Prints a failure on standard error: what, why, what to do.
pub fn print_error(error: &Error, as_json: bool) {
    let mut err = io::stderr().lock();
    // Standard error may be closed; the exit code says the rest.
    let _ = if as_json { writeln!(err, "{}", error_json(error)) } else { writeln!(err, "{}", error_text(error)) };
}

fn error_json(error: &Error) -> Value {
    let hint = if error.hint().is_empty() { "See the message." } else { error.hint() };
    serde_json::json!({
        "success": false,
        "error": { "code": error.kind().code(), "message": error.message(), "hint": hint },
    })
}

fn error_text(error: &Error) -> String {
    let hint = if error.hint().is_empty() { String::new() } else { format!("\n  {}", error.hint()) };
    format!("strongroom: {}{hint}", error.message())
}
