//! Which entries of a folder belong to a component: gitignore patterns, and what never does.
//!
//! Invariant: a backup reads, and a restore replaces, exactly what [`Filter::decide`] takes. Whatever else lies in the
//! live folder is not in the backup, and so a restore must keep it.

use super::is_secret;
use crate::{Error, ErrorKind, Result};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It belongs to the component.
    Take,
    /// A folder that no include pattern names: it belongs to the component only if something below it does.
    Pass,
    /// It does not belong to the component, nor does anything below it.
    Leave,
    /// It may hold secrets and never belongs to a component.
    Secret,
}

/// Include and exclude patterns in gitignore syntax, relative to the component's folder.
#[derive(Debug, Clone)]
pub struct Filter {
    include: Option<Gitignore>,
    exclude: Option<Gitignore>,
    everything: bool,
    held: BTreeSet<Vec<u8>>,
}

impl Filter {
    /// Everything but what never belongs to a component. An empty `include` means everything.
    ///
    /// A pattern that is no glob is an [`ErrorKind::Config`] that names it.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self> {
        Ok(Self {
            include: patterns("include", include)?,
            exclude: patterns("exclude", exclude)?,
            everything: false,
            held: BTreeSet::new(),
        })
    }

    /// Takes everything, secrets as well: for looking at what lies somewhere, not for backing it up.
    pub const fn everything() -> Self {
        Self { include: None, exclude: None, everything: true, held: BTreeSet::new() }
    }

    /// What becomes of the entry at `path`; `included` says whether a folder above it was taken by an include pattern.
    pub fn decide(&self, path: &[u8], is_folder: bool, included: bool) -> Decision {
        if self.everything || self.held.contains(path) {
            return Decision::Take;
        }
        // A file system's own folder, where the component's folder is a mount point.
        if path == b"lost+found" && is_folder {
            return Decision::Leave;
        }
        if is_secret(path.rsplit(|&b| b == b'/').next().unwrap_or(path)) {
            return Decision::Secret;
        }
        let path = Path::new(OsStr::from_bytes(path));
        if self.exclude.as_ref().is_some_and(|exclude| exclude.matched(path, is_folder).is_ignore()) {
            return Decision::Leave;
        }
        let Some(include) = &self.include else { return Decision::Take };
        let matched = include.matched(path, is_folder);
        if matched.is_ignore() || (included && !matched.is_whitelist()) {
            Decision::Take
        } else if is_folder {
            Decision::Pass
        } else {
            Decision::Leave
        }
    }

    /// Takes these as well, with all that lies below them: what a backup holds though the patterns of today leave it out.
    pub fn hold(&mut self, paths: impl IntoIterator<Item = Vec<u8>>) {
        self.held.extend(paths);
    }

    /// The topmost part of `path` that would be left out, and so everything below it.
    pub fn leaves_out<'p>(&self, path: &'p [u8], is_folder: bool) -> Option<&'p [u8]> {
        let mut included = self.includes_all();
        let ends = path.iter().enumerate().filter(|&(_, &b)| b == b'/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let part = &path[..end];
            if self.held.contains(part) {
                return None;
            }
            match self.decide(part, is_folder || end < path.len(), included) {
                Decision::Take => included = true,
                Decision::Pass => {}
                Decision::Leave | Decision::Secret => return Some(part),
            }
        }
        None
    }

    /// Whether entries directly below the component's folder count as [included](Self::decide).
    pub fn includes_all(&self) -> bool {
        self.include.is_none()
    }
}

fn patterns(which: &str, lines: &[String]) -> Result<Option<Gitignore>> {
    if lines.is_empty() {
        return Ok(None);
    }
    let wrong = |pattern: &str, cause: ignore::Error| {
        Error::new(
            ErrorKind::Config,
            format!("the {which} pattern {pattern:?} is not a gitignore pattern"),
            "Write it as in a .gitignore file: `*.tmp`, `/cache/`, `photos/**/raw`.",
        )
        .because(cause)
    };
    let mut builder = GitignoreBuilder::new("/");
    for line in lines {
        builder.add_line(None, line).map_err(|cause| wrong(line, cause))?;
    }
    builder.build().map(Some).map_err(|cause| wrong(&lines.join(" "), cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let owned = |patterns: &[&str]| patterns.iter().map(|&p| p.to_owned()).collect::<Vec<_>>();
        Filter::new(&owned(include), &owned(exclude)).unwrap()
    }

    #[test]
    fn secrets_stay_out_even_when_a_pattern_includes_them() {
        let filter = filter(&[".env*"], &[]);
        assert_eq!(filter.decide(b".env", false, false), Decision::Secret);
        assert_eq!(filter.decide(b"deep/.env.local", false, true), Decision::Secret);
        assert_eq!(filter.decide(b".env.example", false, false), Decision::Take);
    }

    #[test]
    fn an_exclusion_can_be_taken_back_by_a_later_pattern() {
        let filter = filter(&[], &["*.tmp", "!keep.tmp", "/cache/"]);
        assert_eq!(filter.decide(b"a/x.tmp", false, true), Decision::Leave);
        assert_eq!(filter.decide(b"a/keep.tmp", false, true), Decision::Take);
        assert_eq!(filter.decide(b"cache", true, true), Decision::Leave);
        assert_eq!(filter.decide(b"cache", false, true), Decision::Take);
        assert_eq!(filter.decide(b"a/cache", true, true), Decision::Take);
        assert_eq!(filter.decide(b"\xff.tmp", false, true), Decision::Leave);
    }

    #[test]
    fn folders_on_the_way_to_what_is_included_are_passed_through() {
        let filter = filter(&["*.log", "/photos/"], &[]);
        assert_eq!(filter.decide(b"app", true, false), Decision::Pass);
        assert_eq!(filter.decide(b"app/x.log", false, false), Decision::Take);
        assert_eq!(filter.decide(b"app/x.txt", false, false), Decision::Leave);
        assert_eq!(filter.decide(b"photos", true, false), Decision::Take);
        assert_eq!(filter.decide(b"photos/x.txt", false, true), Decision::Take);
    }

    #[test]
    fn a_pattern_that_is_none_is_named() {
        let error = Filter::new(&[], &["{a".to_owned()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("{a"), "{error}");
    }
}
