//! Every setting with its value and where it came from, for `config show`. Secrets are never in it.

use super::layers::{Origins, join};
use super::settings::Settings;
use crate::{Error, Result};
use serde::Serialize;

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Value {
    /// Dotted: `retention.daily`, `notify.webhook[0].url`.
    pub key: String,
    /// As JSON writes it, texts without quotes; empty when not set. Secrets are `(set, not shown)`.
    pub value: String,
    /// For people: `default`, `strongroom.toml line 3`, `TZ in the environment`, `command line`.
    pub origin: String,
}

const HIDDEN: &str = "(set, not shown)";

pub(super) fn values(settings: &Settings, origins: &Origins) -> Result<Vec<Value>> {
    let tree = serde_json::to_value(settings)
        .map_err(|cause| Error::internal(format!("the settings cannot be shown: {cause}")))?;
    let mut values = Vec::new();
    flatten("", &tree, &mut |key, value| {
        let origin = origins.of(&key).to_string();
        values.push(Value { value: shown(&key, value), key, origin });
    });
    Ok(values)
}

fn flatten(prefix: &str, tree: &serde_json::Value, leaf: &mut dyn FnMut(String, &serde_json::Value)) {
    match tree {
        serde_json::Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                flatten(&join(prefix, key), value, leaf);
            }
        }
        serde_json::Value::Array(items) if items.iter().any(serde_json::Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                flatten(&format!("{prefix}[{index}]"), item, leaf);
            }
        }
        other => leaf(prefix.to_owned(), other),
    }
}

fn shown(key: &str, value: &serde_json::Value) -> String {
    let text = match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) if items.is_empty() => return String::new(),
        serde_json::Value::Null | serde_json::Value::Object(_) => return String::new(),
        other => other.to_string(),
    };
    let last = key.rsplit('.').next().unwrap_or(key);
    match last {
        "encryption_key" | "previous_keys" | "password" | "secret" => HIDDEN.to_owned(),
        // The path of a web hook or ping is its secret.
        "url" | "start" | "success" | "failure" if key.starts_with("notify.") => origin_of_url(&text),
        "url" | "drill_url" | "jwks_url" => without_password(&text),
        _ => text,
    }
}

fn origin_of_url(url: &str) -> String {
    let host_end = url.find("://").map(|at| url[at + 3..].find('/').map_or(url.len(), |slash| at + 3 + slash));
    let shown = host_end.map_or("", |end| &url[..end]);
    format!("{}/…", without_password(shown))
}

/// A database's address without its password: `postgres://app:…@host/db`. Secrets in its query go, too.
pub(super) fn without_password(url: &str) -> String {
    let Some(scheme_end) = url.find("://").map(|at| at + 3) else { return url.to_owned() };
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let authority_end = address[scheme_end.min(address.len())..].rfind('@').map(|at| scheme_end + at);
    let mut shown = match authority_end {
        Some(end) => {
            let user = &address[scheme_end..end];
            match user.split_once(':') {
                Some((user, _)) => format!("{}{user}:…{}", &address[..scheme_end], &address[end..]),
                None => address.to_owned(),
            }
        }
        None => address.to_owned(),
    };
    if let Some(query) = query {
        let secret = |part: &&str| part.to_ascii_lowercase().contains("password");
        let parts: Vec<&str> = query.split('&').map(|part| if secret(&part) { "password=…" } else { part }).collect();
        shown = format!("{shown}?{}", parts.join("&"));
    }
    shown
}
