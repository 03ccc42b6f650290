//! Deduplicated storage in restic's repository format.
