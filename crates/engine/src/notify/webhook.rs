//! Web hooks and pings over HTTP.
//!
//! A body is signed as a whole: `X-Strongroom-Signature: sha256=` and the HMAC-SHA-256 of its bytes. Redirects are not
//! followed: a signed message goes where it was meant to go or nowhere.

use super::notice::Notice;
use super::render;
use crate::config::{WebhookSettings, WebhookTemplate};
use crate::id::Id;
use crate::{Error, ErrorKind, Result};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::blocking::{Client, RequestBuilder};
use serde_json::json;
use sha2::Sha256;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(20);
/// Discord refuses longer messages; the others cut them.
const CHAT_CHARACTERS_MAX: usize = 1900;
/// So much of an answer is shown.
const ANSWER_CHARACTERS_MAX: usize = 200;

/// The host of an address, without what may be secret.
pub fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority.rsplit('@').next().unwrap_or(authority).to_owned()
}

fn client() -> Result<Client> {
    // Somebody else may have installed a provider already: any will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("Strongroom/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|cause| Error::internal(format!("no HTTP client: {cause}")).because(cause))
}

/// Sends a notice; returns what the receiver answered.
pub fn send(hook: &WebhookSettings, id: &Id, notice: &Notice) -> Result<String> {
    let (content_type, body) = body(hook, id, notice)?;
    let mut request = client()?
        .post(&hook.url)
        .header("Content-Type", content_type)
        .header("X-Strongroom-Event", &notice.event)
        .header("X-Strongroom-Delivery", id.as_str());
    if let Some(secret) = &hook.secret {
        request = request.header("X-Strongroom-Signature", signature(secret, body.as_bytes())?);
    }
    if hook.template == WebhookTemplate::Ntfy && hook.body.is_none() {
        request = request.header("Title", ascii(&notice.title)).header("Priority", priority(notice));
    }
    answer(&hook.url, request.body(body))
}

/// Fetches an address; returns what it answered.
pub fn ping(url: &str) -> Result<String> {
    answer(url, client()?.get(url))
}

fn answer(url: &str, request: RequestBuilder) -> Result<String> {
    let host = host(url);
    let failed = |why: String| {
        let hint = "Check the address in notify.webhook or notify.ping, and that its host can be reached from here.";
        Error::new(ErrorKind::External, format!("{host} {why}"), hint)
    };
    // The error's own text would show the whole address.
    let response = request.send().map_err(|cause| {
        let why = if cause.is_timeout() { "did not answer in time" } else { "could not be reached" };
        failed(why.to_owned()).because(cause.without_url())
    })?;
    let status = response.status();
    let text: String = response.text().unwrap_or_default().chars().take(ANSWER_CHARACTERS_MAX).collect();
    let line = format!("{status} {}", text.split_whitespace().collect::<Vec<_>>().join(" "));
    if status.is_success() { Ok(line.trim().to_owned()) } else { Err(failed(format!("answered {}", line.trim()))) }
}

/// `sha256=` and the HMAC-SHA-256 of a body.
pub fn signature(secret: &str, body: &[u8]) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map_err(|cause| Error::internal(format!("a message could not be signed: {cause}")))?;
    mac.update(body);
    Ok(format!("sha256={}", hex::encode(mac.finalize().into_bytes())))
}

fn body(hook: &WebhookSettings, id: &Id, notice: &Notice) -> Result<(&'static str, String)> {
    let chat = || -> String {
        format!("{}\n\n{}", notice.title, render::text(notice)).chars().take(CHAT_CHARACTERS_MAX).collect()
    };
    if let Some(template) = &hook.body {
        let is_json = template.trim_start().starts_with(['{', '[']);
        let content_type = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
        return Ok((content_type, fill(template, id, notice, is_json)));
    }
    let value = match hook.template {
        WebhookTemplate::Ntfy => return Ok(("text/plain; charset=utf-8", render::text(notice))),
        WebhookTemplate::Slack | WebhookTemplate::Telegram => json!({"text": chat()}),
        // Nobody is called by a name in a file.
        WebhookTemplate::Discord => json!({"content": chat(), "allowed_mentions": {"parse": []}}),
        WebhookTemplate::Generic => {
            let mut value =
                serde_json::to_value(notice).map_err(|cause| Error::internal(cause.to_string()).because(cause))?;
            value["id"] = json!(id);
            value["message"] = json!(render::text(notice));
            value
        }
    };
    Ok(("application/json", value.to_string()))
}

