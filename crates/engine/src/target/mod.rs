//! How components are put back. Each file here has a sibling of the same name in [`source`](crate::source).
//!
//! The way back has four stations, and the live data is touched only in the third: `inspect` (look), `entry`… `finish`
//! (put everything beside the live data and measure it), `swap`, and later `swap_back` or `discard`.
//!
//! Invariant: at any instant, also after `kill -9`, the live component is wholly the old or wholly the new one, or a
//! call of [`Target::swap`] or [`Target::swap_back`] with the same [`Place`] makes it so. Both are idempotent, and each
//! can be followed by the other any number of times: an undo can itself be undone.

pub mod config;
pub mod files;
pub mod logs;
pub mod mysql;
pub mod postgres;
pub mod sqlite;

use crate::hash::HashKey;
use crate::id::Id;
use crate::manifest::{ComponentManifest, Figures, TableId};
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::PathBuf;
use vault::{Entry, Progress};

/// Where a component is put.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub enum Place {
    /// Back to where it came from: beside first, then swapped.
    Live {
        /// Names everything that lies beside the live data.
        restore_id: Id,
        /// An owner-only folder that stays until the restore can no longer be undone; the target may keep small files of
        /// its own there (what it swapped, inode numbers). Durable writes are its own business.
        state_folder: PathBuf,
    },
    /// Into an empty folder (files, SQLite): a restore elsewhere or a drill. Nothing is swapped.
    Folder {
        /// The component's own folder; made by the target.
        path: PathBuf,
    },
    /// Into a database of this address, which must not exist yet or be empty (server databases).
    Database {
        /// URL of the new database.
        url: String,
    },
}

/// What a target gets to work with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Hears the news.
    pub progress: &'a dyn Progress,
    /// Key for content hashes, from the manifest.
    pub hash_key: HashKey,
    /// End other clients' connections where they are in the way.
    pub disconnect_clients: bool,
}

/// What a restore of a component would do. Shown before anything is touched.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetPlan {
    /// What is replaced, in words: a path, a database's name.
    pub replaces: Option<String>,
    /// Figures of the live data now, where they are cheap to get (counts; hashes empty).
    pub live: Option<Figures>,
    /// Bytes needed beside the live data.
    pub needs_bytes: u64,
    /// Bytes free there.
    pub free_bytes: Option<u64>,
    /// Other clients of a database, in words.
    pub clients: Vec<String>,
    /// Why it would be refused, in words with the remedy; empty when it can go on.
    pub obstacles: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// How what a restore replaced is had again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WayBack {
    /// It lies beside: [`Target::swap_back`] exchanges it.
    Beside,
    /// It was overwritten in one transaction of the database. The backup that was taken before is written back in the same
    /// way, which takes as long as the restore did; [`Target::swap_back`] commits that.
    Backup,
}

/// Puts a component back.
pub trait Target: Send {
    /// Restores these tables of a database alone: everything else stays as it is. Called before everything else.
    fn only_tables(&mut self, tables: &[TableId]) -> Result<()> {
        Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "single tables cannot be put back here ({})",
                tables.first().map_or_else(String::new, TableId::to_string)
            ),
            "Restore everything into a folder or a new database with --to, and copy the rows by the database's own means.",
        ))
    }

    /// How what is replaced is had again; known after [`Self::inspect`], and later from what the target wrote down.
    fn way_back(&self) -> Result<WayBack> {
        Ok(WayBack::Beside)
    }

    /// Whether the restored side is the live one now. Asked only where the way back is [`WayBack::Backup`]: after a crash the
    /// commit decides which way everything else goes.
    fn is_restored_side_live(&mut self) -> Result<bool> {
        Err(Error::internal("only a target that commits a transaction is asked whether it did"))
    }

    /// Looks at what is there and whether the restore can work: space, permissions, engine and version, clients.
    /// Touches nothing.
    fn inspect(&mut self, context: &Context<'_>, manifest: &ComponentManifest) -> Result<TargetPlan>;

    /// Takes one entry and puts it beside the live data. Paths are relative to the component.
    fn entry(&mut self, context: &Context<'_>, entry: &Entry, content: &mut dyn Read) -> Result<()>;

    /// Everything has come: completes what lies beside, makes it durable, and measures it anew from there (not from what
    /// passed by).
    fn finish(&mut self, context: &Context<'_>) -> Result<Figures>;

    /// Exchanges live and new, keeping the old beside. Idempotent. Only for [`Place::Live`].
    fn swap(&mut self, context: &Context<'_>) -> Result<()>;

    /// Exchanges them back. Idempotent. Only for [`Place::Live`].
    fn swap_back(&mut self, context: &Context<'_>) -> Result<()>;

    /// Removes everything of this restore that lies beside the live data: the new before a swap, the old after one.
    /// Idempotent; never touches what is live.
    fn discard(&mut self, context: &Context<'_>) -> Result<()>;
}
