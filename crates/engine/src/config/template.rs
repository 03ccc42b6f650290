//! The `strongroom.toml` that `init` writes: what was found, and every other setting as a comment with its default.

use super::{ComponentConfig, ComponentSettings};
use std::path::Path;

/// Renders the file for an application in `folder` with these components. Addresses of database servers are written as
/// `${DATABASE_URL}`: passwords stay in `.env`.
pub fn render(folder: &Path, components: &[ComponentConfig]) -> String {
    let mut text = HEAD.to_owned();
    for component in components {
        text.push_str(&section(folder, component));
    }
    if components.is_empty() {
        text.push_str(NO_COMPONENT);
    }
    text.push_str(TAIL);
    text
}

fn section(folder: &Path, component: &ComponentConfig) -> String {
    let kind = format!("{:?}", component.settings.kind()).to_lowercase();
    let mut text = format!("\n[components.{}]\nkind = \"{kind}\"\n", component.name);
    let mut line = |key: &str, value: &toml::Value| text.extend([key, " = ", &value.to_string(), "\n"]);
    let path = |path: &Path| {
        let relative = path.strip_prefix(folder).unwrap_or(path);
        let shown = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        toml::Value::from(shown.display().to_string())
    };
    let list = |items: &[String]| toml::Value::from(items.to_vec());
    match &component.settings {
        ComponentSettings::Files(files) => {
            line("path", &path(&files.path));
            for (key, patterns) in [("include", &files.include), ("exclude", &files.exclude)] {
                if !patterns.is_empty() {
                    line(key, &list(patterns));
                }
            }
        }
        ComponentSettings::Config(files) => {
            line("path", &path(&files.path));
            line("files", &list(&files.files));
        }
        ComponentSettings::Logs(logs) => {
            line("path", &path(&logs.path));
            line("include", &list(&logs.include));
        }
        ComponentSettings::Sqlite(sqlite) => line("path", &path(&sqlite.path)),
        ComponentSettings::Postgres(_) | ComponentSettings::Mysql(_) => line("url", &"${DATABASE_URL}".into()),
    }
    text
}

const HEAD: &str = r#"# Strongroom's configuration. docs/configuration.md explains every key.
# Variables in `.env` and the environment win over this file; `strongroom config show` says what counts and why.
# The encryption key does not belong here but into `.env`: BACKUP_ENCRYPTION_KEY.

# backup_dir = "./backups"
# timezone = "UTC"
# encryption = "aes-256-gcm"    # or "none"

# What is backed up.
"#;

const NO_COMPONENT: &str = r#"
# Nothing was found by looking. Name what there is:
# [components.database]
# kind = "sqlite"               # or postgres, mysql with url = "${DATABASE_URL}"
# path = "prisma/dev.db"
#
# [components.uploads]
# kind = "files"
# path = "uploads"
"#;

const TAIL: &str = r#"
# What is backed up together. Without any plan there is one, `default`, with every component.
# [plans.default]
# components = ["database", "uploads"]
# format = "tar"                # or "json" (databases only), "repository" (deduplicated)
# compression = "gzip"          # or "zstd", "none"
# level = 6

# When (cron expressions in the zone above, or "off"). The first three are those of the plan `default`.
# [schedule]
# enabled = true
# catch_up = true
# daily = "0 2 * * *"
# weekly = "0 1 * * 0"
# monthly = "0 0 1 * *"
# cleanup = "0 3 * * *"
# verify = "0 4 * * *"
# drill = "0 5 * * 0"

# How many succeeded backups are kept.
# [retention]
# daily = 30
# weekly = 12
# monthly = 12
# failed_days = 30

# [restore]
# undo_days = 7

# What every drill asks the restored database.
# [[assert]]
# component = "database"
# sql = "SELECT count(*) > 0 FROM users"
# expect = true

# Files that the database refers to must be in the same backup.
# [[check]]
# component = "database"
# sql = "SELECT path FROM attachments"
# exists_in = "uploads"

# [hooks.before_backup]
# command = "systemctl stop worker"
# on_error = "fail"             # or "ignore", "cancel"
# timeout_seconds = 300

# [log]
# folder = "logs"
# format = "json"               # or "text"
# keep = 14

# Mail needs SMTP_HOST, BACKUP_EMAIL_TO and BACKUP_EMAIL_ENABLED=true in `.env`.
# [[notify.webhook]]
# url = "${SLACK_WEBHOOK_URL}"
# template = "slack"            # or discord, telegram, ntfy, generic

# [server]
# listen = "127.0.0.1:8080"
"#;
