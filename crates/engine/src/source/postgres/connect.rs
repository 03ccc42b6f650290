//! Connections, with every setting pinned that shapes text.
//!
//! Invariant: two connections made here, to whatever server, write a value as the same text. The content hashes rest on it.

use super::address::Address;
use super::client::Client;
use super::error::database;
use super::tls::{self, TlsMode};
use crate::{Error, ErrorKind, Result};
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};

/// `lc_monetary` shapes `money`, `xmloption` decides what an `xml` value may be, `search_path` how names are written.
/// `row_security = off` turns a policy that would hide rows into an error.
const SESSION: &str = "
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET DateStyle = 'ISO, YMD';
SET IntervalStyle = 'postgres';
SET TimeZone = 'UTC';
SET extra_float_digits = 3;
SET bytea_output = 'hex';
SET lc_monetary = 'C';
SET xmloption = content;
SET array_nulls = on;
SET row_security = off;
SET synchronize_seqscans = off;
SET check_function_bodies = off;
SET client_min_messages = warning;
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET jit = off;
SELECT pg_catalog.set_config('search_path', '', false);
SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
 WHERE name IN ('idle_session_timeout', 'transaction_timeout');
";

/// The oldest server that is supported.
const SERVER_VERSION_MIN: i32 = 120_000;

/// Connects and pins the session.
pub fn connect(address: &Address) -> Result<Client> {
    let mut last = None;
    for (host, port) in &address.hosts {
        match connect_to(address, host, *port) {
            Ok(mut client) => {
                client.batch_execute(SESSION).map_err(|error| database(format!("preparing {address}"), error))?;
                refuse_old(&mut client, address)?;
                return Ok(client);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::internal("an address without hosts")))
}

/// Connects to the first host that answers and returns an address of that host alone, so that all further connections
/// (and `pg_dump`'s) meet the same server.
pub fn connect_pinned(address: &Address) -> Result<(Client, Address)> {
    let mut last = None;
    for host in &address.hosts {
        let pinned = Address { hosts: vec![host.clone()], ..address.clone() };
        match connect(&pinned) {
            Ok(client) => return Ok((client, pinned)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::internal("an address without hosts")))
}

fn connect_to(address: &Address, host: &str, port: u16) -> Result<Client> {
    let mut config = Config::new();
    config
        .port(port)
        .user(&address.user)
        .dbname(&address.database)
        .application_name("strongroom")
        .connect_timeout(Duration::from_secs(address.connect_timeout_s));
    if let Some(password) = &address.password {
        config.password(password.as_bytes());
    }
    if let Some(options) = &address.options {
        config.options(options);
    }
    let failed = |error| database(format!("connecting to {} at {host}:{port}", address.database), error);
    if Address::is_socket(host) {
        return Client::connect(config.host_path(host).ssl_mode(SslMode::Disable), NoTls)?.map_err(failed);
    }
    config.host(host);
    let attempts: &[SslMode] = match address.tls {
        TlsMode::Disable => &[SslMode::Disable],
        TlsMode::Allow => &[SslMode::Disable, SslMode::Require],
        TlsMode::Prefer => &[SslMode::Prefer, SslMode::Disable],
        TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => &[SslMode::Require],
    };
    let mut first = None;
    for &mode in attempts {
        config.ssl_mode(mode);
        let result = match mode {
            SslMode::Disable => Client::connect(&config, NoTls)?,
            _ => Client::connect(&config, tls::connector(address)?)?,
        };
        match result {
            Ok(client) => return Ok(client),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.map_or_else(|| Error::internal("no TLS mode was tried"), failed))
}

fn refuse_old(client: &mut Client, address: &Address) -> Result<()> {
    let version = server_version_number(client)?;
    if version < SERVER_VERSION_MIN {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("{address} is PostgreSQL {}, which is too old", version / 10_000),
            "PostgreSQL 12 and later are supported.",
        ));
    }
    Ok(())
}

/// `server_version_num`: 150018 is 15.18.
pub fn server_version_number(client: &mut Client) -> Result<i32> {
    let row = client
        .query_one("SELECT pg_catalog.current_setting('server_version_num')::int4", &[])
        .map_err(|error| database("asking for the server's version", error))?;
    Ok(row.get(0))
}
