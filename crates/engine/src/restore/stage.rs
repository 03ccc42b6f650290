//! Puts a backup's entries into their targets and compares what came of it with the manifest. Restores and drills share it.
//!
//! Invariant: nothing that is live is touched here. A component that differs from its manifest is an error that names every
//! difference, and the caller throws away what lies beside.

use crate::below::{Counted, take_apart};
use crate::manifest::{ComponentManifest, Manifest, TableId};
use crate::target::{Context, Target};
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::io::Read;
use vault::{Entry, EntryReader, Selection};

/// A component on its way back.
pub struct Staged {
    /// What the backup says about it.
    pub manifest: ComponentManifest,
    /// Takes its entries.
    pub target: Box<dyn Target>,
}

/// Sends all entries of the staged components to their targets, completes them, and compares each with its manifest.
///
/// With `tables`, these alone are compared.
pub fn stage(
    reader: &mut dyn EntryReader,
    manifest: &Manifest,
    staged: &mut [Staged],
    tables: &[TableId],
    context: &Context<'_>,
) -> Result<()> {
    let bytes_expected = staged.iter().map(|component| component.manifest.bytes).sum();
    context.progress.phase("putting beside the live data", Some(bytes_expected));
    receive(reader, manifest, staged, context)?;
    for component in staged {
        compare(component, tables, context)?;
    }
    Ok(())
}

fn receive(
    reader: &mut dyn EntryReader,
    manifest: &Manifest,
    staged: &mut [Staged],
    context: &Context<'_>,
) -> Result<()> {
    let whole = staged.len() == manifest.components.len();
    let selection = if whole {
        Selection::all()
    } else {
        Selection::below(staged.iter().map(|component| component.manifest.name.clone().into_bytes()))
    };
    let mut targets: BTreeMap<String, &mut Box<dyn Target>> =
        staged.iter_mut().map(|component| (component.manifest.name.clone(), &mut component.target)).collect();
    let mut visitor = |entry: &Entry, content: &mut dyn Read| {
        let (name, inner) = take_apart(entry)?;
        let (Some(target), Some(inner)) = (targets.get_mut(&name), inner) else { return Ok(()) };
        target
            .entry(context, &inner, &mut Counted { content, progress: context.progress })
            .map_err(|error| error.within(format!("component {name}, {}", inner.path)))
    };
    reader.visit(&selection, &mut visitor)
}

fn compare(component: &mut Staged, tables: &[TableId], context: &Context<'_>) -> Result<()> {
    let name = component.manifest.name.clone();
    context.progress.phase(&format!("comparing {name} with the manifest"), None);
    let figures = component.target.finish(context).map_err(|error| error.within(format!("component {name}")))?;
    let figures = if tables.is_empty() { figures } else { figures.of_tables(tables) };
    let differences = component.manifest.differences(&figures);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Mismatch,
        format!("component {name} did not come out as its manifest promises: {}", differences.join("; ")),
        "Nothing live was touched. Verify the backup, or take an older one; if this one verifies, report a defect.",
    ))
}
