//! Every setting with its value and where it came from, for `config show`. Secrets are never in it.

use super::layers::{Origins, join};
use super::settings::Settings;
use crate::{Error, Result, redact};
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
        "url" | "start" | "success" | "failure" if key.starts_with("notify.") => redact::origin(&text),
        "url" | "drill_url" | "jwks_url" => redact::address(&text),
        _ => text,
    }
}
