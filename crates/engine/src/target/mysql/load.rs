//! Puts rows into tables, over several connections.
//!
//! A table's statements stay on one connection and in one transaction: the server then builds indexes in bulk where it can, and
//! the rows of a table without a key keep their order. While one connection builds indexes at the end of its table, the next
//! table goes over another. What was loaded is measured afterwards, never counted here.

use crate::export::Value;
use crate::export::json::{JsonReader, Table as DocumentTable};
use crate::source::mysql::address::Address;
use crate::source::mysql::literal;
use crate::source::mysql::rows::Inserts;
use crate::source::mysql::schema::{Column, Kind, Table};
use crate::source::mysql::session::{Session, quote_name};
use crate::{Error, ErrorKind, Result};
use crossbeam_channel::{Sender, bounded};
use std::io::{BufRead, BufReader, Read};
use std::thread::JoinHandle;

/// Statements that wait for a connection.
const STATEMENTS_QUEUED: usize = 4;
/// Longest statement; the server's own limit is 1 GiB.
const STATEMENT_BYTES_MAX: usize = 1 << 30;
/// Size of the INSERT statements made from JSON.
const INSERT_BYTES: usize = 256 * 1024;

/// Connections that load.
pub(super) struct Loaders {
    queues: Vec<Sender<String>>,
    threads: Vec<JoinHandle<Result<()>>>,
    next: usize,
}

impl Loaders {
    /// Connects to the database that is to be filled.
    pub fn start(address: &Address, connections: usize) -> Result<Self> {
        let mut loaders = Self { queues: Vec::new(), threads: Vec::new(), next: 0 };
        for _ in 0..connections.max(1) {
            let mut session = Session::open(address)?;
            let (queue, statements) = bounded::<String>(STATEMENTS_QUEUED);
            loaders.queues.push(queue);
            loaders.threads.push(std::thread::spawn(move || {
                statements.iter().try_for_each(|statement| session.execute(&statement))
            }));
        }
        Ok(loaders)
    }

    /// Loads one table from its file of INSERT statements.
    pub fn file(&mut self, content: &mut dyn Read) -> Result<()> {
        let at = self.begin()?;
        let mut input = BufReader::with_capacity(256 * 1024, content);
        let (mut statement, mut start) = (Vec::new(), 0);
        loop {
            let read = input
                .read_until(b'\n', &mut statement)
                .map_err(|cause| vault::error::from_io("reading rows", cause))?;
            if read == 0 {
                break;
            }
            // No literal holds a line break: a line that ends so ends its statement.
            if statement[start..].ends_with(b";\n") {
                statement.truncate(statement.len() - 2);
                let text = String::from_utf8(std::mem::take(&mut statement)).map_err(|_| damaged("it is not UTF-8"))?;
                self.send(at, text)?;
            } else if statement.len() > STATEMENT_BYTES_MAX {
                return Err(damaged("a statement has no end"));
            }
            start = statement.len();
        }
        if !statement.is_empty() {
            return Err(damaged("it ends in the middle of a statement"));
        }
        self.send(at, "COMMIT".to_owned())
    }

    /// Loads the current table of a JSON document.
    pub fn document<R: Read>(&mut self, reader: &mut JsonReader<R>, head: &DocumentTable, table: &Table) -> Result<()> {
        let columns = head.columns.iter().map(|column| {
            let known = table.columns.iter().find(|known| known.name == column.name);
            known.ok_or_else(|| damaged(&format!("table {} has no column {}", table.name, column.name)))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let names = columns.iter().map(|column| quote_name(&column.name)).collect::<Vec<_>>();
        let insert = format!("INSERT INTO {} ({}) VALUES\n", quote_name(&table.name), names.join(","));
        let at = self.begin()?;
        for statement in Inserts::preamble(table).lines() {
            self.send(at, statement.trim_end_matches(';').to_owned())?;
        }
        let (mut statement, mut row) = (Vec::new(), Vec::new());
        while reader.next_row(&mut row)? {
            statement.extend_from_slice(if statement.is_empty() { insert.as_bytes() } else { b",\n" });
            push_row(&mut statement, &columns, &row)?;
            if statement.len() >= INSERT_BYTES {
                self.send_bytes(at, &mut statement)?;
            }
        }
        if !statement.is_empty() {
            self.send_bytes(at, &mut statement)?;
        }
        self.send(at, "COMMIT".to_owned())
    }

    /// Waits until everything is in.
    pub fn finish(mut self) -> Result<()> {
        self.queues.clear();
        self.first_error().map_or(Ok(()), Err)
    }

    fn begin(&mut self) -> Result<usize> {
        let at = self.next % self.queues.len();
        self.next += 1;
        self.send(at, "START TRANSACTION".to_owned())?;
        Ok(at)
    }

    fn send_bytes(&mut self, at: usize, statement: &mut Vec<u8>) -> Result<()> {
        let text =
            String::from_utf8(std::mem::take(statement)).map_err(|_| Error::internal("an INSERT is not UTF-8"))?;
        self.send(at, text)
    }

    fn send(&mut self, at: usize, statement: String) -> Result<()> {
        if self.queues[at].send(statement).is_ok() {
            return Ok(());
        }
        self.queues.clear();
        Err(self.first_error().unwrap_or_else(|| Error::internal("a connection that loads ended without a word")))
    }

    fn first_error(&mut self) -> Option<Error> {
        let mut first = None;
        for thread in self.threads.drain(..) {
            let result = thread.join().unwrap_or_else(|_| Err(Error::internal("a thread that loads rows panicked")));
            first = first.or(result.err());
        }
        first
    }
}

fn push_row(out: &mut Vec<u8>, columns: &[&Column], row: &[Value]) -> Result<()> {
    out.push(b'(');
    for (at, (column, value)) in columns.iter().zip(row).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_value(out, column, value)?;
    }
    out.push(b')');
    Ok(())
}

fn push_value(out: &mut Vec<u8>, column: &Column, value: &Value) -> Result<()> {
    let wrong = || damaged(&format!("column {} ({}) has a value of another kind", column.name, column.declared));
    match value {
        Value::Null => literal::push(out, column.kind, None),
        Value::Integer(n) if column.kind == Kind::Float => {
            literal::push(out, Kind::Float, Some(n.to_string().as_bytes()));
        }
        Value::Integer(n) => literal::push(out, Kind::Number, Some(n.to_string().as_bytes())),
        Value::Unsigned(n) => literal::push(out, Kind::Number, Some(n.to_string().as_bytes())),
        Value::Real(x) if x.is_finite() => literal::push(out, Kind::Float, Some(format!("{x:?}").as_bytes())),
        Value::Decimal(digits) if is_number(digits) => literal::push(out, Kind::Number, Some(digits.as_bytes())),
        Value::Text(text) if !matches!(column.kind, Kind::Number | Kind::Float) => {
            literal::push(out, column.kind, Some(text.as_bytes()));
        }
        Value::RawText(bytes) | Value::Blob(bytes) => literal::push(out, Kind::Bytes, Some(bytes)),
        Value::Bool(_) | Value::Real(_) | Value::Decimal(_) | Value::Text(_) => return Err(wrong()),
    }
    Ok(())
}

fn is_number(digits: &str) -> bool {
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'))
}

fn damaged(why: &str) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("the rows of a table in the backup cannot be read: {why}"),
        "Use another copy or an older backup.",
    )
}
