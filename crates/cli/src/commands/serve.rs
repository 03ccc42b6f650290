//! `strongroom serve`

use crate::args::Serve;
use crate::output::Report;
use crate::session::Session;
use engine::clock::SystemClock;
use engine::config::Server;
use server::rooms::Rooms;
use server::{Ready, ServeOptions};
use std::io::Write;
use std::sync::Arc;
use vault::{Error, ErrorKind, Result};

/// Runs the service until it is told to stop.
pub fn run(arguments: &Serve, mut session: Session) -> Result<Report> {
    if let Some(listen) = &arguments.listen {
        session.set("server.listen", listen)?;
    }
    serve(session)
}

/// Runs the service of a session's application.
pub fn serve(session: Session) -> Result<Report> {
    refuse_plain_http(&session.config.server)?;
    let room = session.room()?;
    session.reporter.finish();
    let catalog = room.catalog.clone();
    let as_json = session.json;
    let reload = Box::new(move || session.reload());
    server::serve(ServeOptions {
        catalog,
        strongroom: Arc::new(Rooms::new(room, reload)),
        clock: Arc::new(SystemClock),
        on_ready: Box::new(move |ready| announce(ready, as_json)),
    })?;
    Ok(Report::printed())
}

/// Passwords and tokens are not sent readable over a network, unless somebody says that a proxy in front does TLS.
fn refuse_plain_http(server: &Server) -> Result<()> {
    if server.tls.is_some() || server.allow_plain_http || server.listen.ip().is_loopback() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Config,
        format!("{} can be reached from other machines, and there is no TLS", server.listen),
        "Set server.tls_certificate and server.tls_key, listen on 127.0.0.1, or say server.allow_plain_http = true when a proxy in front does TLS.",
    ))
}

fn announce(ready: &Ready, as_json: bool) {
    let mut out = std::io::stdout().lock();
    // Nobody may be listening any more; the service works all the same.
    let _ = if as_json {
        writeln!(out, "{}", serde_json::json!({ "url": ready.url, "setupLink": ready.setup_link }))
    } else {
        let setup = ready
            .setup_link
            .as_ref()
            .map(|link| format!("\nNobody can sign in yet. Make the first administrator, once, here:\n  {link}\n"));
        writeln!(out, "Strongroom is at {}\n{}", ready.url, setup.unwrap_or_default())
    };
    let _ = out.flush();
}
