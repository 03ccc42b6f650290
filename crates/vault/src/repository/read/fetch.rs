//! Fetching a batch's blobs: neighbours in a pack are read at once.

use super::plan::{Batch, Event};
use crate::error::{Error, Result};
use crate::repository::blobs::{self, Expander, open_into};
use crate::repository::files::Files;
use crate::repository::format::FileKind;
use crate::repository::format::pack::BlobKind;
use crate::repository::index::{Index, Location};
use std::ops::Range;

/// Blobs this near to each other are read at once, with what lies between.
const GAP_BYTES_MAX: u32 = 32 << 10;
/// No read is longer, unless a single blob is.
const READ_BYTES_MAX: u32 = 4 << 20;

/// A batch with its content.
#[derive(Default)]
pub struct Filled {
    /// What to tell the visitor, in order.
    pub events: std::vec::IntoIter<Event>,
    /// All content.
    pub bytes: Vec<u8>,
    blobs: Vec<Option<Result<Range<usize>>>>,
}

impl Filled {
    /// Where a blob's content lies. Each can be asked for once.
    pub fn take_blob(&mut self, slot: usize) -> Result<Range<usize>> {
        self.blobs
            .get_mut(slot)
            .and_then(Option::take)
            .unwrap_or_else(|| Err(Error::internal("a blob was not fetched")))
    }
}

/// Fetches, opens and checks everything that a batch wants.
pub fn fetch_batch(files: &Files, index: &Index, expander: &mut Expander, batch: Batch) -> Filled {
    let mut filled = Filled {
        events: batch.events.into_iter(),
        bytes: Vec::with_capacity(batch.wanted.iter().map(|wanted| wanted.blob.plain_bytes() as usize).sum()),
        blobs: Vec::new(),
    };
    filled.blobs.resize_with(batch.wanted.len(), || None);
    let mut order: Vec<usize> = (0..batch.wanted.len()).collect();
    order.sort_unstable_by_key(|&slot| (batch.wanted[slot].pack, batch.wanted[slot].blob.offset));
    let mut rest = order.as_slice();
    while let Some(count) = neighbours(&batch.wanted, rest) {
        let (run, later) = rest.split_at(count);
        rest = later;
        fetch_run(files, index, expander, &batch.wanted, run, &mut filled);
    }
    filled
}

/// How many of the slots, from the first on, one read brings.
fn neighbours(wanted: &[Location], slots: &[usize]) -> Option<usize> {
    let first = wanted[*slots.first()?];
    let mut end = first.blob.offset + first.blob.length;
    let near = |slot: &&usize| {
        let next = wanted[**slot];
        let near = next.pack == first.pack
            && next.blob.offset <= end.saturating_add(GAP_BYTES_MAX)
            && next.blob.offset + next.blob.length - first.blob.offset <= READ_BYTES_MAX;
        end = end.max(next.blob.offset + next.blob.length);
        near
    };
    Some(1 + slots[1..].iter().take_while(near).count())
}

fn fetch_run(
    files: &Files,
    index: &Index,
    expander: &mut Expander,
    wanted: &[Location],
    run: &[usize],
    filled: &mut Filled,
) {
    let start = wanted[run[0]].blob.offset;
    let end = run.iter().map(|&slot| wanted[slot].blob.offset + wanted[slot].blob.length).max().unwrap_or(start);
    let name = FileKind::Pack.object_name(index.pack_id(wanted[run[0]].pack));
    let mut sealed = files.store.read_range(&name, u64::from(start), (end - start) as usize);
    let mut previous: Option<usize> = None;
    let mut opened_to = start;
    for &slot in run {
        let blob = &wanted[slot].blob;
        // The same blob twice in a batch: opening decrypts in place, so the second time there is only the first's result.
        if let Some(same) = previous.filter(|&same| wanted[same] == wanted[slot])
            && let Some(Some(Ok(range))) = filled.blobs.get(same)
        {
            filled.blobs[slot] = Some(Ok(range.clone()));
            continue;
        }
        previous = Some(slot);
        let from = filled.bytes.len();
        // Opening decrypts in place. Blobs in a damaged index may overlap; each must be judged by its own bytes.
        let opened = blob.offset >= opened_to
            && sealed.as_mut().is_ok_and(|sealed| {
                let at = (blob.offset - start) as usize;
                let sealed = &mut sealed[at..at + blob.length as usize];
                open_into(&files.key, expander, blob, sealed, &mut filled.bytes).is_ok()
            });
        opened_to = opened_to.max(blob.offset + blob.length);
        let result = if opened {
            Ok(from..filled.bytes.len())
        } else {
            // Another copy may be intact; if not, this says what is wrong.
            blobs::load(files, index, blob.id, BlobKind::Data).map(|plain| {
                filled.bytes.extend_from_slice(&plain);
                from..filled.bytes.len()
            })
        };
        filled.blobs[slot] = Some(result);
    }
}
