//! The sample's database: every kind of object that a backup of SQLite must bring back.

use super::Numbers;
use crate::{Error, ErrorKind, Result};
use rusqlite::{Connection, OpenFlags, Transaction, params};
use std::path::Path;

const DEFINITIONS: &str = "
CREATE TABLE customers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE COLLATE NOCASE,
    city TEXT,
    created_at TEXT NOT NULL,
    photo BLOB
);
CREATE INDEX customers_by_city ON customers (city, name);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    customer_id INTEGER NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    net_cents INTEGER NOT NULL,
    tax_percent REAL NOT NULL DEFAULT 19.0,
    total_cents INTEGER GENERATED ALWAYS AS (CAST(round(net_cents * (1 + tax_percent / 100)) AS INTEGER)) STORED,
    status TEXT NOT NULL CHECK (status IN ('open', 'paid', 'cancelled')),
    ordered_at TEXT NOT NULL
);
CREATE INDEX orders_by_customer ON orders (customer_id);
CREATE INDEX open_orders ON orders (ordered_at) WHERE status = 'open';
CREATE TABLE settings (
    area TEXT NOT NULL,
    name TEXT NOT NULL,
    value,
    PRIMARY KEY (area, name)
) WITHOUT ROWID;
CREATE TABLE notes (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, body TEXT NOT NULL);
CREATE VIRTUAL TABLE notes_search USING fts5(body, content='notes', content_rowid='id');
CREATE TABLE audit (id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, old_status TEXT, new_status TEXT);
CREATE TRIGGER notes_are_searchable AFTER INSERT ON notes BEGIN
    INSERT INTO notes_search (rowid, body) VALUES (new.id, new.body);
END;
CREATE TRIGGER orders_are_audited AFTER UPDATE OF status ON orders BEGIN
    INSERT INTO audit (order_id, old_status, new_status) VALUES (new.id, old.status, new.status);
END;
CREATE VIEW revenue AS
    SELECT c.city, count(*) AS orders, sum(o.total_cents) AS total_cents
    FROM orders o JOIN customers c ON c.id = o.customer_id
    WHERE o.status = 'paid' GROUP BY c.city;
PRAGMA user_version = 42;
PRAGMA application_id = 1129467213;
";

const FIRST: [&str; 8] = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Zoë", "Jürgen"];
const LAST: [&str; 8] = ["Lovelace", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth", "O'Neill", "Müller"];
const CITIES: [&str; 6] = ["Berlin", "Zürich", "København", "São Paulo", "東京", "Oslo"];
const STATUS: [&str; 3] = ["open", "paid", "cancelled"];

/// Makes the database; there must be no file yet.
pub fn create(path: &Path) -> Result<()> {
    let failed = |cause: rusqlite::Error| {
        Error::new(
            ErrorKind::Database,
            format!("making the sample database {} failed", path.display()),
            "Choose a new folder that this user may write to.",
        )
        .because(cause)
    };
    if path.exists() {
        return Err(failed(rusqlite::Error::InvalidPath(path.to_owned())));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    fill(&mut connection).map_err(failed)
}

fn fill(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.execute_batch(DEFINITIONS)?;
    let transaction = connection.transaction()?;
    let mut numbers = Numbers(42);
    customers(&transaction, &mut numbers)?;
    orders(&transaction, &mut numbers)?;
    settings(&transaction)?;
    transaction.execute("UPDATE orders SET status = 'paid' WHERE status = 'open' AND id % 10 = 0", [])?;
    transaction.commit()
}

fn customers(transaction: &Transaction<'_>, numbers: &mut Numbers) -> rusqlite::Result<()> {
    let mut customer = transaction
        .prepare("INSERT INTO customers (name, email, city, created_at, photo) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut note = transaction.prepare("INSERT INTO notes (customer_id, body) VALUES (?1, ?2)")?;
    for id in 1..=900_u64 {
        let pick = |list: &[&'static str], number: u64| list[number as usize % list.len()];
        let name = format!("{} {}", pick(&FIRST, numbers.next()), pick(&LAST, numbers.next()));
        let city = (id % 11 != 0).then(|| pick(&CITIES, numbers.next()));
        let created = format!("20{:02}-{:02}-{:02}T08:30:00Z", 18 + id % 8, 1 + id % 12, 1 + id % 28);
        let photo = (id % 45 == 0).then(|| numbers.bytes(3_000));
        customer.execute(params![name, format!("customer{id}@example.com"), city, created, photo])?;
        if id % 3 == 0 {
            let topic = if id % 2 == 0 { "asked for a discount" } else { "prefers to be called in the morning" };
            note.execute(params![id as i64, format!("{name} {topic}")])?;
        }
    }
    Ok(())
}

fn orders(transaction: &Transaction<'_>, numbers: &mut Numbers) -> rusqlite::Result<()> {
    let mut order = transaction.prepare(
        "INSERT INTO orders (customer_id, net_cents, tax_percent, status, ordered_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for id in 1..=3_000_u64 {
        let tax = if numbers.next().is_multiple_of(5) { 7.0 } else { 19.0 };
        let ordered = format!("2025-{:02}-{:02}T{:02}:15:00Z", 1 + id % 12, 1 + id % 28, id % 24);
        let (customer, net_cents) = (1 + (numbers.next() % 900) as i64, 100 + (numbers.next() % 500_000) as i64);
        let status = STATUS[numbers.next() as usize % STATUS.len()];
        order.execute(params![customer, net_cents, tax, status, ordered])?;
    }
    Ok(())
}

/// Values at the edges of what SQLite stores.
fn settings(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut setting = transaction.prepare("INSERT INTO settings (area, name, value) VALUES (?1, ?2, ?3)")?;
    setting.execute(params!["app", "theme", "dark"])?;
    setting.execute(params!["app", "nothing", Option::<String>::None])?;
    setting.execute(params!["numbers", "largest", i64::MAX])?;
    setting.execute(params!["numbers", "smallest", i64::MIN])?;
    setting.execute(params!["numbers", "infinity", f64::INFINITY])?;
    setting.execute(params!["numbers", "third", 1.0 / 3.0])?;
    setting.execute(params!["blobs", "key", &[0_u8, 255, 1, 254][..]])?;
    setting.execute(params!["text", "with newline", "two\nlines \u{1f600}"])?;
    transaction.execute(
        "INSERT INTO settings (area, name, value) VALUES ('text', 'not utf-8', CAST(x'ff66fe6f' AS TEXT))",
        [],
    )?;
    Ok(())
}
