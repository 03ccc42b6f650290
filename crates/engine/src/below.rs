//! Puts a component's entries below its name: sources and targets know paths relative to their component only. Here, and
//! nowhere else, the bytes that go either way are counted for whoever watches.

use crate::{Error, Result};
use std::io::Read;
use vault::{
    Attributes, Committed, Content, Entry, EntryKind, EntryPath, EntryWriter, Metadata, Outcome, Progress, Structure,
};

/// Hands entries on with the component's name before their paths, and counts them.
pub struct Below<'a> {
    name: &'a str,
    writer: &'a mut dyn EntryWriter,
    progress: &'a dyn Progress,
}

impl<'a> Below<'a> {
    /// A writer for the component `name`.
    pub fn new(name: &'a str, writer: &'a mut dyn EntryWriter, progress: &'a dyn Progress) -> Self {
        Self { name, writer, progress }
    }
}

impl EntryWriter for Below<'_> {
    fn write(&mut self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<Outcome> {
        self.progress.check_cancelled()?;
        let kind = match &entry.kind {
            EntryKind::HardLink { target } => EntryKind::HardLink { target: target.below(self.name) },
            other => other.clone(),
        };
        let placed = Entry { path: entry.path.below(self.name), kind, metadata: entry.metadata.clone() };
        let mut counted = content.map(|content| CountedContent { content, progress: self.progress });
        let outcome = self.writer.write(&placed, counted.as_mut().map(|content| content as &mut dyn Content))?;
        if let Outcome::Unchanged { bytes } = &outcome {
            // Taken over unread.
            self.progress.bytes(*bytes);
        }
        self.progress.entries(1);
        Ok(outcome)
    }

    fn known_attributes(
        &mut self,
        path: &EntryPath,
        size_bytes: u64,
        metadata: &Metadata,
    ) -> Result<Option<Attributes>> {
        self.writer.known_attributes(&path.below(self.name), size_bytes, metadata)
    }

    fn commit(self: Box<Self>, _manifest: &[u8]) -> Result<Committed> {
        Err(Error::internal("a component cannot commit the whole backup"))
    }
}

/// Counts the bytes that a writer takes.
struct CountedContent<'a> {
    content: &'a mut dyn Content,
    progress: &'a dyn Progress,
}

impl Content for CountedContent<'_> {
    fn open(&mut self) -> std::io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(Counted { content: self.content.open()?, progress: self.progress }))
    }

    fn structure(&self) -> Structure {
        self.content.structure()
    }
}

/// Splits an entry's path into its component and the entry as that component's source gave it.
pub fn take_apart(entry: &Entry) -> Result<(String, Option<Entry>)> {
    let (name, rest) = entry.path.split_first();
    let name = String::from_utf8_lossy(name).into_owned();
    let Some(path) = rest else { return Ok((name, None)) };
    let kind = match &entry.kind {
        EntryKind::HardLink { target } => EntryKind::HardLink { target: within_component(entry, target)? },
        other => other.clone(),
    };
    Ok((name, Some(Entry { path, kind, metadata: entry.metadata.clone() })))
}

fn within_component(entry: &Entry, target: &EntryPath) -> Result<EntryPath> {
    let (own, _) = entry.path.split_first();
    match target.split_first() {
        (first, Some(rest)) if first == own => Ok(rest),
        _ => Err(Error::new(
            crate::ErrorKind::UnsafeEntry,
            format!("the hard link {} leads out of its component, to {target}", entry.path),
            "The backup was not made by Strongroom or was tampered with; nothing was replaced.",
        )),
    }
}

/// Counts the bytes that pass, and stops when the run is cancelled.
pub struct Counted<'a, R> {
    /// Where they come from.
    pub content: R,
    /// Who wants to know.
    pub progress: &'a dyn Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.progress.check_cancelled()?;
        let count = self.content.read(buffer)?;
        self.progress.bytes(count as u64);
        Ok(count)
    }
}
