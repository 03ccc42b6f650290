//! Writes a database file as it comes, and hashes it as it then lies there: a second thread reads back what has been written,
//! a few pieces behind. Afterwards nobody waits for a whole file to be read once more.

use crate::hash::HashKey;
use crate::source::sqlite::image::Image;
use crate::{Error, Result};
use crossbeam_channel::{Receiver, bounded};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use vault::store::DurableFile;

const PIECE_BYTES: usize = 256 * 1024;

/// Pieces that may wait to be read back.
const PIECES_BEHIND: usize = 16;

/// Writes `content` to the empty file at `path` and returns what it came to.
pub fn receive(content: impl Read, path: &Path, hash_key: HashKey) -> Result<Image> {
    let writing = |cause| vault::error::from_io(format!("writing {}", path.display()), cause);
    let file = File::options().write(true).open(path).map_err(writing)?;
    let read_back = File::open(path).map_err(writing)?;
    let (tell, told) = bounded(PIECES_BEHIND);
    let behind = Behind { file: read_back, told, written_bytes: 0, read_bytes: 0 };
    std::thread::scope(|scope| {
        let hashing = scope.spawn(|| Image::of(behind, hash_key));
        let written = write(content, file, |bytes| {
            // Whoever reads back and fails says so below.
            let _ = tell.send(bytes);
        });
        drop(tell);
        let image = hashing.join().unwrap_or_else(|_| Err(io::Error::other("reading back ended abruptly")));
        written.map_err(writing)?;
        image.map_err(|cause| Error::io(format_args!("reading back {}", path.display()), cause))
    })
}

/// Tells after each piece how many bytes there are by then.
fn write(mut content: impl Read, file: File, tell: impl Fn(u64)) -> io::Result<()> {
    let mut file = DurableFile::new(file);
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    loop {
        piece.clear();
        content.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            return Ok(());
        }
        file.write_all(&piece)?;
        tell(file.written_bytes());
    }
}

/// A file, as far as it has been written.
struct Behind {
    file: File,
    told: Receiver<u64>,
    written_bytes: u64,
    read_bytes: u64,
}

impl Read for Behind {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read_bytes == self.written_bytes {
            let Ok(written_bytes) = self.told.recv() else { return Ok(0) };
            self.written_bytes = written_bytes;
        }
        let read = (&self.file).take(self.written_bytes - self.read_bytes).read(buffer)?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than what was written"));
        }
        self.read_bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::DatabaseFigures;

    #[test]
    fn what_lies_there_is_hashed_whatever_the_pieces_it_came_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 20 * PIECE_BYTES + 7] {
            let content: Vec<u8> = (0..length).map(|n| (n * 31 % 251) as u8).collect();
            File::create(&path).unwrap();
            let (head, rest) = content.split_at(length.min(16));
            let image = receive(head.chain(rest), &path, HashKey::default()).unwrap();
            assert!(std::fs::read(&path).unwrap() == content);
            let seal = |image: Image| image.seal(&DatabaseFigures::default()).unwrap();
            assert_eq!(seal(image), seal(Image::of(&*content, HashKey::default()).unwrap()), "{length}");
        }
    }

    #[test]
    fn a_backup_that_breaks_off_is_told_as_that() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the archive is damaged"))
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        File::create(&path).unwrap();
        let error = receive([7; 100].chain(Broken), &path, HashKey::default()).map(|_| ()).unwrap_err();
        assert!(crate::chain(&error).contains("the archive is damaged"), "{error}");
    }
}
