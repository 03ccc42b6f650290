//! Turns what a thread writes into what another one reads, through a bounded channel.

use crossbeam_channel::{Receiver, Sender, bounded};
use std::io::{self, Read, Write};

/// The end that is written to. Each write is one message: hand over large pieces.
pub struct PipeWriter(Sender<Vec<u8>>);

/// The end that is read from. It ends when the writer is dropped.
pub struct PipeReader {
    receiver: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

/// A pipe that holds so many pieces.
pub fn pipe(pieces: usize) -> (PipeWriter, PipeReader) {
    let (sender, receiver) = bounded(pieces);
    (PipeWriter(sender), PipeReader { receiver, piece: Vec::new(), at: 0 })
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            self.0.send(bytes.to_vec()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            match self.receiver.recv() {
                Ok(piece) => (self.piece, self.at) = (piece, 0),
                Err(_) => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len() - self.at);
        buffer[..length].copy_from_slice(&self.piece[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}
