//! The one error type of the library crates.
//!
//! Every failure says what, where and why in `message`, and what to do next in `hint`. The [`ErrorKind`] is stable:
//! its [`code`](ErrorKind::code) is what programs see; the command line maps it to an exit code and the server to an
//! HTTP status, each in one table of its own. Nothing here prints.

use std::io;

/// Shorthand for results of this workspace's libraries.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A failure: what kind, what a person should read, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: String,
    #[source]
    cause: Option<Cause>,
}

/// What kind of failure; the stable half of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The caller asked for something that makes no sense.
    Usage,
    /// A configuration file or environment variable is wrong.
    Config,
    /// No usable encryption key where one is needed.
    NoKey,
    /// The named backup, component, path or user does not exist.
    NotFound,
    /// Another run holds the lock.
    Locked,
    /// Something is in use and cannot be replaced now (a database with a writer, connected clients).
    Busy,
    /// The key does not open this data.
    WrongKey,
    /// Wrong key or damaged data: without a manifest beside it the two cannot be told apart.
    WrongKeyOrDamaged,
    /// The data is shorter than it was written.
    Truncated,
    /// The data is not what was written: a tag, checksum or hash does not match.
    Damaged,
    /// The data is not a backup of ours at all.
    NotABackup,
    /// An entry would be written outside its place, or is of a kind that is never restored.
    UnsafeEntry,
    /// The data expands beyond every reason (a decompression bomb).
    TooLarge,
    /// What was restored is not what the manifest promised.
    Mismatch,
    /// The format, engine or version is one this build cannot handle.
    Unsupported,
    /// Not enough room.
    NoSpace,
    /// The operating system or the database refused access.
    PermissionDenied,
    /// Refused because it would destroy something worth keeping, or lacks its confirmation.
    Refused,
    /// A database or another server could not be reached or answered with an error.
    Database,
    /// An external program or hook failed.
    External,
    /// Not or no longer allowed: missing sign-in, role or scope.
    Forbidden,
    /// Somebody asked to stop.
    Cancelled,
    /// Reading or writing failed.
    Io,
    /// A mistake of ours.
    Internal,
}

impl ErrorKind {
    /// The code that programs see, in JSON output and API answers. Never changes once published.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Config => "config_invalid",
            Self::NoKey => "no_key",
            Self::NotFound => "not_found",
            Self::Locked => "locked",
            Self::Busy => "busy",
            Self::WrongKey => "wrong_key",
            Self::WrongKeyOrDamaged => "wrong_key_or_damaged",
            Self::Truncated => "truncated",
            Self::Damaged => "damaged",
            Self::NotABackup => "not_a_backup",
            Self::UnsafeEntry => "unsafe_entry",
            Self::TooLarge => "too_large",
            Self::Mismatch => "mismatch",
            Self::Unsupported => "unsupported",
            Self::NoSpace => "no_space",
            Self::PermissionDenied => "permission_denied",
            Self::Refused => "refused",
            Self::Database => "database",
            Self::External => "external_failed",
            Self::Forbidden => "forbidden",
            Self::Cancelled => "cancelled",
            Self::Io => "io",
            Self::Internal => "internal",
        }
    }
}

impl Error {
    /// A failure without an underlying cause.
    pub fn new(kind: ErrorKind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: hint.into(), cause: None }
    }

    /// Keeps the underlying error; its text belongs to the chain, not into `message`.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// An I/O failure, classified: a full disk, a missing permission and a missing file are kinds of their own.
    /// `what` says what was being done, to what: `"reading /srv/app/uploads"`.
    pub fn io(what: impl std::fmt::Display, cause: io::Error) -> Self {
        let (kind, hint) = match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                (ErrorKind::NoSpace, "Free some space there, or point BACKUP_DIR at a larger disk, and try again.")
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => (
                ErrorKind::PermissionDenied,
                "Run as the user that owns it, or give this user the right; `strongroom doctor` lists what is missing.",
            ),
            io::ErrorKind::NotFound => (ErrorKind::NotFound, "Check the path; was it moved or removed meanwhile?"),
            io::ErrorKind::UnexpectedEof => {
                (ErrorKind::Truncated, "The data ends too early: use another copy or an older backup.")
            }
            _ => (ErrorKind::Io, "See the cause; `strongroom doctor` checks the usual ones."),
        };
        Self::new(kind, format!("{what} failed: {cause}"), hint).because(cause)
    }

    /// A mistake of ours, said as such.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message, "This is a defect of Strongroom: please report it with the log.")
    }

    /// Which kind of failure this is.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened, for a person.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do next, for a person. May be empty where `message` says it all.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// Puts where it happened before the message: `"component uploads: …"`. Said once, whoever else says it too.
    #[must_use]
    pub fn within(mut self, place: impl std::fmt::Display) -> Self {
        let place = format!("{place}: ");
        if !self.message.starts_with(&place) {
            self.message.insert_str(0, &place);
        }
        self
    }

    /// Replaces the hint where the caller knows better.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// Attaches what was being done to a bare I/O error.
pub trait IoContext<T> {
    /// `what` is evaluated only on failure.
    fn doing<D: std::fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn doing<D: std::fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|cause| Error::io(what(), cause))
    }
}

/// Lets an [`Error`] travel through a `std::io` interface; [`from_io`] takes it out again.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

/// Takes an [`Error`] of ours back out of an [`io::Error`], or classifies a foreign one.
pub fn from_io(what: impl std::fmt::Display, error: io::Error) -> Error {
    if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Error>) {
        match error.into_inner().map(<dyn std::error::Error + Send + Sync>::downcast::<Error>) {
            Some(Ok(ours)) => *ours,
            _ => Error::internal(format!("{what}: an error changed its type under way")),
        }
    } else {
        Error::io(what, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_error_survives_the_way_through_io() {
        let error: io::Error = Error::new(ErrorKind::WrongKey, "no", "yes").into();
        assert_eq!(from_io("reading", error).kind(), ErrorKind::WrongKey);
    }

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        let error = Error::io("writing x", io::ErrorKind::StorageFull.into());
        assert_eq!(error.kind(), ErrorKind::NoSpace);
    }
}
