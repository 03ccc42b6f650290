//! Index files: which blobs lie where in which packs.

use super::malformed;
use super::pack::{BlobKind, PackedBlob};
use super::scan::Scanner;
use crate::error::{Error, Result};
use crate::repository::id::Id;
use serde::{Deserialize, Serialize};

/// No index file is larger; restic keeps its own below 8 MiB.
pub const SIZE_BYTES_MAX: u64 = 128 << 20;
/// Blobs in one index file. restic has up to 50,000; in smaller files, one can be parsed while another is taken in, and less
/// is in memory for that.
pub const BLOBS_PER_FILE: usize = 16_384;

#[derive(Serialize, Deserialize)]
struct IndexDocument {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    supersedes: Vec<Id>,
    packs: Vec<PackDocument>,
}

#[derive(Serialize, Deserialize, PartialEq)]
pub(crate) struct PackDocument {
    id: Id,
    blobs: Vec<BlobDocument>,
}

#[derive(Serialize, Deserialize, PartialEq)]
struct BlobDocument {
    id: Id,
    #[serde(rename = "type")]
    kind: BlobKind,
    offset: u32,
    length: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uncompressed_length: Option<u32>,
}

/// A pack and what it holds.
pub type PackContent = (Id, Vec<PackedBlob>);

/// The JSON for these packs.
pub fn encode(packs: &[PackContent]) -> Result<Vec<u8>> {
    let packs = packs.iter().map(|(id, blobs)| PackDocument {
        id: *id,
        blobs: blobs
            .iter()
            .map(|blob| BlobDocument {
                id: blob.id,
                kind: blob.kind,
                offset: blob.offset,
                length: blob.length,
                uncompressed_length: blob.uncompressed_length,
            })
            .collect(),
    });
    let document = IndexDocument { supersedes: Vec::new(), packs: packs.collect() };
    serde_json::to_vec(&document).map_err(|cause| Error::internal(cause.to_string()))
}

/// The packs, in whatever form JSON allows.
pub(crate) fn decode_any(json: &[u8]) -> Result<Vec<PackDocument>> {
    let document: IndexDocument = serde_json::from_slice(json).map_err(|cause| malformed("an index file", cause))?;
    Ok(document.packs)
}

/// The packs, where they stand as they are [usually](super::scan) written.
pub(crate) fn decode_usual(json: &[u8]) -> Option<Vec<PackDocument>> {
    let mut scanner = Scanner::new(json);
    let mut packs = Vec::new();
    scanner.expect(b"{\"packs\":[")?;
    while !scanner.skip(b"]}") {
        if !packs.is_empty() {
            scanner.expect(b",")?;
        }
        scanner.expect(b"{\"id\":\"")?;
        let id = scanner.id()?;
        let mut blobs = Vec::new();
        scanner.expect(b",\"blobs\":[")?;
        while !scanner.skip(b"]}") {
            if !blobs.is_empty() {
                scanner.expect(b",")?;
            }
            blobs.push(scan_blob(&mut scanner)?);
        }
        packs.push(PackDocument { id, blobs });
    }
    scanner.end()?;
    Some(packs)
}

fn scan_blob(scanner: &mut Scanner<'_>) -> Option<BlobDocument> {
    scanner.expect(b"{\"id\":\"")?;
    let id = scanner.id()?;
    scanner.expect(b",\"type\":\"")?;
    let kind = if scanner.skip(b"data\"") {
        BlobKind::Data
    } else {
        scanner.expect(b"tree\"")?;
        BlobKind::Tree
    };
    scanner.expect(b",\"offset\":")?;
    let offset = scanner.number_u32()?;
    scanner.expect(b",\"length\":")?;
    let length = scanner.number_u32()?;
    let uncompressed_length =
        if scanner.skip(b",\"uncompressed_length\":") { Some(scanner.number_u32()?) } else { None };
    scanner.expect(b"}")?;
    Some(BlobDocument { id, kind, offset, length, uncompressed_length })
}

/// The packs of an index file.
pub fn decode(json: &[u8]) -> Result<Vec<PackContent>> {
    let packs = match decode_usual(json) {
        Some(packs) => packs,
        None => decode_any(json)?,
    };
    let blobs = |blobs: Vec<BlobDocument>| {
        blobs
            .into_iter()
            .map(|blob| {
                if blob.length < crate::repository::crypto::OVERHEAD_BYTES as u32
                    || blob.offset.checked_add(blob.length).is_none()
                {
                    return Err(malformed("an index file", format!("blob {} cannot lie where it says", blob.id)));
                }
                Ok(PackedBlob {
                    id: blob.id,
                    kind: blob.kind,
                    offset: blob.offset,
                    length: blob.length,
                    // restic writes nothing for uncompressed blobs, others may write 0.
                    uncompressed_length: blob.uncompressed_length.filter(|&length| length != 0),
                })
            })
            .collect::<Result<Vec<_>>>()
    };
    packs.into_iter().map(|pack| Ok((pack.id, blobs(pack.blobs)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restics_documented_example_is_read_and_written_back_alike() {
        let json = br#"{"supersedes":["ed54ae36197f4745ebc4b54d10e0f623eaaaedd03013eb7ae90df881b7781452"],"packs":[{"id":"73d04e6125cf3c28a299cc2f3cca3b78ceac396e4fcf9575e34536b26782413c","blobs":[{"id":"3ec79977ef0cf5de7b08cd12b874cd0f62bbaf7f07f3497a5b1bbcc8cb39b1ce","type":"data","offset":0,"length":38},{"id":"9ccb846e60d90d4eb915848add7aa7ea1e4bbabfc60e573db9f7bfb2789afbae","type":"tree","offset":38,"length":112,"uncompressed_length":511}]}]}"#;
        let packs = decode(json).unwrap();
        assert_eq!(packs[0].1[1].plain_bytes(), 511);
        assert_eq!(packs[0].1[0].plain_bytes(), 6);
        let again = String::from_utf8(encode(&packs).unwrap()).unwrap();
        assert!(std::str::from_utf8(json).unwrap().ends_with(&again[1..]));
    }

    #[test]
    fn what_we_write_is_read_the_quick_way() {
        let blob = |kind, uncompressed_length| PackedBlob {
            id: Id([9; 32]),
            kind,
            offset: 4_294_967_000,
            length: 40,
            uncompressed_length,
        };
        let packs =
            [(Id([1; 32]), vec![blob(BlobKind::Data, Some(7)), blob(BlobKind::Tree, None)]), (Id([2; 32]), vec![])];
        for packs in [&packs[..], &packs[..1], &[]] {
            let json = encode(packs).unwrap();
            assert!(decode_usual(&json).is_some());
            assert_eq!(decode(&json).unwrap(), packs);
        }
        for odd in [&br#"{"packs":[],"x":1}"#[..], br#"{"packs":[]}{"#, br#"{ "packs":[]}"#] {
            assert!(decode_usual(odd).is_none());
        }
    }

    #[test]
    fn impossible_places_are_refused() {
        let json = |offset: u64, length: u64| {
            let id = "0".repeat(64);
            format!(
                r#"{{"packs":[{{"id":"{id}","blobs":[{{"id":"{id}","type":"data","offset":{offset},"length":{length}}}]}}]}}"#
            )
        };
        assert!(decode(json(0, 40).as_bytes()).is_ok());
        for (offset, length) in [(0, 31), (4_294_967_295, 40), (5_000_000_000, 40)] {
            assert!(decode(json(offset, length).as_bytes()).is_err());
        }
    }
}
