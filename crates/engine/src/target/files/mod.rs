//! Puts a file tree back: beside the live folder first, then exchanged with it.
//!
//! Invariant: the live folder is wholly the old or wholly the new tree, or a record in the state folder says how the next
//! call makes it so; and what the backup does not hold (excluded files, `.env`, sockets) is never lost (see `carry`).
//! Files made since the backup that do belong to the component lie beside after a restore, until it can no longer be
//! undone. The uncomfortable consequence of exchanging a folder: a process that has a file of it open goes on writing to
//! the one that now lies beside.
//!
//! Owners are restored by number. Whoever may not give files away, or restores to a file system without extended
//! attributes, is told so, and those figures are not compared.

mod carry;
mod exchange;
mod raw_path;
mod record;
mod site;
mod stage;
mod swap;
mod sync;
mod tree;
mod write;

pub use swap::STEPS;
pub use tree::TreeTarget;
pub(super) use tree::{Belongs, Put};

use super::Place;
use crate::Result;
use crate::config::component::FilesSettings;
use crate::tree::filter::Filter;

/// Puts a file tree back. A pattern that is none is an [`ErrorKind::Config`](crate::ErrorKind::Config), a place for databases
/// an [`ErrorKind::Usage`](crate::ErrorKind::Usage).
pub fn target(name: impl Into<String>, settings: FilesSettings, place: Place) -> Result<TreeTarget> {
    let filter = Filter::new(&settings.include, &settings.exclude)?;
    let belongs =
        Belongs::Tree { filter: Box::new(filter), one_file_system: settings.one_file_system, hard_links: true };
    TreeTarget::new(name.into(), settings.path, belongs, |entry, content, put| put(entry, content), place)
}
