//! The file that remembers where the audit chain ended at each start: `audit-heads` beside the catalog, one line
//! `TIME SEQ:HASH` each, only ever appended to. Copied away from the machine, it convicts whoever rewrites the log.

use super::AuditHead;
use crate::{Error, Result};
use jiff::Timestamp;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

fn file(state_dir: &Path) -> PathBuf {
    state_dir.join("audit-heads")
}

/// Appends the head, durably.
pub fn append(state_dir: &Path, head: &AuditHead, now: Timestamp) -> Result<()> {
    let path = file(state_dir);
    let append = || -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&path)?;
        let mut last = [b'\n'];
        if file.metadata()?.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        let open_line = if last == *b"\n" { "" } else { "\n" };
        file.write_all(format!("{open_line}{now} {head}\n").as_bytes())?;
        file.sync_all()
    };
    append().map_err(|cause| Error::io(format!("recording the audit log's head in {}", path.display()), cause))
}

/// All heads that were recorded. A last line that a crash cut short is left out, and so is what cannot be read.
pub fn read(state_dir: &Path) -> Result<Vec<AuditHead>> {
    let path = file(state_dir);
    match fs::read_to_string(&path) {
        Ok(text) => {
            Ok(text.lines().filter_map(|line| line.split_once(' ')).filter_map(|(_, head)| head.parse().ok()).collect())
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(cause) => Err(Error::io(format!("reading {}", path.display()), cause)),
    }
}
