//! Progress on a terminal as a bar, elsewhere as plain lines, with `--json` or `--quiet` not at all.
//!
//! Tests can ask for the names of the steps that were reached (`STRONGROOM_STEP_LOG=FILE`) and for the process to die at
//! the n-th of a name (`STRONGROOM_KILL_AT=name` or `name:3`), as `kill -9` would have it, or for whoever reached a step to make a
//! file and wait there until it is removed (`STRONGROOM_WAIT_AT`, `STRONGROOM_WAIT_FILE`).

use indicatif::{ProgressBar, ProgressStyle};
use rustix::process::Signal;
use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use vault::Progress;

/// Set when somebody presses Ctrl-C or sends SIGTERM: long work stops at its next safe point.
static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on an interrupt stops the work cleanly; a second one ends the process at once.
pub fn watch_for_interrupts() {
    use signal_hook::consts::{SIGINT, SIGTERM};
    for signal in [SIGINT, SIGTERM] {
        // Without handlers an interrupt ends the process as a crash would, and the next start cleans up.
        let _ = signal_hook::flag::register_conditional_shutdown(signal, 130, INTERRUPTED.clone());
        let _ = signal_hook::flag::register(signal, INTERRUPTED.clone());
    }
}

/// How much to say while working.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A bar that moves.
    Bar,
    /// A line a phase.
    Lines,
    /// Nothing.
    Nothing,
}

/// The command line's progress.
pub struct Reporter {
    style: Style,
    bar: ProgressBar,
    reached: Mutex<HashMap<&'static str, u32>>,
    die_at: Option<(String, u32)>,
    /// With the file that says so.
    wait_at: Option<(String, std::path::PathBuf)>,
    step_log: Option<std::path::PathBuf>,
}

impl Reporter {
    /// A reporter in this style.
    pub fn new(style: Style) -> Self {
        let bar = if style == Style::Bar { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        bar.enable_steady_tick(Duration::from_millis(120));
        let die_at = std::env::var("STRONGROOM_KILL_AT").ok().map(|text| match text.rsplit_once(':') {
            Some((name, count)) => (name.to_owned(), count.parse().unwrap_or(1)),
            None => (text, 1),
        });
        let wait_at = std::env::var("STRONGROOM_WAIT_AT").ok();
        let wait_at = wait_at.zip(std::env::var_os("STRONGROOM_WAIT_FILE").map(Into::into));
        let step_log = std::env::var_os("STRONGROOM_STEP_LOG").map(Into::into);
        Self { style, bar, reached: Mutex::default(), die_at, wait_at, step_log }
    }

    /// Leaves the terminal as it was found.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Reporter {
    fn phase(&self, name: &str, bytes_expected: Option<u64>) {
        match self.style {
            Style::Bar => {
                self.bar.set_position(0);
                let template = if let Some(bytes) = bytes_expected.filter(|bytes| *bytes > 0) {
                    self.bar.set_length(bytes);
                    "{msg:32} [{bar:28}] {bytes:>10} of {total_bytes}  {binary_bytes_per_sec}"
                } else {
                    self.bar.unset_length();
                    "{msg:32} {spinner} {bytes:>10}  {binary_bytes_per_sec}"
                };
                if let Ok(style) = ProgressStyle::with_template(template) {
                    self.bar.set_style(style.progress_chars("=> "));
                }
                self.bar.set_message(name.to_owned());
                self.bar.reset_elapsed();
            }
            Style::Lines => say(&format!("{name} …")),
            Style::Nothing => {}
        }
    }

    fn bytes(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn warning(&self, message: &str) {
        tracing::warn!("{message}");
        match self.style {
            Style::Bar => self.bar.suspend(|| say(&format!("warning: {message}"))),
            Style::Lines => say(&format!("warning: {message}")),
            Style::Nothing => {}
        }
    }

    fn step(&self, name: &'static str) {
        tracing::debug!(step = name, "step");
        if let Some((_, file)) = self.wait_at.as_ref().filter(|(wanted, _)| wanted == name) {
            let _ = std::fs::write(file, "");
            while file.exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        if self.die_at.is_none() && self.step_log.is_none() {
            return;
        }
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let count = reached.entry(name).or_insert(0);
        *count += 1;
        if let Some(path) = &self.step_log
            && let Ok(mut log) = std::fs::OpenOptions::new().append(true).create(true).open(path)
        {
            let _ = writeln!(log, "{name}:{count}");
        }
        if self.die_at.as_ref().is_some_and(|(wanted, nth)| wanted == name && nth == count) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
        }
    }

    fn is_cancelled(&self) -> bool {
        INTERRUPTED.load(Ordering::Relaxed)
    }
}

fn say(line: &str) {
    // Standard error may be closed; progress is not worth failing for.
    let _ = writeln!(std::io::stderr(), "{line}");
}
