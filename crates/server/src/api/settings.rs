//! The configuration as it is, and where each value came from; notifications and their tests.

use crate::answer::{Answer, Refusal, Success, ok};
use crate::auth::Principal;
use crate::extract::Body;
use crate::state::App;
use axum::extract::State;
use axum::http::StatusCode;
use engine::config::{Config, Event};
use engine::notify::{self, Channel};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(reload))
        .routes(routes!(channels))
        .routes(routes!(test))
        .routes(routes!(test_email))
}

/// The configuration.
#[derive(Debug, Serialize, ToSchema)]
pub struct SettingList {
    /// One by one, sorted by name.
    settings: Vec<SettingView>,
    /// What a person should know about them.
    notes: Vec<String>,
    /// Fingerprint of the key that backups are encrypted with; `null` when they are not.
    #[serde(rename = "keyFingerprint")]
    key_fingerprint: Option<String>,
    /// Fingerprints of older keys that still open their backups.
    #[serde(rename = "previousKeyFingerprints")]
    previous_key_fingerprints: Vec<String>,
}

/// A setting.
#[derive(Debug, Serialize, ToSchema)]
pub struct SettingView {
    /// Dotted name.
    #[schema(example = "retention.daily")]
    key: String,
    /// Its value; secrets are `(set, not shown)`.
    #[schema(example = "30")]
    value: String,
    /// Where it came from.
    #[schema(example = "default")]
    origin: String,
}

fn view(config: &Config) -> SettingList {
    let settings = config.values.iter().map(|setting| SettingView {
        key: setting.key.clone(),
        value: setting.value.clone(),
        origin: setting.origin.clone(),
    });
    SettingList {
        settings: settings.collect(),
        notes: config.notes.clone(),
        key_fingerprint: config.encryption.fingerprint(),
        previous_key_fingerprints: config.encryption.previous_fingerprints(),
    }
}

/// Show the configuration: every value and where it came from. Secrets are not shown.
#[utoipa::path(get, path = "/api/settings", tag = "settings", responses((status = 200, body = Success<SettingList>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn list(State(app): State<App>) -> Answer<SettingList> {
    ok(view(&app.strongroom.config()))
}

/// Read the configuration again, as SIGHUP does. A bad one is refused and the old one stays.
#[utoipa::path(post, path = "/api/settings/reload", tag = "settings",
    responses((status = 200, body = Success<SettingList>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn reload(State(app): State<App>, principal: Principal) -> Answer<SettingList> {
    let result = app.reload().await;
    app.audit_outcome(&principal, "settings.reload", "", &result).await?;
    result?;
    ok(view(&app.strongroom.config()))
}

/// Where messages go.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChannelList {
    /// One by one.
    channels: Vec<ChannelView>,
}

/// A channel.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelView {
    /// Its name, to test it by.
    #[schema(example = "email")]
    name: String,
    /// `email`, `webhook` or `ping`.
    #[schema(example = "email")]
    kind: String,
    /// Where to: receivers, or a host. Paths of web hooks are secrets and not shown.
    target: String,
    /// What is sent there.
    #[schema(value_type = Vec<String>)]
    events: Vec<Event>,
    /// Why the last message could not be delivered, when none was since.
    last_error: Option<String>,
}

/// List where messages go, and whether they arrive.
#[utoipa::path(get, path = "/api/notifications", tag = "settings",
    responses((status = 200, body = Success<ChannelList>)),
    security(("session" = ["VIEWER"]), ("bearer" = ["read"])))]
async fn channels(State(app): State<App>) -> Answer<ChannelList> {
    ok(app
        .blocking(|app| {
            let view = |channel: Channel| {
                Ok(ChannelView {
                    last_error: app.catalog.outbox_trouble(&channel.name)?.map(|(_, error)| error),
                    kind: channel.kind().to_owned(),
                    target: channel.target(),
                    events: channel.events.clone(),
                    name: channel.name,
                })
            };
            let channels = notify::channels(&app.strongroom.config().notify);
            Ok(ChannelList { channels: channels.into_iter().map(view).collect::<engine::Result<_>>()? })
        })
        .await?)
}

/// Which channel to test.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TestBody {
    /// Its name; `email` for mail.
    #[schema(example = "email")]
    channel: String,
}

/// A test message arrived.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestSent {
    /// The channel.
    channel: String,
    /// What the receiver answered.
    message: String,
}

/// Send a test message now and say what the receiver answered.
#[utoipa::path(post, path = "/api/notifications/test", tag = "settings", request_body = TestBody,
    responses((status = 200, body = Success<TestSent>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn test(State(app): State<App>, principal: Principal, Body(body): Body<TestBody>) -> Answer<TestSent> {
    send_test(&app, &principal, body.channel).await
}

/// Send a test mail now and say what the mail server answered.
#[utoipa::path(post, path = "/api/backup/test-email", tag = "settings",
    responses((status = 200, body = Success<TestSent>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["admin"])))]
async fn test_email(State(app): State<App>, principal: Principal) -> Answer<TestSent> {
    send_test(&app, &principal, notify::EMAIL.to_owned()).await
}

async fn send_test(app: &App, principal: &Principal, name: String) -> Answer<TestSent> {
    let notify = app.strongroom.config().notify.clone();
    let Some(channel) = notify::channels(&notify).into_iter().find(|channel| channel.name == name) else {
        let hint = if name == notify::EMAIL {
            "Set BACKUP_EMAIL_ENABLED=true, SMTP_HOST and BACKUP_EMAIL_TO."
        } else {
            "GET /api/notifications lists the channels."
        };
        let message = format!("there is no channel {name:?} to send to");
        return Err(Refusal::new(StatusCode::CONFLICT, "not_configured", message, hint));
    };
    let result = app.blocking(move |app| notify::send_test(&app.catalog, &channel, app.clock.now())).await;
    app.audit_outcome(principal, "notification.test", &name, &result).await?;
    ok(TestSent { message: result?, channel: name })
}
