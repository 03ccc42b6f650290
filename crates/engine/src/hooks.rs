//! Runs the user's own commands before and after a backup or a restore.
//!
//! Invariant: a hook ends. Its whole process group is killed when its time is up, its output is read as it comes and kept
//! up to a bound, so that it can neither hang a backup nor fill the memory. It gets what happened in its environment, but
//! not the key: secrets of ours are removed from it.

use crate::{Error, ErrorKind, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use vault::Progress;
use vault::error::IoContext;

/// Output kept of one hook.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// How long a hook may run unless its settings say otherwise.
const TIMEOUT_MS_DEFAULT: u64 = 60_000;
/// How often we look whether it has ended.
const POLL: Duration = Duration::from_millis(10);
/// How long its output may stay open after it has ended, by a process that it left in the background.
const DRAIN: Duration = Duration::from_millis(500);

/// Never handed to a hook.
const SECRETS: [&str; 3] = ["BACKUP_ENCRYPTION_KEY", "BACKUP_PREVIOUS_ENCRYPTION_KEYS", "SMTP_PASSWORD"];

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookEvent {
    /// Before anything of a backup is read.
    BeforeBackup,
    /// After a backup, however it came out.
    AfterBackup,
    /// Before a restore touches anything.
    BeforeRestore,
    /// After a restore, however it came out.
    AfterRestore,
}

impl HookEvent {
    /// The name in `STRONGROOM_EVENT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeBackup => "before-backup",
            Self::AfterBackup => "after-backup",
            Self::BeforeRestore => "before-restore",
            Self::AfterRestore => "after-restore",
        }
    }
}

/// What a failed hook means for the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// A warning.
    Ignore,
    /// The run is cancelled: nothing was wrong with it, somebody said no.
    Cancel,
    /// The run has failed.
    #[default]
    Fail,
}

/// A hook in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookSettings {
    /// A command line for `/bin/sh -c`.
    pub command: String,
    /// What its failure means.
    #[serde(default)]
    pub on_error: OnError,
    /// Killed after so many milliseconds; 60,000 when absent.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// What a hook is told. Each value becomes an environment variable; those that are `None` are not set.
#[derive(Debug, Clone, Default)]
pub struct HookFacts<'a> {
    /// `STRONGROOM_PLAN`.
    pub plan: Option<&'a str>,
    /// `STRONGROOM_BACKUP_ID`.
    pub backup_id: Option<&'a str>,
    /// `STRONGROOM_RESTORE_ID`.
    pub restore_id: Option<&'a str>,
    /// `STRONGROOM_STATE`: `succeeded`, `partial`, `failed`, `cancelled`.
    pub state: Option<&'a str>,
    /// `STRONGROOM_LOCATION`.
    pub location: Option<&'a str>,
    /// `STRONGROOM_BYTES`.
    pub bytes: Option<u64>,
    /// `STRONGROOM_ERROR`: the message, without its causes.
    pub error: Option<&'a str>,
}

impl HookFacts<'_> {
    fn variables(&self, event: HookEvent) -> Vec<(&'static str, String)> {
        let text = |value: Option<&str>| value.map(str::to_owned);
        [
            ("STRONGROOM_EVENT", Some(event.name().to_owned())),
            ("STRONGROOM_PLAN", text(self.plan)),
            ("STRONGROOM_BACKUP_ID", text(self.backup_id)),
            ("STRONGROOM_RESTORE_ID", text(self.restore_id)),
            ("STRONGROOM_STATE", text(self.state)),
            ("STRONGROOM_LOCATION", text(self.location)),
            ("STRONGROOM_BYTES", self.bytes.map(|bytes| bytes.to_string())),
            ("STRONGROOM_ERROR", text(self.error)),
        ]
        .into_iter()
        // An environment variable cannot hold NUL.
        .filter_map(|(name, value)| Some((name, value?.replace('\0', " "))))
        .collect()
    }
}

/// What a hook did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookOutcome {
    /// Why it counts as failed, in words; `None` when it ended with 0 in time.
    pub failure: Option<String>,
    /// What it wrote to both its outputs, in the order in which it came, up to 64 KiB.
    pub output: String,
    /// It wrote more than that.
    pub is_truncated: bool,
}

/// Runs a hook in a folder.
///
/// A failure is an [`ErrorKind::External`] where the settings say `fail`, an [`ErrorKind::Cancelled`] where they say
/// `cancel`, and a warning where they say `ignore`. A stop that `progress` hears kills the hook as well.
pub fn run(
    settings: &HookSettings,
    event: HookEvent,
    facts: &HookFacts<'_>,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<HookOutcome> {
    progress.check_cancelled()?;
    let outcome = execute(settings, event, facts, folder, progress)?;
    let Some(failure) = &outcome.failure else { return Ok(outcome) };
    let last = outcome.output.trim_end().lines().next_back().unwrap_or_default();
    let said = if last.is_empty() { String::new() } else { format!(": {last}") };
    let message = format!("the {} hook `{}` {failure}{said}", event.name(), settings.command);
    match settings.on_error {
        OnError::Ignore => {
            progress.warning(&message);
            Ok(outcome)
        }
        OnError::Cancel => Err(Error::new(
            ErrorKind::Cancelled,
            message,
            "The hook is set to cancel the run when it fails; see its output for the reason.",
        )),
        OnError::Fail => Err(Error::new(
            ErrorKind::External,
            message,
            "Run the command by hand in the application's folder, or set `on_error = \"ignore\"` for this hook.",
        )),
    }
}

