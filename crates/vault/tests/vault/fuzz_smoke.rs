//! The fuzz targets' bodies (`fuzz/src`) on mutated golden files: seconds of what cargo-fuzz does for hours. The seed is
//! printed; STRONGROOM_FUZZ_SEED repeats a run, STRONGROOM_FUZZ_CASES makes it longer.

#[path = "../../../../fuzz/src/lib.rs"]
mod bodies;

use bodies::archive as body;
use std::path::Path;

/// A small generator (splitmix64): the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// A few changes: bytes, bits, cuts, repetitions, interesting numbers.
fn mutated(sample: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            2 => bytes.truncate(at),
            3 => {
                let end = at + random.below(bytes.len() - at).min(600);
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 => drop(bytes.drain(at..at + random.below(bytes.len() - at).min(600))),
            5 => {
                let number = [0, u32::MAX, 1 << 31, 0x7fff_ffff, 512][random.below(5)].to_le_bytes();
                let end = bytes.len().min(at + 4);
                bytes.splice(at..end, number);
            }
            _ => bytes.splice(at..at, *b"../").for_each(drop),
        }
    }
    bytes
}

/// A tar header whose checksum is made right again, or most mutations would end there.
fn with_right_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    for block in bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}

fn fuzz(name: &str, samples: &[&str], cases: usize, mut body: impl FnMut(Vec<u8>)) {
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = setting("STRONGROOM_FUZZ_SEED").unwrap_or(20_261_122);
    let cases = setting("STRONGROOM_FUZZ_CASES").map_or(cases, |cases| cases as usize);
    println!("{name}: seed {seed}, {cases} cases");
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/archives/v1"));
    let samples: Vec<Vec<u8>> = samples.iter().map(|sample| std::fs::read(folder.join(sample)).unwrap()).collect();
    let mut random = Random(seed);
    body(Vec::new());
    samples.iter().for_each(|sample| body(sample.clone()));
    for _ in 0..cases {
        let sample = random.below(samples.len());
        body(mutated(&samples[sample], &mut random));
    }
}

#[test]
fn no_bytes_upset_the_envelope() {
    fuzz("envelope", &["tree.tar.gz.enc", "document.enc"], 2000, |bytes| body::envelope(&bytes));
}

#[test]
fn no_bytes_upset_the_tar_reader() {
    fuzz("tar", &["tree.tar"], 20_000, |bytes| body::tar(&with_right_checksums(bytes)));
}

#[test]
fn no_bytes_upset_the_json_scanner() {
    fuzz("json", &["plain.manifest.json", "sealed.manifest.json"], 10_000, |bytes| body::json(&bytes));
}

#[test]
fn no_bytes_upset_decompression() {
    fuzz("gzip", &["tree.tar.gz", "document.json.gz"], 2000, |bytes| body::gzip(&bytes));
    fuzz("zstd", &["tree.tar.zst"], 2000, |bytes| body::zstd(&bytes));
}

#[test]
fn no_bytes_upset_the_sidecar_reader() {
    fuzz("sidecar", &["plain.manifest.json", "sealed.manifest.json"], 5000, |bytes| body::sidecar(&bytes));
}

#[test]
fn no_bytes_upset_opening() {
    let samples = ["tree.tar", "tree.tar.gz", "tree.tar.zst", "tree.tar.gz.enc", "document.json.gz", "document.enc"];
    fuzz("open", &samples, 2000, |bytes| body::open(&with_right_checksums(bytes)));
}

#[test]
fn no_bytes_upset_the_repositorys_parsers() {
    use bodies::repository as body;
    let parsers = [
        body::config,
        body::document,
        body::index,
        body::key,
        body::lock,
        body::name,
        body::pack_header,
        body::snapshot,
        body::tree,
    ];
    for parser in parsers {
        fuzz("repository", &["plain.manifest.json", "sealed.manifest.json"], 500, |bytes| parser(&bytes));
    }
}