/// Puts the notice into a template of one's own. In JSON the values are escaped, so that none can end its text.
fn fill(template: &str, id: &Id, notice: &Notice, is_json: bool) -> String {
    let value = |text: String| {
        if !is_json {
            return text;
        }
        let quoted = serde_json::Value::String(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let known = |name: &str| match name {
        "id" => Some(id.to_string()),
        "event" => Some(notice.event.clone()),
        "at" => Some(notice.at.to_string()),
        "title" => Some(notice.title.clone()),
        "text" => Some(render::text(notice)),
        "summary" => Some(notice.text.clone()),
        "advice" => Some(notice.advice.clone().unwrap_or_default()),
        "problems" => Some(notice.problems.join("\n")),
        _ => None,
    };
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        match after.split_once("}}").and_then(|(name, tail)| Some((known(name.trim())?, tail))) {
            Some((text, tail)) => {
                out.push_str(&value(text));
                rest = tail;
            }
            None => {
                out.push_str("{{");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).take(150).collect()
}

fn priority(notice: &Notice) -> &'static str {
    match notice.event.as_str() {
        "failure" | "critical" | "stale" | "collapsed" => "high",
        "success" | "start" | "cleanup" => "low",
        _ => "default",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Event;
    use jiff::Timestamp;

    fn hook(template: WebhookTemplate, body: Option<&str>) -> WebhookSettings {
        WebhookSettings {
            name: None,
            url: "https://user:pass@example.com:8443/secret?x=1".to_owned(),
            template,
            body: body.map(str::to_owned),
            secret: None,
            events: Vec::new(),
        }
    }

    fn notice() -> Notice {
        Notice::new(Event::Failure, Timestamp::UNIX_EPOCH, "It \"failed\"\n", "no room").advice("free some")
    }

    fn id() -> Id {
        Id::parse("a1b2c3d4e5f6").unwrap()
    }

    #[test]
    fn only_the_host_of_an_address_is_shown() {
        assert_eq!(host(&hook(WebhookTemplate::Generic, None).url), "example.com:8443");
        assert_eq!(host("nonsense"), "nonsense");
    }

    #[test]
    fn the_signature_is_the_hmac_of_the_body() {
        // RFC 4231, test case 2.
        assert_eq!(
            signature("Jefe", b"what do ya want for nothing?").unwrap(),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn every_template_is_json_of_its_receiver() {
        for (template, field) in [
            (WebhookTemplate::Generic, "title"),
            (WebhookTemplate::Slack, "text"),
            (WebhookTemplate::Telegram, "text"),
            (WebhookTemplate::Discord, "content"),
        ] {
            let (content_type, body) = body(&hook(template, None), &id(), &notice()).unwrap();
            assert_eq!(content_type, "application/json");
            let value: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert!(value[field].as_str().unwrap().contains("It \"failed\""), "{template:?}");
        }
        assert!(body(&hook(WebhookTemplate::Ntfy, None), &id(), &notice()).unwrap().1.starts_with("no room"));
    }

    #[test]
    fn a_body_of_ones_own_stays_json_whatever_is_put_into_it() {
        let template = "{\"t\": \"{{title}}\", \"e\": \"{{ event }}\", \"u\": \"{{unknown}}\", \"open\": \"{{\"}";
        let (_, body) = body(&hook(WebhookTemplate::Generic, Some(template)), &id(), &notice()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(value["t"], "It \"failed\"\n");
        assert_eq!(value["e"], "failure");
        assert_eq!(value["u"], "{{unknown}}");
    }
}
