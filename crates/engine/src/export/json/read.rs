//! Reads the document back, as a stream.
//!
//! Whatever the bytes are, reading ends with a document or with an error that names an offset; memory holds the schema
//! and one row. Unknown members are passed over, among them the manifest that an archive writer appends, so that later
//! versions may add some; the members that are known must be in place: `tables` after the others, `rows` after
//! `columns`. Values in a row may come in any order, but each exactly once.

use super::lexer::{Lexer, Number};
use super::{FORMAT, Header, SchemaObject, Settings, Table, TableName, VERSION};
use crate::export::Value;
use crate::{Error, ErrorKind, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::{HashMap, HashSet};
use std::io::Read;

/// Longest name of anything.
const NAME_BYTES_MAX: usize = 1 << 20;

/// Longest definition: the whole schema, or the head of one table.
const DEFINITION_BYTES_MAX: usize = 256 << 20;

/// Longest row, in bytes of JSON strings: the engines' limit is about 1 GiB for a value, a third more in base64.
const ROW_BYTES_MAX: usize = 3 << 30;

/// Reads one document.
///
/// ```
/// # use engine::export::json::JsonReader;
/// # fn show(bytes: &[u8]) -> engine::Result<()> {
/// let mut reader = JsonReader::new(bytes)?;
/// let mut row = Vec::new();
/// while let Some(table) = reader.next_table()? {
///     while reader.next_row(&mut row)? {
///         assert_eq!(row.len(), table.columns.len());
///     }
/// }
/// reader.finish()
/// # }
/// ```
pub struct JsonReader<R> {
    lexer: Lexer<R>,
    header: Header,
    schema: Vec<SchemaObject>,
    settings: Settings,
    place: Place,
    /// No member or element has been read yet, at each level.
    first_member: bool,
    first_table: bool,
    first_in_table: bool,
    first_row: bool,
    seen_tables: HashSet<String>,
    columns: Vec<Vec<u8>>,
    column_at: HashMap<Vec<u8>, usize>,
    key: Vec<u8>,
    given: Vec<bool>,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Tables,
    Rows,
    AfterRows,
    AfterTables,
}

impl<R: Read> JsonReader<R> {
    /// Reads up to the first table. What is JSON but no document of ours is
    /// [`NotABackup`](ErrorKind::NotABackup); a higher version is [`Unsupported`](ErrorKind::Unsupported).
    pub fn new(input: R) -> Result<Self> {
        let mut lexer = Lexer::new(input);
        let (mut header, mut schema, mut settings) = (None, Vec::new(), Settings::new());
        let (mut first_member, mut key) = (true, Vec::new());
        lexer.expect(b'{').map_err(not_ours)?;
        loop {
            if !lexer.step_member(&mut first_member, &mut key, NAME_BYTES_MAX)? {
                return Err(not_a_document());
            }
            match key.as_slice() {
                b"strongroom" => header = Some(read_header(&mut lexer)?),
                b"schema" => schema = read_schema(&mut lexer)?,
                b"settings" => settings = parse(&mut lexer)?,
                b"tables" => break,
                _ => lexer.any_value(None, 0)?,
            }
        }
        lexer.expect(b'{')?;
        Ok(Self {
            lexer,
            header: header.ok_or_else(not_a_document)?,
            schema,
            settings,
            place: Place::Tables,
            first_member: false,
            first_table: true,
            first_in_table: true,
            first_row: true,
            seen_tables: HashSet::new(),
            columns: Vec::new(),
            column_at: HashMap::new(),
            key: Vec::new(),
            given: Vec::new(),
        })
    }

    /// What the document says about itself.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The schema, in the order in which it was written.
    pub fn schema(&self) -> &[SchemaObject] {
        &self.schema
    }

    /// Facts about the database as a whole.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Steps to the next table, passing over rows of the current one that were not read. `None` after the last.
    pub fn next_table(&mut self) -> Result<Option<Table>> {
        self.leave_table()?;
        if self.place == Place::AfterTables {
            return Ok(None);
        }
        let mut key = std::mem::take(&mut self.key);
        if !self.lexer.step_member(&mut self.first_table, &mut key, NAME_BYTES_MAX)? {
            self.place = Place::AfterTables;
            return Ok(None);
        }
        let key = self.utf8(key)?;
        let name = TableName::from_key(&key)?;
        if !self.seen_tables.insert(key) {
            return Err(self.lexer.damaged(format_args!("table {name} stands there twice")));
        }
        self.read_table_head(name).map(Some)
    }

    /// Reads the current table's next row into `row`, in the order of its columns; `false` after the last.
    pub fn next_row(&mut self, row: &mut Vec<Value>) -> Result<bool> {
        if self.place != Place::Rows {
            return Ok(false);
        }
        if !self.lexer.step(&mut self.first_row, b']')? {
            self.place = Place::AfterRows;
            return Ok(false);
        }
        row.clear();
        row.resize(self.columns.len(), Value::Null);
        self.lexer.expect(b'{')?;
        let (mut first, mut count, mut in_order, mut bytes_left) = (true, 0, true, ROW_BYTES_MAX);
        while self.lexer.step_member(&mut first, &mut self.key, NAME_BYTES_MAX)? {
            let at = self.locate(count, &mut in_order)?;
            row[at] = self.value(&mut bytes_left)?;
            count += 1;
        }
        if count != self.columns.len() {
            return Err(self.lexer.damaged("a row lacks a column"));
        }
        Ok(true)
    }

    /// Reads what is left and makes sure that the document ends where it should.
    pub fn finish(mut self) -> Result<()> {
        while self.next_table()?.is_some() {}
        let mut key = Vec::new();
        while self.lexer.step_member(&mut self.first_member, &mut key, NAME_BYTES_MAX)? {
            self.lexer.any_value(None, 0)?;
        }
        match self.lexer.peek_or_end()? {
            None => Ok(()),
            Some(_) => Err(self.lexer.damaged("something follows the end of the document")),
        }
    }

    fn leave_table(&mut self) -> Result<()> {
        while self.place == Place::Rows {
            if self.lexer.step(&mut self.first_row, b']')? {
                self.lexer.any_value(None, 0)?;
            } else {
                self.place = Place::AfterRows;
            }
        }
        if self.place == Place::AfterRows {
            let mut key = Vec::new();
            while self.lexer.step_member(&mut self.first_in_table, &mut key, NAME_BYTES_MAX)? {
                self.lexer.any_value(None, 0)?;
            }
            self.place = Place::Tables;
        }
        Ok(())
    }

    /// Reads a table's members up to its rows.
    fn read_table_head(&mut self, name: TableName) -> Result<Table> {
        let mut members = serde_json::Map::new();
        let (mut key, mut bytes_left) = (Vec::new(), DEFINITION_BYTES_MAX);
        self.first_in_table = true;
        self.lexer.expect(b'{')?;
        loop {
            if !self.lexer.step_member(&mut self.first_in_table, &mut key, NAME_BYTES_MAX)? {
                return Err(self.lexer.damaged(format_args!("table {name} has no rows")));
            }
            if key == b"rows" {
                break;
            }
            let mut raw = Vec::new();
            self.lexer.any_value(Some(&mut raw), bytes_left)?;
            bytes_left -= raw.len();
            let value = from_slice(&self.lexer, &raw)?;
            members.insert(self.utf8(std::mem::take(&mut key))?, value);
        }
        self.lexer.expect(b'[')?;
        let mut table: Table = serde_json::from_value(serde_json::Value::Object(members))
            .map_err(|cause| self.lexer.damaged(format_args!("table {name}: {cause}")))?;
        table.name = name;
        self.columns = table.columns.iter().map(|column| column.name.clone().into_bytes()).collect();
        self.column_at = self.columns.iter().cloned().zip(0..).collect();
        if self.column_at.len() != self.columns.len() {
            return Err(self.lexer.damaged(format_args!("table {} has two columns of one name", table.name)));
        }
        self.first_row = true;
        self.place = Place::Rows;
        Ok(table)
    }

    /// The column that the key just read names; in our own documents always the next one.
    fn locate(&mut self, count: usize, in_order: &mut bool) -> Result<usize> {
        if *in_order && self.columns.get(count) == Some(&self.key) {
            return Ok(count);
        }
        if std::mem::replace(in_order, false) {
            self.given.clear();
            self.given.resize(self.columns.len(), false);
            self.given[..count.min(self.columns.len())].fill(true);
        }
        let at = *self.column_at.get(&self.key).ok_or_else(|| self.lexer.damaged("a row has an unknown column"))?;
        if std::mem::replace(&mut self.given[at], true) {
            return Err(self.lexer.damaged("a row has a column twice"));
        }
        Ok(at)
    }

    fn value(&mut self, bytes_left: &mut usize) -> Result<Value> {
        Ok(match self.lexer.peek()? {
            b'"' => {
                let bytes = self.string(bytes_left)?;
                Value::Text(self.utf8(bytes)?)
            }
            b'{' => self.tagged(bytes_left)?,
            b'n' => self.lexer.word(b"null").map(|()| Value::Null)?,
            b't' => self.lexer.word(b"true").map(|()| Value::Bool(true))?,
            b'f' => self.lexer.word(b"false").map(|()| Value::Bool(false))?,
            b'-' | b'0'..=b'9' => match self.lexer.number()? {
                Number::Integer(n) => Value::Integer(n),
                Number::Unsigned(n) => Value::Unsigned(n),
                Number::Real(x) => Value::Real(x),
            },
            _ => return Err(self.lexer.damaged("a row holds something that is no value")),
        })
    }

    fn tagged(&mut self, bytes_left: &mut usize) -> Result<Value> {
        let mut first = true;
        self.lexer.expect(b'{')?;
        if !self.lexer.step_member(&mut first, &mut self.key, NAME_BYTES_MAX)? {
            return Err(self.lexer.damaged("a tag is empty"));
        }
        let tag = std::mem::take(&mut self.key);
        let content = self.string(bytes_left)?;
        self.lexer.expect(b'}')?;
        let value = match tag.as_slice() {
            b"$bytes" => Value::Blob(self.base64(content)?),
            b"$text" => Value::RawText(self.base64(content)?),
            b"$decimal" => Value::Decimal(self.utf8(content)?),
            b"$int" => integer(&content).ok_or_else(|| self.lexer.damaged("a tagged integer is none"))?,
            b"$float" => Value::Real(match content.as_slice() {
                b"NaN" => f64::NAN,
                b"Infinity" => f64::INFINITY,
                b"-Infinity" => f64::NEG_INFINITY,
                _ => return Err(self.lexer.damaged("a tagged number is none")),
            }),
            _ => return Err(self.lexer.damaged("a tag is unknown: a newer Strongroom may know it")),
        };
        self.key = tag;
        Ok(value)
    }

    fn string(&mut self, bytes_left: &mut usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.lexer.string(&mut bytes, *bytes_left)?;
        *bytes_left -= bytes.len();
        Ok(bytes)
    }

    fn base64(&self, text: Vec<u8>) -> Result<Vec<u8>> {
        STANDARD.decode(text).map_err(|_| self.lexer.damaged("bytes are not valid base64"))
    }

    fn utf8(&self, bytes: Vec<u8>) -> Result<String> {
        String::from_utf8(bytes).map_err(|_| self.lexer.damaged("a string is not UTF-8"))
    }
}

fn integer(digits: &[u8]) -> Option<Value> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    digits.parse().map(Value::Integer).or_else(|_| digits.parse().map(Value::Unsigned)).ok()
}

