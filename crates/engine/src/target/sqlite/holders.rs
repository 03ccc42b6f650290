//! Who has a database open, as far as this system tells.
//!
//! Best effort: other users' processes hide their open files from everybody but root. So an empty answer is no proof, and
//! SQLite's own locks are asked as well.

use crate::source::sqlite::open::beside;
use std::fs;
use std::path::{Path, PathBuf};

/// Other processes that have the database or a file beside it open, in words: `pid 4711 (node)`.
pub(super) fn holders(live: &Path) -> Vec<String> {
    let files = ["", "-wal", "-shm", "-journal"].map(|suffix| beside(live, suffix));
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let mut found = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != std::process::id() && holds(*pid, &files))
        .collect::<Vec<_>>();
    found.sort_unstable();
    found.into_iter().map(describe).collect()
}

fn holds(pid: u32, files: &[PathBuf]) -> bool {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    open.flatten().any(|link| fs::read_link(link.path()).is_ok_and(|target| files.contains(&target)))
}

fn describe(pid: u32) -> String {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("pid {pid} ({})", name.trim()),
        Err(_) => format!("pid {pid}"),
    }
}
