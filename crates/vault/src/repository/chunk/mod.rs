//! Where content is cut into blobs.
//!
//! Three ways, chosen by what is known of the content ([`Structure`]): by its bytes (a gear hash), by the pages of a database
//! file (also where one is found among other files), by the rows of a dump. All are deterministic functions of the content and
//! of the repository's secret, so that equal content is cut alike tomorrow. Which way was taken is not recorded: a reader just
//! joins the blobs.

mod gear;
mod pages;
mod rows;

pub use gear::{Gear, Sizes};

use crate::transfer::Structure;

/// Bytes that a cutter may ask to see beyond a cut.
pub const BLOB_BYTES_MAX: usize = 8 << 20;

/// Finds the cuts of one content.
pub enum Cutter<'g> {
    /// Its beginning will tell.
    Unknown { gear: &'g Gear, size_bytes: Option<u64> },
    /// By its bytes.
    Content(gear::Scan<'g>),
    /// By pages of a database file.
    Pages(pages::Pages),
    /// By rows of text.
    Rows(rows::Rows<'g>),
}

impl<'g> Cutter<'g> {
    /// A cutter for the hinted kind of content. Very large content gets larger blobs: each costs memory in the index.
    pub fn new(gear: &'g Gear, structure: Structure, size_bytes: Option<u64>) -> Self {
        match structure {
            Structure::Unknown | Structure::Rows { by_key: false } => Self::Unknown { gear, size_bytes },
            Structure::Pages { page_size_bytes } => Self::Pages(pages::Pages::new(page_size_bytes, size_bytes)),
            Structure::Rows { by_key: true } => Self::Rows(rows::Rows::new(gear)),
        }
    }

    /// Looks for the end of the first blob in `bytes`, which begin where the last blob ended. `None`: more bytes are needed
    /// to tell. What was looked at in vain is not looked at again, as long as `bytes` only grow. At the end of the content
    /// (`ended`) there is always a cut.
    pub fn next_cut(&mut self, bytes: &[u8], ended: bool) -> Option<usize> {
        if let Self::Unknown { gear, size_bytes } = *self {
            if bytes.len() < pages::HEADER_BYTES && !ended {
                return None;
            }
            *self = match pages::Pages::recognise(bytes, size_bytes) {
                Some(pages) => Self::Pages(pages),
                None => Self::Content(gear.scan()),
            };
        }
        let cut = match self {
            // Just decided.
            Self::Unknown { .. } => None,
            Self::Content(scan) => scan.next_cut(bytes),
            Self::Pages(pages) => pages.next_cut(bytes),
            Self::Rows(rows) => rows.next_cut(bytes),
        };
        cut.or_else(|| (ended && !bytes.is_empty()).then_some(bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Cuts `content` while it arrives in pieces of `step` bytes.
    pub(super) fn cuts(gear: &Gear, structure: Structure, content: &[u8], step: usize) -> Vec<usize> {
        let mut cutter = Cutter::new(gear, structure, None);
        let (mut start, mut end, mut cuts) = (0, 0, Vec::new());
        while start < content.len() {
            match cutter.next_cut(&content[start..end], end == content.len()) {
                Some(length) => {
                    start += length;
                    cuts.push(start);
                }
                None => end = (end + step).min(content.len()),
            }
        }
        cuts
    }

    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn cuts_do_not_depend_on_how_the_content_arrives() {
        let gear = Gear::new(b"secret", Sizes { min: 1000, average: 4000, max: 16_000 });
        let mut content = noise(300_000, 1);
        content.iter_mut().step_by(70).for_each(|byte| *byte = b'\n');
        for structure in
            [Structure::Unknown, Structure::Rows { by_key: true }, Structure::Pages { page_size_bytes: 4096 }]
        {
            let whole = cuts(&gear, structure, &content, content.len());
            assert_eq!(whole, cuts(&gear, structure, &content, 977), "{structure:?}");
            assert_eq!(whole.last(), Some(&content.len()));
            assert!(whole.len() > 8, "{structure:?}: {}", whole.len());
        }
    }

    #[test]
    fn an_insertion_moves_only_the_cuts_around_it() {
        let gear = Gear::new(b"secret", Sizes { min: 1000, average: 4000, max: 16_000 });
        let content = noise(1_000_000, 2);
        let mut longer = content.clone();
        longer.splice(500_000..500_000, *b"some inserted bytes");
        let before = cuts(&gear, Structure::Unknown, &content, 65_536);
        let after = cuts(&gear, Structure::Unknown, &longer, 65_536);
        let kept = before.iter().filter(|&&cut| after.contains(&if cut > 500_000 { cut + 19 } else { cut })).count();
        assert!(before.len() - kept <= 4, "{} of {} cuts moved", before.len() - kept, before.len());
    }

    #[test]
    fn another_secret_cuts_elsewhere() {
        let sizes = Sizes { min: 1000, average: 4000, max: 16_000 };
        let content = noise(200_000, 3);
        let one = cuts(&Gear::new(b"one", sizes), Structure::Unknown, &content, 65_536);
        let two = cuts(&Gear::new(b"two", sizes), Structure::Unknown, &content, 65_536);
        assert!(one.iter().filter(|cut| two.contains(cut)).count() <= 2);
    }

    #[test]
    fn blobs_have_about_the_wanted_size() {
        let sizes = Sizes { min: 1000, average: 4000, max: 16_000 };
        let content = noise(4_000_000, 4);
        let cuts = cuts(&Gear::new(b"s", sizes), Structure::Unknown, &content, 65_536);
        let average = content.len() / cuts.len();
        assert!((2800..5600).contains(&average), "{average}");
        for pair in cuts.windows(2) {
            assert!(pair[1] - pair[0] <= 16_000);
        }
    }

    proptest! {
        #[test]
        fn blobs_join_to_the_content(content in proptest::collection::vec(any::<u8>(), 0..60_000), page: u32) {
            let gear = Gear::new(b"s", Sizes { min: 100, average: 400, max: 1600 });
            for structure in [Structure::Unknown, Structure::Rows { by_key: true }, Structure::Pages { page_size_bytes: page }] {
                let cuts = cuts(&gear, structure, &content, 4096);
                prop_assert!(cuts.is_sorted_by(|a, b| a < b));
                prop_assert_eq!(cuts.last().copied().unwrap_or(0), content.len());
            }
        }
    }
}
