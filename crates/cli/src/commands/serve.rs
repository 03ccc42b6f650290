//! `strongroom serve`

use crate::args::Serve;
use crate::output::Report;
use crate::session::Session;
use engine::clock::SystemClock;
use server::rooms::Rooms;
use server::{Patience, Ready, ServeOptions};
use std::io::Write;
use std::sync::Arc;
use vault::Result;

/// Runs the service until it is told to stop.
pub fn run(arguments: &Serve, mut session: Session) -> Result<Report> {
    if let Some(listen) = &arguments.listen {
        session.set("server.listen", listen)?;
    }
    serve(session)
}

/// Runs the service of a session's application.
pub fn serve(session: Session) -> Result<Report> {
    // The service answers first and then puts in order what a crash left.
    let room = session.room_as_it_is()?;
    session.reporter.finish();
    let catalog = room.catalog.clone();
    let as_json = session.json;
    let reload = Box::new(move || session.reload());
    server::serve(ServeOptions {
        catalog,
        strongroom: Arc::new(Rooms::new(room, reload)),
        clock: Arc::new(SystemClock),
        patience: Patience::default(),
        on_ready: Box::new(move |ready| announce(ready, as_json)),
    })?;
    Ok(Report::printed())
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
