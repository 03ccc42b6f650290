//! Deduplicated storage in restic's repository format.
//!
//! A [`Repository`] keeps any number of snapshots in a [`Store`]; each stores only what no earlier one had. The format is
//! restic's (version 2; version 1 is read and written too), the engine is our own. `docs/repository.md` says what we write
//! within the format, how locks and cleaning work, and what an attacker can learn.
//!
//! Order of writing: packs, then the index that lists them, then the snapshot. Order of removing: the reverse. Whatever is
//! interrupted leaves every snapshot whole, and only litter that the next run uses or removes.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use vault::repository::{Environment, Options, Repository, WriterOptions};
//! # use vault::{Key, Silent, Timestamp, store::LocalStore};
//! # fn main() -> vault::Result<()> {
//! let store = Arc::new(LocalStore::create_root("/backups/repository")?);
//! let key = Key::generate()?;
//! let environment = Environment::new("web1", "root", || Timestamp { seconds: 1_800_000_000, nanoseconds: 0 });
//! let repository = Repository::init(store, &key, environment, Options::default())?;
//! let writer = repository.writer(WriterOptions::default(), Arc::new(Silent))?;
//! // Hand entries to the writer, then commit it.
//! # let _ = writer; Ok(())
//! # }
//! ```

mod blobs;
mod check;
mod chunk;
mod crypto;
mod files;
mod format;
#[doc(hidden)]
pub mod fuzzing;
mod id;
mod index;
mod index_load;
mod keys;
mod lock;
mod open;
mod prune;
mod read;
mod repair;
mod survey;
mod walk;
mod write;

pub use check::{CheckDepth, CheckReport, Subset};
pub use chunk::Sizes;
pub use id::Id;
pub use open::{Environment, Options, Repository, Secret, Snapshot, Unreadable};
pub use prune::{PruneOptions, PruneOutcome, PrunePlan};
pub use read::RepositoryReader;
pub use repair::RepairReport;
pub use survey::{Finding, LostFile};
pub use write::{RepositoryWriter, WriterOptions};

/// Names a snapshot.
pub type SnapshotId = Id;

#[cfg(doc)]
use crate::Store;
