//! Sends what waits in the outbox, on a thread of its own: a slow mail server holds nobody up.

use crate::state::App;
use std::time::Duration;

/// Failed messages are due again at their own time: look this often.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// Sends until the service stops. What is being sent then is finished or comes back when its lease ends.
pub async fn run(app: App) {
    loop {
        let delivered = app
            .blocking(|app| {
                let settings = app.strongroom.config().notify.clone();
                engine::notify::deliver_due(&app.catalog, &settings, &|| app.clock.now(), &|| app.is_stopping())
            })
            .await;
        if delivered.is_err() {
            tracing::error!("messages could not be taken from the outbox");
        }
        if app.is_stopping() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = app.outbox_woken() => {}
            () = app.stopping() => return,
        }
    }
}
