//! One database as one JSON document; `docs/json-export.md` specifies it.
//!
//! ```json
//! {"strongroom":{"format":"strongroom-json","version":1,"component":"database","engine":"sqlite","engineVersion":"3"},
//! "schema":[{"type":"table","name":"customers","table":"customers","sql":"CREATE TABLE …"}],
//! "settings":{"user_version":"7"},
//! "tables":{
//! "customers":{"columns":[{"name":"id","type":"INTEGER"}],"primaryKey":["id"],"rows":[
//! {"id":1},
//! {"id":{"$int":"9223372036854775807"}}
//! ]}
//! }}
//! ```
//!
//! Plain JSON wherever JSON holds a value exactly, a small tagged object elsewhere. A row holds scalars and tags only
//! (a user's JSON is a string), so that data can never be taken for a tag. Rows are objects: that costs keys, which
//! compress to next to nothing, and buys `jq '.tables.customers.rows[0].name'`.
//!
//! Both directions hold one row in memory and no more.

mod lexer;
mod name;
mod read;
mod scalar;
mod write;

pub use name::TableName;
pub use read::{JsonReader, read_anything};
pub use write::JsonWriter;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// What `strongroom.format` says.
pub const FORMAT: &str = "strongroom-json";

/// Version of the document's shape; a reader refuses a higher one.
pub const VERSION: u32 = 1;

/// Integers beyond this, 2^53, are tagged: not every JSON reader holds them exactly.
pub const PLAIN_INTEGER_MAX: u64 = 1 << 53;

/// What the document says about itself, under `strongroom`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Name of the component.
    pub component: String,
    /// `sqlite`, `postgresql`, `mysql` or `mariadb`.
    pub engine: String,
    /// The server's or library's version.
    pub engine_version: String,
}

impl Header {
    /// The header of a document of this version.
    pub fn new(component: &str, engine: &str, engine_version: &str) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            component: component.to_owned(),
            engine: engine.to_owned(),
            engine_version: engine_version.to_owned(),
        }
    }
}

/// One object of the schema.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SchemaObject {
    /// `table`, `index`, `trigger`, `view`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The table it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The statement that makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// What else an engine needs. Keys must differ from the fields above.
    #[serde(flatten)]
    pub more: Map<String, Json>,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Column {
    /// Its name; unique within the table, key of its value in every row.
    pub name: String,
    /// Its type, in the engine's words.
    #[serde(rename = "type", default)]
    pub declared_type: String,
    /// Computed from other columns: in the document to be read, never inserted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub generated: bool,
    /// What else an engine needs. Keys must differ from the fields above.
    #[serde(flatten)]
    pub more: Map<String, Json>,
}

/// A table, without its rows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// Its name: the key in `tables`.
    #[serde(skip)]
    pub name: TableName,
    /// Columns in the order in which [`JsonWriter::value`] takes and [`JsonReader::next_row`] gives values.
    pub columns: Vec<Column>,
    /// Names of the primary key's columns; empty without one.
    #[serde(default)]
    pub primary_key: Vec<String>,
    /// What else an engine needs. Keys must differ from the fields above and from `rows`.
    #[serde(flatten)]
    pub more: Map<String, Json>,
}

/// Small facts about the database as a whole, under `settings`.
pub type Settings = Map<String, Json>;

#[cfg(test)]
mod tests;
