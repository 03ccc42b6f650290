//! Whole databases: made, dropped, asked who is connected.

use super::names::oid_of;
use crate::source::postgres::address::{Address, ClientSettings};
use crate::source::postgres::client::Client;
use crate::source::postgres::connect::connect;
use crate::source::postgres::error::{database, is_away};
use crate::source::postgres::sql;
use crate::{Error, ErrorKind, Result};
use std::fmt::Write;
use std::time::{Duration, Instant};
use tokio_postgres::SimpleQueryMessage;

/// How often it is asked whether a client has left.
const LEAVING_POLL: Duration = Duration::from_millis(100);
/// How long, and how often, a server is waited for that starts anew.
const RESTART_MAX: Duration = Duration::from_secs(10);
const RESTART_POLL: Duration = Duration::from_millis(200);

/// Connects to a database of the same server that is not `avoid`, to make, rename and drop databases from there.
pub fn connect_maintenance(address: &Address, avoid: &str) -> Result<Client> {
    let mut last = None;
    for name in ["postgres", "template1"].into_iter().filter(|name| *name != avoid) {
        match connect(&address.with_database(name)) {
            Ok(client) => return Ok(client),
            Err(error) => last = Some(error),
        }
    }
    let failed = last.unwrap_or_else(|| Error::internal("no maintenance database was tried"));
    Err(failed.with_hint(
        "Databases are made and renamed from the database postgres or template1: allow the role to connect there.",
    ))
}

/// Others that are connected to a database, in words: process, user, program, address. One that is just leaving (its program
/// has ended, its server process not yet) is given a second.
pub fn clients_of(client: &mut Client, name: &str) -> Result<Vec<String>> {
    for _ in 0..10 {
        if connected(client, name)?.is_empty() {
            return Ok(Vec::new());
        }
        std::thread::sleep(LEAVING_POLL);
    }
    connected(client, name)
}

fn connected(client: &mut Client, name: &str) -> Result<Vec<String>> {
    let rows = client
        .query(
            "SELECT pid, usename::text, application_name, pg_catalog.host(client_addr), state
               FROM pg_catalog.pg_stat_activity
              WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid() AND backend_type = 'client backend' ORDER BY pid",
            &[&name],
        )
        .map_err(|error| database(format!("asking who is connected to {name}"), error))?;
    Ok(rows
        .iter()
        .map(|row| {
            let text = |at: usize| row.get::<_, Option<String>>(at).filter(|text| !text.is_empty());
            format!(
                "process {} of {}, {}, from {}, {}",
                row.get::<_, i32>(0),
                text(1).unwrap_or_else(|| "an unknown user".to_owned()),
                text(2).unwrap_or_else(|| "unnamed program".to_owned()),
                text(3).unwrap_or_else(|| "a local socket".to_owned()),
                text(4).unwrap_or_else(|| "state hidden".to_owned())
            )
        })
        .collect())
}

/// The failure that names the clients.
pub fn busy(name: &str, clients: &[String]) -> Error {
    Error::new(
        ErrorKind::Busy,
        format!("the database {name} cannot be replaced while others are connected to it:\n{}", clients.join("\n")),
        "Stop the application first, or use --disconnect-clients to end these connections.",
    )
}

/// Ends the connections of all others to a database. Answers how many there were.
pub fn disconnect(client: &mut Client, name: &str) -> Result<u64> {
    client
        .execute(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
              WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid()",
            &[&name],
        )
        .map_err(|error| {
            database(format!("ending the connections to {name}"), error)
                .with_hint("Ending others' connections needs membership in their role, or pg_signal_backend.")
        })
}

/// Drops a database if its object id is still this one; ends connections that are left (drills, a reader of ours).
pub fn drop_if(client: &mut Client, name: &str, oid: Option<u32>) -> Result<()> {
    let found = oid_of(client, name)?;
    if found.is_none() || found != oid {
        return Ok(());
    }
    let force =
        if crate::source::postgres::connect::server_version_number(client)? >= 130_000 { " WITH (FORCE)" } else { "" };
    client
        .batch_execute(&format!("DROP DATABASE IF EXISTS {}{force}", sql::identifier(name)))
        .map_err(|error| database(format!("dropping database {name}"), error))
}

/// Drops the database of this address, if it exists.
pub fn drop_database(url: &str, settings: &ClientSettings) -> Result<()> {
    let address = Address::parse(url, settings)?;
    once_up(&address, |client| {
        let oid = oid_of(client, &address.database)?;
        drop_if(client, &address.database, oid)
    })
}

