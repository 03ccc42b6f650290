//! Which parts of a piece can be compressed at all, told from samples. Archives ask for parts, repositories for whole blobs.
//!
//! Images, video and archives are half of the bytes of many applications, and as slow to compress in vain as anything. They
//! give themselves away: every byte value is about as frequent as any other.

use std::ops::Range;

/// What one sample decides about.
const SEGMENT_BYTES: usize = 16 * 1024;
const SAMPLE_BYTES: usize = 2 * 1024;
/// Runs of incompressible segments shorter than this stay with their neighbours: each cut costs a new beginning.
const STORED_BYTES_MIN: usize = 128 * 1024;

/// A part of a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) bytes: Range<usize>,
    /// Worth compressing.
    pub(super) compressible: bool,
}

/// Cuts a piece into parts that are worth compressing and parts that are not, in turn. Depends on the content alone.
pub(super) fn runs(content: &[u8]) -> Vec<Run> {
    let segments = content.chunks(SEGMENT_BYTES).scan(0, |start, segment| {
        let bytes = *start..*start + segment.len();
        *start = bytes.end;
        Some(Run { bytes, compressible: is_compressible(segment) })
    });
    let runs = segments.fold(Vec::new(), joined).into_iter();
    runs.map(|run| Run { compressible: run.compressible || run.bytes.len() < STORED_BYTES_MIN, ..run })
        .fold(Vec::new(), joined)
}

/// Whether any part of a content is worth compressing.
pub(crate) fn is_any_compressible(content: &[u8]) -> bool {
    let mut segments = content.chunks(SEGMENT_BYTES);
    // What is too short to tell counts as worth it, but not when it is the end of something longer.
    segments.next().is_some_and(is_compressible)
        || segments.any(|segment| segment.len() >= SAMPLE_BYTES && is_compressible(segment))
}

fn joined(mut runs: Vec<Run>, run: Run) -> Vec<Run> {
    match runs.last_mut() {
        Some(last) if last.compressible == run.compressible => last.bytes.end = run.bytes.end,
        _ => runs.push(run),
    }
    runs
}

/// Whether the bytes in the middle of a segment are distributed unevenly. What is too short to tell is taken to be.
fn is_compressible(segment: &[u8]) -> bool {
    let start = segment.len().saturating_sub(SAMPLE_BYTES) / 2;
    let Some(sample) = segment.get(start..start + SAMPLE_BYTES) else { return true };
    let random = |bytes: usize| (bytes + bytes * (bytes - 1) / 256) as u64;
    // Twice what random bytes have on average is thirty deviations above it: most of what is worth it shows so at once.
    let (first, _) = sample.split_at(SAMPLE_BYTES / 4);
    if squares(first) > random(first.len()) * 2 {
        return true;
    }
    // A quarter more: the deviation is about a hundredth.
    squares(sample) > random(SAMPLE_BYTES) / 4 * 5
}

/// The sum of the squares of how often each byte value occurs.
fn squares(sample: &[u8]) -> u64 {
    // Two histograms: equal bytes in a row need not wait for each other.
    let mut counts = [[0_u16; 256]; 2];
    for pair in sample.chunks_exact(2) {
        counts[0][usize::from(pair[0])] += 1;
        counts[1][usize::from(pair[1])] += 1;
    }
    (0..256).map(|value| u64::from(counts[0][value] + counts[1][value]).pow(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(bytes: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(bytes).collect()
    }

    #[test]
    fn random_bytes_are_not_worth_it_and_a_text_among_them_is() {
        let mut content = random(1 << 20);
        assert_eq!(runs(&content), [Run { bytes: 0..1 << 20, compressible: false }]);
        content[256 << 10..300 << 10].fill(b'a');
        let found: Vec<_> = runs(&content).into_iter().map(|run| (run.bytes, run.compressible)).collect();
        assert_eq!(found, [(0..256 << 10, false), (256 << 10..304 << 10, true), (304 << 10..1 << 20, false)]);
    }

    #[test]
    fn a_content_is_worth_compressing_when_any_part_of_it_is() {
        let mut content = random((1 << 20) + 100);
        assert!(!is_any_compressible(&content));
        content[900 << 10..916 << 10].fill(b'a');
        assert!(is_any_compressible(&content));
        assert!(is_any_compressible(&content[..100]));
        let base64: Vec<u8> = random(100_000).iter().map(|byte| b'A' + byte % 64).collect();
        assert!(is_any_compressible(&base64));
    }

    #[test]
    fn runs_cover_everything_once_and_little_random_stays_with_its_neighbours() {
        let mut content = vec![b'a'; 500_001];
        content[200_000..264_000].copy_from_slice(&random(64_000));
        assert_eq!(runs(&content), [Run { bytes: 0..500_001, compressible: true }]);
        assert_eq!(runs(&content[..100]), [Run { bytes: 0..100, compressible: true }]);
        assert_eq!(runs(&[]), []);
    }
}