fn read_header<R: Read>(lexer: &mut Lexer<R>) -> Result<Header> {
    let raw: serde_json::Value = parse(lexer)?;
    if raw.get("format").and_then(serde_json::Value::as_str) != Some(FORMAT) {
        return Err(not_a_document());
    }
    if raw.get("version").and_then(serde_json::Value::as_u64).is_some_and(|version| version > u64::from(VERSION)) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("the JSON document has version {}, this build reads up to {VERSION}", raw["version"]),
            "Use the Strongroom that wrote it, or a newer one.",
        ));
    }
    serde_json::from_value(raw).map_err(|cause| lexer.damaged(cause))
}

fn read_schema<R: Read>(lexer: &mut Lexer<R>) -> Result<Vec<SchemaObject>> {
    let (mut objects, mut first, mut bytes_left) = (Vec::new(), true, DEFINITION_BYTES_MAX);
    lexer.expect(b'[')?;
    while lexer.step(&mut first, b']')? {
        let mut raw = Vec::new();
        lexer.any_value(Some(&mut raw), bytes_left)?;
        bytes_left -= raw.len();
        objects.push(from_slice(lexer, &raw)?);
    }
    Ok(objects)
}

fn parse<R: Read, T: serde::de::DeserializeOwned>(lexer: &mut Lexer<R>) -> Result<T> {
    let mut raw = Vec::new();
    lexer.any_value(Some(&mut raw), DEFINITION_BYTES_MAX)?;
    from_slice(lexer, &raw)
}

fn from_slice<R: Read, T: serde::de::DeserializeOwned>(lexer: &Lexer<R>, raw: &[u8]) -> Result<T> {
    serde_json::from_slice(raw).map_err(|cause| lexer.damaged(format_args!("before here: {cause}")))
}

/// Keeps an I/O failure as it is; bytes that do not even begin like a document are none.
fn not_ours(error: Error) -> Error {
    if error.kind() == ErrorKind::Damaged { not_a_document() } else { error }
}

fn not_a_document() -> Error {
    Error::new(
        ErrorKind::NotABackup,
        "this is not a JSON document of Strongroom",
        "Choose a backup in the format `json`, or the component's `.json` entry.",
    )
}

/// Reads whatever `bytes` are, to the end: the body of a fuzz target. Answers the number of rows.
pub fn read_anything(bytes: &[u8]) -> Result<u64> {
    let mut reader = JsonReader::new(bytes)?;
    let (mut rows, mut row) = (0, Vec::new());
    while reader.next_table()?.is_some() {
        while reader.next_row(&mut row)? {
            rows += 1;
        }
    }
    reader.finish()?;
    Ok(rows)
}