/// Tidies up from another database than this address's. Where one of its processes dies the server ends all connections, ours
/// too, and is back in a second or two.
pub fn once_up(address: &Address, mut work: impl FnMut(&mut Client) -> Result<()>) -> Result<()> {
    let until = Instant::now() + RESTART_MAX;
    loop {
        match connect_maintenance(address, &address.database).and_then(|mut client| work(&mut client)) {
            Err(error) if is_away(&error) && Instant::now() < until => std::thread::sleep(RESTART_POLL),
            done => return done,
        }
    }
}

/// Drops what drills left behind: databases of our naming, owned by us, that nobody is connected to. Answers their names.
///
/// `url` is where drills run; `database` the name that they are named after.
pub fn sweep_drills(url: &str, database_name: &str, settings: &ClientSettings) -> Result<Vec<String>> {
    let address = Address::parse(url, settings)?;
    let mut client = connect_maintenance(&address, "")?;
    // Cut as the names themselves are, so that a long name is found again.
    let prefix = sql::cut_name(database_name, "__drill_000000000000");
    let prefix = prefix.trim_end_matches("000000000000");
    let rows = client
        .query(
            "SELECT d.datname::text, d.oid FROM pg_catalog.pg_database d
              WHERE pg_catalog.starts_with(d.datname::text, $1) AND pg_catalog.right(d.datname::text, 12) ~ '^[0-9a-f]{12}$'
                AND pg_catalog.length(d.datname::text) = pg_catalog.length($1) + 12
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid) ORDER BY 1",
            &[&prefix],
        )
        .map_err(|error| database("looking for databases of earlier drills", error))?;
    let mut dropped = Vec::new();
    for row in rows {
        let name: String = row.get(0);
        drop_if(&mut client, &name, Some(row.get(1)))?;
        dropped.push(name);
    }
    Ok(dropped)
}

/// Where a drill restores to: a database of its own, on `drill_url`'s server where one is named.
pub fn drill_url(url: &str, drill_url: Option<&str>, id: &crate::id::Id, settings: &ClientSettings) -> Result<String> {
    let name = Address::parse(url, settings)?.database;
    Ok(with_database(drill_url.unwrap_or(url), &sql::cut_name(&name, &format!("__drill_{id}"))))
}

/// The same URL with another database in it.
fn with_database(url: &str, name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') {
            encoded.push(byte as char);
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    let (rest, query) = url.split_once('?').map_or((url, None), |(rest, query)| (rest, Some(query)));
    let scheme_end = rest.find("://").map_or(0, |at| at + 3);
    let authority_end = rest[scheme_end..].find('/').map_or(rest.len(), |at| scheme_end + at);
    let query = query.map_or_else(String::new, |query| {
        let kept: Vec<_> = query.split('&').filter(|pair| !pair.starts_with("dbname=")).collect();
        format!("?{}", kept.join("&"))
    });
    format!("{}/{encoded}{query}", &rest[..authority_end])
}

/// The first value of the first row of a query, as text; for assertions. Runs in a transaction that can only read.
pub fn query(url: &str, text: &str, settings: &ClientSettings) -> Result<String> {
    let mut client = connect(&Address::parse(url, settings)?)?;
    client
        .batch_execute("SET search_path = DEFAULT; SET default_transaction_read_only = on")
        .map_err(|error| database("preparing an assertion", error))?;
    let messages = client.simple_query(text).map_err(|error| database(format!("`{text}`"), error))?;
    let row = messages.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    Ok(row.and_then(|row| row.get(0).map(str::to_owned)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_has_a_database_of_its_own() {
        let id = crate::id::Id::parse("0123456789ab").unwrap();
        let settings = ClientSettings { user: Some("u".into()), ..ClientSettings::default() };
        let url = |url, other| drill_url(url, other, &id, &settings).unwrap();
        assert_eq!(
            url("postgresql://a:b@h:1/crm?sslmode=disable", None),
            "postgresql://a:b@h:1/crm__drill_0123456789ab?sslmode=disable"
        );
        assert_eq!(
            url("postgresql://a@h/c%20m", Some("postgresql://x@y")),
            "postgresql://x@y/c%20m__drill_0123456789ab"
        );
        assert_eq!(url("postgresql:///crm?host=/s&dbname=d", None), "postgresql:///d__drill_0123456789ab?host=/s");
    }
}
