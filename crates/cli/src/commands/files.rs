//! `strongroom files`: prints while it reads, so that a backup of millions of files takes no memory.

use crate::args::Files;
use crate::output::{Report, units};
use crate::session::Session;
use engine::contents::{self, Listed};
use engine::locate;
use std::io::{self, BufWriter, Write};
use vault::error::IoContext;
use vault::{Error, Result};

/// Lists what a backup holds.
pub fn run(arguments: &Files, session: &Session) -> Result<Report> {
    let room = session.room()?;
    let backup = locate::find(&room, &arguments.id)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut first, mut nobody_reads) = (true, false);
    let mut print = |file: Listed| -> Result<()> {
        let written = if session.json {
            let text = serde_json::to_string(&file).map_err(|cause| Error::internal(cause.to_string()))?;
            let before = if std::mem::take(&mut first) { "[" } else { ",\n" };
            write!(out, "{before}{text}")
        } else {
            writeln!(out, "{}", line(&file))
        };
        nobody_reads = written.as_ref().is_err_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
        written.doing(|| "writing to standard output")
    };
    let listed = contents::list(&room, &backup, arguments.path.as_deref().unwrap_or(""), &mut print);
    if nobody_reads {
        // `| head` has seen enough: that is no failure.
        return Ok(Report::printed());
    }
    listed?;
    let closing = if !session.json {
        ""
    } else if first {
        "[]\n"
    } else {
        "]\n"
    };
    match out.write_all(closing.as_bytes()).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => Err(cause).doing(|| "writing to standard output"),
        _ => Ok(Report::printed()),
    }
}

fn line(file: &Listed) -> String {
    let time = file.modified.map(units::time).unwrap_or_default();
    let size = if file.kind == "file" { units::bytes(file.bytes) } else { file.kind.to_owned() };
    let target = file.target.as_ref().map(|target| format!(" -> {target}")).unwrap_or_default();
    format!("{}  {size:>10}  {time:20}  {}{target}", file.mode, file.path)
}
