//! A connection, used from ordinary threads.
//!
//! The library underneath is asynchronous. Every call here enters its runtime once, and a whole table is one call: entering it
//! for each row takes longer than reading the row.
//!
//! Invariant: between calls nothing moves on the connection; what a call sent is on its way when it returns.

use super::error::database;
use super::patience::Patience;
use crate::{Error, Result};
use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::Stream as _;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, Row, SimpleQueryMessage, Socket};

/// What the server or the connection said.
type Said<T> = std::result::Result<T, tokio_postgres::Error>;
type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// How long a server may take to hear that we are leaving.
const GOODBYE_MS: u64 = 1_000;

/// A connection.
pub struct Client {
    /// `None` only while it is dropped.
    inner: Option<tokio_postgres::Client>,
    connection: JoinHandle<Said<()>>,
    runtime: Runtime,
}

impl Client {
    /// Connects. The inner error is the server's.
    pub fn connect<T>(config: &Config, tls: T) -> Result<Said<Self>>
    where
        T: MakeTlsConnect<Socket>,
        T::TlsConnect: Send,
        T::Stream: Send + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|cause| Error::io("setting a connection up", cause))?;
        Ok(runtime.block_on(config.connect(tls)).map(|(client, connection)| {
            let connection = runtime.spawn(connection);
            Self { inner: Some(client), connection, runtime }
        }))
    }

    fn run<T>(&mut self, call: impl AsyncFnOnce(&tokio_postgres::Client) -> Said<T>) -> Said<T> {
        match &self.inner {
            Some(client) => self.runtime.block_on(call(client)),
            None => unreachable!("a connection that is being dropped is not called"),
        }
    }

    /// Runs statements without results.
    pub fn batch_execute(&mut self, statements: &str) -> Said<()> {
        self.run(async |client| client.batch_execute(statements).await)
    }

    /// Runs a statement and returns how many rows it touched.
    pub fn execute(&mut self, statement: &str, parameters: Parameters<'_>) -> Said<u64> {
        self.run(async |client| client.execute(statement, parameters).await)
    }

    /// All rows of a query.
    pub fn query(&mut self, query: &str, parameters: Parameters<'_>) -> Said<Vec<Row>> {
        self.run(async |client| client.query(query, parameters).await)
    }

    /// The one row of a query.
    pub fn query_one(&mut self, query: &str, parameters: Parameters<'_>) -> Said<Row> {
        self.run(async |client| client.query_one(query, parameters).await)
    }

    /// The row of a query, if there is one.
    pub fn query_opt(&mut self, query: &str, parameters: Parameters<'_>) -> Said<Option<Row>> {
        self.run(async |client| client.query_opt(query, parameters).await)
    }

    /// Runs statements and returns everything as text.
    pub fn simple_query(&mut self, statements: &str) -> Said<Vec<SimpleQueryMessage>> {
        self.run(async |client| client.simple_query(statements).await)
    }

    /// Hands over each row of a `COPY … TO STDOUT`, in its own format. An error of `take` ends it.
    pub fn copy_out(
        &mut self,
        what: &dyn Fn() -> String,
        statement: &str,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let failed = |error| database(what(), error);
        let taken = self.run(async |client| {
            let mut rows = pin!(client.copy_out(statement).await?);
            let mut patience = Patience::default();
            while let Some(row) = poll_fn(|context| patience.wait(rows.as_mut().poll_next(context), context)).await {
                let row = row?;
                patience.received(row.len());
                if let Err(error) = take(&row) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        });
        taken.map_err(failed)?
    }

    /// Feeds a `COPY … FROM STDIN` with what `next` gives, until that is `None`. An error of `next` ends it without a row.
    pub fn copy_in(
        &mut self,
        what: &str,
        statement: &str,
        mut next: impl FnMut() -> Result<Option<Bytes>>,
    ) -> Result<()> {
        let fed = self.run(async |client| {
            let mut sink = pin!(client.copy_in::<_, Bytes>(statement).await?);
            loop {
                let sent = match next() {
                    Ok(Some(piece)) => sink.send(piece).await.is_ok(),
                    Ok(None) => false,
                    Err(error) => return Ok(Err(error)),
                };
                if !sent {
                    // Where sending failed, the server's own reason comes out here.
                    return sink.finish().await.map(|_| Ok(()));
                }
                // The connection writes it to the server now, not when the next piece has come.
                tokio::task::yield_now().await;
            }
        });
        fed.map_err(|error| database(what, error))?
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.inner = None;
        let goodbye = Duration::from_millis(GOODBYE_MS);
        // Whoever drops a connection does not care how it ends.
        let _ = self.runtime.block_on(async { tokio::time::timeout(goodbye, &mut self.connection).await });
    }
}
