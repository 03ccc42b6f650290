//! Rows on their way into a table, as `COPY` text in pieces of whole lines.

use crate::source::postgres::client::Client;
use crate::source::postgres::layout::Table;
use crate::source::postgres::own_path::OwnPath;
use crate::source::postgres::sql::identifier;
use crate::{Error, Result};
use bytes::Bytes;
use std::io::Read;

const PIECE_BYTES: usize = 1024 * 1024;

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

/// The first piece is a `COPY` of its own: if it fails, nothing was taken from `more`, and all of it can be tried again. The
/// inner result is of the rest, which cannot.
pub fn copy_pieces(
    client: &mut Client,
    what: &str,
    statement: &str,
    first: &Bytes,
    mut more: impl FnMut() -> Result<Option<Bytes>>,
) -> Result<Result<()>> {
    let mut alone = Some(first.clone());
    client.copy_in(what, statement, || Ok(alone.take()))?;
    Ok(more().and_then(|second| {
        let Some(second) = second else { return Ok(()) };
        let mut second = Some(second);
        client.copy_in(what, statement, || second.take().map_or_else(&mut more, |piece| Ok(Some(piece))))
    }))
}

/// All of a table's rows, on a connection that is within a transaction.
pub fn fill(
    client: &mut Client,
    own_path: &OwnPath,
    (what, table, statement): (&str, &Table, &str),
    content: &mut dyn Read,
) -> Result<()> {
    let mut rest = Vec::new();
    let mut next = || next_piece(what, content, &mut rest).map(|piece| (!piece.is_empty()).then_some(piece));
    let Some(first) = next()? else { return Ok(()) };
    let schema = identifier(&table.schema);
    own_path.attempt(client, Some(&schema), |client| copy_pieces(client, what, statement, &first, &mut next))
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
