//! The one table of exit codes.

use vault::ErrorKind;

/// Done.
pub const DONE: u8 = 0;
/// Failed, nothing changed; of `doctor`: something is wrong.
pub const FAILED: u8 = 1;
/// Done in part: some files were unreadable.
pub const PARTIAL: u8 = 3;

/// The exit code of a failure.
pub const fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Usage | ErrorKind::Config | ErrorKind::NoKey => 2,
        ErrorKind::NotFound => 4,
        ErrorKind::Locked | ErrorKind::Busy => 5,
        ErrorKind::Truncated
        | ErrorKind::Damaged
        | ErrorKind::NotABackup
        | ErrorKind::UnsafeEntry
        | ErrorKind::TooLarge
        | ErrorKind::Mismatch => 6,
        ErrorKind::WrongKey | ErrorKind::WrongKeyOrDamaged => 7,
        ErrorKind::Cancelled => 130,
        ErrorKind::Unsupported
        | ErrorKind::NoSpace
        | ErrorKind::PermissionDenied
        | ErrorKind::Refused
        | ErrorKind::Database
        | ErrorKind::External
        | ErrorKind::Forbidden
        | ErrorKind::Io
        | ErrorKind::Internal => FAILED,
    }
}
