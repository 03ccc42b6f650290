//! Rows on their way into a table, as `COPY` text in pieces of whole lines, each sent [as the server reads it faster](Encoder)
//! where that is possible.

use super::copy_binary::{Encoder, HEADER, TRAILER};
use crate::source::postgres::client::Client;
use crate::source::postgres::layout::Table;
use crate::source::postgres::own_path::OwnPath;
use crate::source::postgres::rows::Taking;
use crate::source::postgres::sql::identifier;
use crate::{Error, Result};
use bytes::Bytes;
use std::io::Read;

const PIECE_BYTES: usize = 1024 * 1024;
/// A row of this size goes as it is: it would be in memory twice.
const ENCODED_BYTES_MAX: usize = 4 * PIECE_BYTES;

/// About a mebibyte of whole lines; what is left of the last line waits in `rest`. Empty at the end.
pub fn next_piece(what: &str, content: &mut dyn Read, rest: &mut Vec<u8>) -> Result<Bytes> {
    let failed = |error| -> Error { vault::error::from_io(what, error) };
    let mut piece = std::mem::take(rest);
    loop {
        // A line may be longer than many pieces: what was searched is not searched again.
        let searched = piece.len();
        let wanted = if searched < PIECE_BYTES { PIECE_BYTES - searched } else { PIECE_BYTES };
        let read = content.take(wanted as u64).read_to_end(&mut piece).map_err(failed)?;
        if read < wanted {
            return Ok(piece.into());
        }
        if let Some(end) = piece[searched..].iter().rposition(|&byte| byte == b'\n') {
            *rest = piece.split_off(searched + end + 1);
            return Ok(piece.into());
        }
    }
}

/// A table that rows go to.
pub struct Destination<'a> {
    /// What is going on, for errors.
    pub what: &'a str,
    /// The table.
    pub table: &'a Table,
    /// How it takes them.
    pub taking: Taking,
    /// `None`: as text.
    pub encoder: Option<&'a Encoder>,
}

/// Rows in one of the two formats.
struct Piece {
    rows: Bytes,
    binary: bool,
}

impl Destination<'_> {
    fn piece(&self, text: Bytes) -> Piece {
        // Of a SQL_ASCII database: bytes that are no text in the session's encoding are only taken in the other format.
        let encoder = self.encoder.filter(|_| !self.taking.raw_bytes && text.len() <= ENCODED_BYTES_MAX);
        match encoder.and_then(|encoder| encoder.encode(&text)) {
            Some(rows) => Piece { rows: rows.into(), binary: true },
            None => Piece { rows: text, binary: false },
        }
    }

    /// The first piece is a `COPY` of its own: if it fails, nothing was taken from `more`, and all of it can be tried again.
    /// The inner result is of the rest, which cannot.
    pub fn copy(
        &self,
        client: &mut Client,
        first: &Bytes,
        mut more: impl FnMut() -> Result<Option<Bytes>>,
    ) -> Result<Result<()>> {
        self.copy_alike(client, self.piece(first.clone()), &mut || Ok(None))?;
        Ok(self.copy_rest(client, &mut more))
    }

    fn copy_rest(&self, client: &mut Client, more: &mut impl FnMut() -> Result<Option<Bytes>>) -> Result<()> {
        let mut next = more()?.map(|text| self.piece(text));
        while let Some(piece) = next {
            next = self.copy_alike(client, piece, more)?;
        }
        Ok(())
    }

    /// One `COPY` for all pieces up to the first one in the other format, which is given back.
    fn copy_alike(
        &self,
        client: &mut Client,
        first: Piece,
        more: &mut impl FnMut() -> Result<Option<Bytes>>,
    ) -> Result<Option<Piece>> {
        let binary = first.binary;
        let mut header = binary.then(|| Bytes::from_static(HEADER));
        let mut trailer = binary.then(|| Bytes::from_static(TRAILER));
        let (mut first, mut other, mut ended) = (Some(first.rows), None, false);
        let statement = Taking { binary, ..self.taking }.copy_statement(self.table);
        client.copy_in(self.what, &statement, || {
            if let Some(rows) = header.take().or_else(|| first.take()) {
                return Ok(Some(rows));
            }
            if !ended {
                match more()?.map(|text| self.piece(text)) {
                    Some(piece) if piece.binary == binary => return Ok(Some(piece.rows)),
                    piece => other = piece,
                }
                ended = true;
            }
            Ok(trailer.take())
        })?;
        Ok(other)
    }

    /// All of a table's rows, on a connection that is within a transaction. `schema` is where functions of the table's find
    /// others.
    pub fn fill(&self, client: &mut Client, own_path: &OwnPath, schema: &str, content: &mut dyn Read) -> Result<()> {
        let mut rest = Vec::new();
        let mut next = || next_piece(self.what, content, &mut rest).map(|piece| (!piece.is_empty()).then_some(piece));
        let Some(first) = next()? else { return Ok(()) };
        own_path.attempt(client, Some(&identifier(schema)), |client| self.copy(client, &first, &mut next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_whole_lines_and_nothing_is_lost() {
        let long = "x".repeat(PIECE_BYTES + 5);
        let text: String =
            (0..300_000).map(|n| format!("{n}\tvalue\n")).chain([long, "\n".into(), "end\n".into()]).collect();
        let (mut content, mut rest, mut joined) = (text.as_bytes(), Vec::new(), Vec::new());
        loop {
            let piece = next_piece("", &mut content, &mut rest).unwrap();
            if piece.is_empty() {
                break;
            }
            assert_eq!(piece.last(), Some(&b'\n'));
            joined.extend(piece);
        }
        assert!(joined == text.as_bytes());
    }
}
