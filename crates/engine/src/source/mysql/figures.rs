//! What a restore is compared with: rows and content of every table, the schema, counters and sequences, all of one instant.

use super::address::Address;
use super::schema::Schema;
use super::script;
use super::snapshot::{Snapshot, Wanted};
use super::stream::{self, Block, Form, Reading, TableEnd};
use crate::hash::HashKey;
use crate::manifest::{DatabaseFigures, TableFigures};
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Measures a database that nobody else writes, to be compared with the one that `backed_up` is of: what had no content hash
/// then has none now. How large a table is today does not decide: the server only estimates it, and the setting may be another.
pub(crate) fn measure(
    address: &Address,
    connections: usize,
    backed_up: &Schema,
    hash_key: HashKey,
) -> Result<DatabaseFigures> {
    let wanted = Wanted { connections, scratch: None, content_hash_bytes_max: None };
    let mut snapshot = Snapshot::take(address, &wanted)?;
    for table in &mut snapshot.schema.tables {
        table.without_hash = backed_up.tables.iter().any(|then| then.name == table.name && then.without_hash);
    }
    let reading = Reading { hash_key, form: Form::Figures, in_key_order: false };
    let ends = stream::run(&mut snapshot, reading, |tables, queues| {
        tables
            .iter()
            .zip(&queues)
            .map(|(table, queue)| Ok((table.name.clone(), end_of(queue)?)))
            .collect::<Result<Vec<_>>>()
    })?;
    Ok(figures(&snapshot, &ends))
}

/// The figures of a table whose stream nobody wants.
pub(super) fn end_of(queue: &crossbeam_channel::Receiver<Block>) -> Result<TableEnd> {
    loop {
        match queue.recv() {
            Ok(Block::Bytes(_)) => {}
            Ok(Block::End(end)) => return Ok(end),
            Ok(Block::Failed(error)) => return Err(error),
            Err(_) => return Err(Error::internal("a table's reader ended without a word")),
        }
    }
}

/// Puts a snapshot's figures together.
pub(crate) fn figures(snapshot: &Snapshot, ends: &[(String, TableEnd)]) -> DatabaseFigures {
    let schema = &snapshot.schema;
    let mut objects = schema.counts();
    objects.extend(snapshot.counts.clone());
    let mut values = values(schema, &snapshot.collations);
    let largest = ends.iter().map(|(_, end)| end.row_bytes_max).max().unwrap_or(0);
    values.insert("largestRowBytes".to_owned(), largest.to_string());
    DatabaseFigures {
        engine: schema.engine.clone(),
        engine_version: schema.engine_version.clone(),
        schema_hash: hex::encode(Sha256::digest(script::canonical(schema))),
        tables: ends
            .iter()
            .map(|(name, end)| TableFigures {
                schema: None,
                name: name.clone(),
                rows: end.rows,
                content_hash: end.hash.clone(),
            })
            .collect(),
        objects,
        values,
        image_seal: None,
        partitioned: Vec::new(),
    }
}

fn values(schema: &Schema, collations: &[String]) -> BTreeMap<String, String> {
    let mut values = BTreeMap::from([
        ("characterSet".to_owned(), schema.character_set.clone()),
        ("collation".to_owned(), schema.collation.clone()),
        ("collations".to_owned(), collations.join(" ")),
        ("definers".to_owned(), schema.definers().join(", ")),
    ]);
    for table in &schema.tables {
        if let Some(counter) = &table.auto_increment {
            values.insert(format!("auto_increment of {}", table.name), counter.clone());
        }
    }
    for sequence in &schema.sequences {
        values.insert(format!("sequence {}", sequence.name), sequence.values.join(" "));
    }
    let engines = schema.tables.iter().map(|table| table.engine.clone()).collect::<std::collections::BTreeSet<_>>();
    values.insert("engines".to_owned(), engines.into_iter().collect::<Vec<_>>().join(" "));
    values
}
