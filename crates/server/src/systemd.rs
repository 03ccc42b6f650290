//! What systemd is told: ready, reloading, stopping, alive. Without systemd there is nobody to tell, and nothing happens.

use crate::state::App;
use sd_notify::NotifyState;
use tokio::task::JoinHandle;

/// The service answers.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again; [`ready`] ends it.
pub fn reloading() {
    // With the time, systemd can tell this reload from an earlier one.
    let states = [Some(NotifyState::Reloading), NotifyState::monotonic_usec_now().ok()];
    tell(&states.into_iter().flatten().collect::<Vec<_>>());
}

/// The service stops.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// Shows systemd that the service lives, twice as often as it wants to see it, by a read of the catalog: a service that
/// hangs there is of no use. `None` where nobody watches.
pub fn keep_alive(app: &App) -> Option<JoinHandle<()>> {
    let pause = sd_notify::watchdog_enabled()? / 2;
    let app = app.clone();
    Some(tokio::spawn(async move {
        loop {
            if app.blocking(|app| app.catalog.setting("alive").map(drop)).await.is_ok() {
                tell(&[NotifyState::Watchdog]);
            }
            tokio::time::sleep(pause).await;
        }
    }))
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(error = &error as &dyn std::error::Error, "systemd could not be told");
    }
}