fn execute(
    settings: &HookSettings,
    event: HookEvent,
    facts: &HookFacts<'_>,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<HookOutcome> {
    let doing = || format!("starting the {} hook", event.name());
    let (reader, writer) = std::io::pipe().doing(doing)?;
    let mut command = command(settings, event, facts, folder);
    command.stdin(Stdio::null()).stdout(writer.try_clone().doing(doing)?).stderr(writer);
    let mut child = command.spawn().doing(doing)?;
    // Our copies of the writing ends must go, or the output never ends.
    drop(command);
    let output = Arc::new(Mutex::new(Output::default()));
    let collector = {
        let output = Arc::clone(&output);
        std::thread::spawn(move || collect(reader, &output))
    };
    let timeout = Duration::from_millis(settings.timeout_ms.unwrap_or(TIMEOUT_MS_DEFAULT));
    let ended = wait(&mut child, timeout, progress).doing(|| format!("waiting for the {} hook", event.name()))?;
    let drained = Instant::now() + DRAIN;
    while !collector.is_finished() && Instant::now() < drained {
        std::thread::sleep(POLL);
    }
    progress.check_cancelled()?;
    let output = output.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(HookOutcome {
        failure: failure(ended, timeout),
        output: String::from_utf8_lossy(&output.bytes).into_owned(),
        is_truncated: output.is_truncated,
    })
}

fn command(settings: &HookSettings, event: HookEvent, facts: &HookFacts<'_>, folder: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(&settings.command).current_dir(folder).envs(facts.variables(event)).process_group(0);
    for secret in SECRETS {
        command.env_remove(secret);
    }
    command
}

#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    is_truncated: bool,
}

fn collect(mut reader: impl Read, output: &Mutex<Output>) {
    let mut buffer = [0; 8192];
    loop {
        let length = match reader.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = length.min(OUTPUT_BYTES_MAX - output.bytes.len());
        output.bytes.extend_from_slice(&buffer[..kept]);
        output.is_truncated |= kept < length;
    }
}

/// Waits until it ends, its time is up or somebody asks to stop; then it is killed with all that it started. `None` when
/// it was killed by us.
fn wait(child: &mut Child, timeout: Duration, progress: &dyn Progress) -> std::io::Result<Option<ExitStatus>> {
    let until = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until || progress.is_cancelled() {
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                // It may have ended this instant; then there is nothing to kill.
                let _ = kill_process_group(group, Signal::KILL);
            }
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

fn failure(ended: Option<ExitStatus>, timeout: Duration) -> Option<String> {
    match ended {
        None => Some(format!("was still running after {} ms and was killed", timeout.as_millis())),
        Some(status) if status.success() => None,
        Some(status) => Some(match (status.code(), status.signal()) {
            (Some(127), _) => "ended with 127: the command was not found".to_owned(),
            (Some(code), _) => format!("ended with {code}"),
            (None, Some(signal)) => format!("was killed by signal {signal}"),
            (None, None) => format!("ended with {status}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vault::Silent;

    fn hook(command: &str, on_error: OnError, timeout_ms: u64) -> Result<HookOutcome> {
        let settings = HookSettings { command: command.to_owned(), on_error, timeout_ms: Some(timeout_ms) };
        let facts = HookFacts { backup_id: Some("0123456789ab"), state: Some("partial"), ..HookFacts::default() };
        run(&settings, HookEvent::AfterBackup, &facts, Path::new("/"), &Silent)
    }

    #[test]
    fn a_hook_is_told_what_happened() {
        let command =
            "echo $STRONGROOM_EVENT $STRONGROOM_BACKUP_ID $STRONGROOM_STATE ${STRONGROOM_ERROR-none}; pwd >&2";
        let outcome = hook(command, OnError::Fail, 10_000).unwrap();
        assert_eq!(outcome.output, "after-backup 0123456789ab partial none\n/\n");
        assert_eq!(outcome.failure, None);
    }

    #[test]
    fn a_failure_means_what_the_settings_say() {
        let kind = |on_error| hook("echo no room >&2; exit 3", on_error, 10_000).map_err(|error| error.kind());
        assert_eq!(kind(OnError::Fail).unwrap_err(), ErrorKind::External);
        assert_eq!(kind(OnError::Cancel).unwrap_err(), ErrorKind::Cancelled);
        assert_eq!(kind(OnError::Ignore).unwrap().failure.as_deref(), Some("ended with 3"));
        let error = hook("echo no room >&2; exit 3", OnError::Fail, 10_000).unwrap_err();
        assert!(error.message().ends_with("ended with 3: no room"), "{error}");
    }

    #[test]
    fn a_hook_that_hangs_is_killed_with_its_children() {
        let marker = tempfile::tempdir().unwrap();
        let file = marker.path().join("alive");
        let command = format!("(sleep 1; touch {}) & sleep 600", file.display());
        let error = hook(&command, OnError::Fail, 100).unwrap_err();
        assert!(error.message().contains("killed"), "{error}");
        std::thread::sleep(Duration::from_millis(1300));
        assert!(!file.exists());
    }

    #[test]
    fn endless_output_is_bounded_and_a_child_in_the_background_holds_nobody_up() {
        let outcome = hook("head -c 1000000 /dev/zero; echo x", OnError::Fail, 10_000).unwrap();
        assert_eq!((outcome.output.len(), outcome.is_truncated), (OUTPUT_BYTES_MAX, true));
        let outcome = hook("sleep 5 & echo done", OnError::Fail, 10_000).unwrap();
        assert_eq!(outcome.output, "done\n");
    }

    #[test]
    fn secrets_are_removed_from_its_environment() {
        let settings = HookSettings { command: "env".to_owned(), on_error: OnError::Fail, timeout_ms: None };
        let command = command(&settings, HookEvent::BeforeBackup, &HookFacts::default(), Path::new("/"));
        let removed: Vec<_> = command.get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        assert!(SECRETS.iter().all(|secret| removed.contains(&std::ffi::OsStr::new(secret))), "{removed:?}");
    }
}
