//! Bounds on connections: how many there are, how long a client may take to ask, and to take its answer.
//!
//! Without them a few clients that send or read one byte a minute would hold all file handles, and a download that nobody
//! takes would keep its backup from being deleted for ever. HTTP/1.1 alone is spoken: the bounds are the same with and
//! without TLS, and a dashboard needs no more.

use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use std::future::{Ready, ready};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Connections at once; a further one is closed at once. Well below the 1024 handles that a process usually has.
pub const CONNECTIONS_MAX: usize = 256;

/// How patient the service is with its clients.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the end of the last request, or the connection's beginning, to the last byte of the next one's head.
    pub head: Duration,
    /// From a request's head to the end of its body.
    pub body: Duration,
    /// Without a byte of the answer being taken.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: Duration::from_secs(30), body: Duration::from_secs(30), answer: Duration::from_mins(2) }
    }
}

/// Answers connections until the handle says so.
pub async fn answer(
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
    router: axum::Router,
    patience: Patience,
) -> io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let bounded = Bounded { free: Arc::new(Semaphore::new(CONNECTIONS_MAX)), answer: patience.answer };
    let mut server = axum_server::from_tcp(listener)?.handle(handle);
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(patience.head);
    match tls {
        Some(tls) => {
            let acceptor = RustlsAcceptor::new(tls).handshake_timeout(patience.head).acceptor(bounded);
            server.acceptor(acceptor).http1_only().serve(service).await
        }
        None => server.acceptor(bounded).http1_only().serve(service).await,
    }
}

/// Admits so many connections and bounds how long an answer may lie untaken.
#[derive(Clone)]
struct Bounded {
    free: Arc<Semaphore>,
    answer: Duration,
}

impl<S> Accept<TcpStream, S> for Bounded {
    type Stream = Connection;
    type Service = S;
    type Future = Ready<io::Result<(Connection, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        // Small answers should not wait for the client's acknowledgement of the last one.
        let admitted = stream.set_nodelay(true).and_then(|()| {
            self.free.clone().try_acquire_owned().map_err(|_| io::Error::other("there are too many connections"))
        });
        let connection = |permit| Connection { stream, patience: self.answer, stalled: None, _permit: permit };
        ready(admitted.map(|permit| (connection(permit), service)))
    }
}

/// A connection that is broken off when its client takes no byte of an answer for too long.
struct Connection {
    stream: TcpStream,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Passes on what writing came to; while it waits, time runs.
    fn bounded<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let deadline = Instant::now() + self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.bounded(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, pieces);
        this.bounded(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
