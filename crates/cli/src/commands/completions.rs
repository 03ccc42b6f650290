//! `strongroom completions`, `strongroom man`

use crate::args::Arguments;
use crate::output::Report;
use clap::CommandFactory;
use serde_json::Value;
use vault::Result;
use vault::error::IoContext;

/// A shell's completion script.
pub fn completions(shell: clap_complete::Shell) -> Report {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "strongroom", &mut script);
    text(script)
}

/// The manual page.
pub fn man() -> Result<Report> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Arguments::command()).render(&mut page).doing(|| "rendering the manual page")?;
    Ok(text(page))
}

fn text(bytes: Vec<u8>) -> Report {
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Report::done(Value::String(text.clone()), text)
}
