//! The names in one folder, sorted by their bytes, in two allocations however many there are.

use rustix::fs::{FileType, RawDir};
use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;

/// Sorted names of a folder, each with what the folder says it is ([`FileType::Unknown`] where it does not say).
#[derive(Default)]
pub struct Names {
    bytes: Vec<u8>,
    items: Vec<Item>,
}

/// Where a name stands in the bytes, without the NUL that follows it.
struct Item {
    offset: usize,
    length: u16,
    kind: FileType,
}

impl Item {
    fn name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.offset..self.offset + usize::from(self.length)]
    }

    fn with_nul<'a>(&self, bytes: &'a [u8]) -> &'a CStr {
        let name = &bytes[self.offset..=self.offset + usize::from(self.length)];
        CStr::from_bytes_with_nul(name).unwrap_or_default()
    }
}

impl Names {
    /// Reads the names of a folder that was just opened. `.`, `..` and [our own](super::is_beside) are left out.
    pub fn read(folder: impl AsFd) -> io::Result<Self> {
        Self::read_all(folder, |name| !super::is_beside(name))
    }

    /// The same, only what `wanted` says.
    pub fn read_all(folder: impl AsFd, wanted: impl Fn(&[u8]) -> bool) -> io::Result<Self> {
        let mut names = Self::default();
        let mut buffer = Vec::with_capacity(32 * 1024);
        let mut entries = RawDir::new(folder.as_fd(), buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") && wanted(name.to_bytes()) {
                // The kernel's names have 255 bytes at most, and its records 64 KiB.
                let length = name.count_bytes() as u16;
                names.items.push(Item { offset: names.bytes.len(), length, kind: entry.file_type() });
                names.bytes.extend_from_slice(name.to_bytes_with_nul());
            }
        }
        let bytes = &names.bytes;
        names.items.sort_unstable_by(|a, b| a.name(bytes).cmp(b.name(bytes)));
        Ok(names)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The name at a position, and what it is.
    pub fn get(&self, index: usize) -> Option<(&CStr, FileType)> {
        self.items.get(index).map(|item| (item.with_nul(&self.bytes), item.kind))
    }

    /// Every name, and what it is.
    pub fn iter(&self) -> impl Iterator<Item = (&CStr, FileType)> {
        self.items.iter().map(|item| (item.with_nul(&self.bytes), item.kind))
    }

    /// Whether a name is among them.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.items.binary_search_by(|item| item.name(&self.bytes).cmp(name)).is_ok()
    }
}
