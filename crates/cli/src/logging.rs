//! The log files: `combined-.<date>.log` and `error-.<date>.log`, a file a day, the oldest removed.
//!
//! Standard output belongs to results and standard error to people: the log goes to files only. Secrets do not reach it,
//! because they live in types that do not print.

use engine::config::{LogFormat, LogLevel, LogSettings};
use std::path::Path;
use tracing::Level;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Starts logging into `folder`. A folder that cannot be written is no reason not to back up: it is said once, and
/// everything goes on without log files.
pub fn start(settings: &LogSettings, folder: &Path, verbose: u8) -> Result<(), String> {
    let level = match verbose {
        0 => level(settings.level),
        1 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let unusable =
        |cause: &dyn std::fmt::Display| format!("no log is written: {} cannot be used: {cause}", folder.display());
    std::fs::create_dir_all(folder).map_err(|cause| unusable(&cause))?;
    let file = |prefix: &str| {
        RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix(prefix)
            .filename_suffix("log")
            .max_log_files(settings.keep.max(1) as usize)
            .build(folder)
            .map_err(|cause| unusable(&cause))
    };
    let (combined, errors) = (file("combined-")?, file("error-")?.with_max_level(Level::ERROR));
    let writer = combined.and(errors);
    let ours = tracing_subscriber::filter::Targets::new()
        .with_default(LevelFilter::WARN)
        .with_targets(["strongroom", "engine", "vault", "server"].map(|name| (name, level)));
    let layer = fmt::layer().with_ansi(false).with_writer(writer);
    let registered = match settings.format {
        LogFormat::Json => tracing_subscriber::registry().with(layer.json().with_filter(ours)).try_init(),
        LogFormat::Text => tracing_subscriber::registry().with(layer.with_filter(ours)).try_init(),
    };
    registered.map_err(|cause| cause.to_string())
}

const fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}
