//! The user's commands before and after backups and restores.
//!
//! A hook runs through `/bin/sh -c` in the application's folder, in a process group of its own that is killed when its time
//! is over. It learns what happened from `STRONGROOM_…` variables, and never gets our secrets: whatever the environment
//! holds of keys and passwords is taken out.
//!
//! Uncomfortable: a hook *after* a backup cannot unmake it; its failure is a warning in the log, whatever `on_error` says.

use crate::backup::Job;
use crate::catalog::backups::BackupRecord;
use crate::catalog::restores::RestoreRecord;
use crate::config::{HookSettings, OnError};
use crate::room::Room;
use crate::{Error, ErrorKind, Result};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use vault::error::IoContext;

const OUTPUT_BYTES_MAX: u64 = 64 << 10;
const SECRETS: [&str; 5] =
    ["BACKUP_ENCRYPTION_KEY", "BACKUP_PREVIOUS_KEYS", "SMTP_PASSWORD", "PGPASSWORD", "MYSQL_PWD"];

type Facts = Vec<(&'static str, String)>;

/// Runs the hook before a backup; it may call the backup off.
pub fn before_backup(room: &Room, job: &Job) -> Result<()> {
    let facts = vec![
        ("EVENT", "before-backup".to_owned()),
        ("BACKUP_ID", job.id.to_string()),
        ("PLAN", job.plan.clone()),
        ("TIER", job.tier.name().to_owned()),
    ];
    before(room, room.config.hooks.before_backup.as_ref(), &facts)
}

/// Runs the hook after a backup, however it ended.
pub fn after_backup(room: &Room, job: &Job, result: &Result<BackupRecord>) {
    let mut facts = vec![
        ("EVENT", "after-backup".to_owned()),
        ("BACKUP_ID", job.id.to_string()),
        ("PLAN", job.plan.clone()),
        ("TIER", job.tier.name().to_owned()),
    ];
    match result {
        Ok(record) => facts.extend([
            ("STATE", record.state.name().to_owned()),
            ("LOCATION", record.location.clone().unwrap_or_default()),
            ("BYTES", record.bytes.unwrap_or_default().to_string()),
        ]),
        Err(error) => facts.extend(failure(error)),
    }
    after(room, room.config.hooks.after_backup.as_ref(), &facts);
}

/// Runs the hook before a restore; it may call the restore off.
pub fn before_restore(room: &Room, record: &RestoreRecord) -> Result<()> {
    let facts = vec![
        ("EVENT", "before-restore".to_owned()),
        ("RESTORE_ID", record.id.to_string()),
        ("BACKUP_ID", record.backup_id.to_string()),
        ("COMPONENTS", record.components.join(",")),
    ];
    before(room, room.config.hooks.before_restore.as_ref(), &facts)
}

/// Runs the hook after a restore, however it ended.
pub fn after_restore(room: &Room, result: &Result<RestoreRecord>) {
    let mut facts = vec![("EVENT", "after-restore".to_owned())];
    match result {
        Ok(record) => facts.extend([
            ("STATE", record.state.name().to_owned()),
            ("RESTORE_ID", record.id.to_string()),
            ("BACKUP_ID", record.backup_id.to_string()),
            ("COMPONENTS", record.components.join(",")),
        ]),
        Err(error) => facts.extend(failure(error)),
    }
    after(room, room.config.hooks.after_restore.as_ref(), &facts);
}

fn failure(error: &Error) -> Facts {
    vec![
        ("STATE", if error.kind() == ErrorKind::Cancelled { "cancelled" } else { "failed" }.to_owned()),
        ("ERROR", error.message().to_owned()),
        ("ERROR_CODE", error.kind().code().to_owned()),
    ]
}

fn before(room: &Room, hook: Option<&HookSettings>, facts: &Facts) -> Result<()> {
    let Some(hook) = hook else { return Ok(()) };
    match (run(hook, &room.config.folder, facts), hook.on_error) {
        (Ok(()), _) => Ok(()),
        (Err(error), OnError::Ignore) => {
            tracing::warn!(%error, "a hook failed, which its settings ignore");
            Ok(())
        }
        (Err(error), OnError::Cancel) => {
            Err(Error::new(ErrorKind::Cancelled, format!("called off by a hook: {error}"), "Nothing was done."))
        }
        (Err(error), OnError::Fail) => Err(error),
    }
}

fn after(room: &Room, hook: Option<&HookSettings>, facts: &Facts) {
    if let Some(hook) = hook
        && let Err(error) = run(hook, &room.config.folder, facts)
    {
        tracing::error!(%error, hint = error.hint(), "a hook failed after the work was done");
    }
}

fn run(hook: &HookSettings, folder: &Path, facts: &Facts) -> Result<()> {
    let what = || format!("running the hook `{}`", hook.command);
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(&hook.command).current_dir(folder).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    SECRETS.iter().for_each(|name| {
        command.env_remove(name);
    });
    command.envs(facts.iter().map(|(name, value)| (format!("STRONGROOM_{name}"), value.replace('\0', " "))));
    let mut child = command.spawn().doing(what)?;
    let output = collect(&mut child);
    let timeout = Duration::from_secs(hook.timeout_seconds);
    let status = wait(&mut child, timeout).doing(what)?;
    let Some(status) = status else {
        return Err(Error::new(
            ErrorKind::External,
            format!("the hook `{}` did not end within {} s and was killed", hook.command, timeout.as_secs()),
            "Make it faster, or give it more time with timeout_seconds.",
        ));
    };
    // A process that the hook left in the background keeps its pipes open: its output is not waited for.
    let said = output.recv_timeout(Duration::from_secs(2)).unwrap_or_default();
    tracing::info!(command = hook.command, %status, output = said, "hook ended");
    if status.success() {
        return Ok(());
    }
    let last = said.lines().last().map(|line| format!(": {line}")).unwrap_or_default();
    Err(Error::new(
        ErrorKind::External,
        format!("the hook `{}` failed ({status}){last}", hook.command),
        "Its whole output stands in the log; run it by hand to see why.",
    ))
}

/// Reads both outputs on a thread of their own, 64 KiB of each at most; the rest is drained.
fn collect(child: &mut Child) -> crossbeam_channel::Receiver<String> {
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::spawn(move || {
        let errors = thread::spawn(move || stderr.map(head).unwrap_or_default());
        let mut said = stdout.map(head).unwrap_or_default();
        said.push_str(&errors.join().unwrap_or_default());
        let _ = sender.send(said);
    });
    receiver
}

fn head(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = stream.by_ref().take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes);
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits; kills the whole process group when the time is over.
fn wait(child: &mut Child, timeout: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            if let Some(group) = rustix::process::Pid::from_raw(child.id() as i32) {
                rustix::process::kill_process_group(group, rustix::process::Signal::KILL)?;
            }
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(command: &str, timeout_seconds: u64) -> HookSettings {
        HookSettings { command: command.to_owned(), on_error: OnError::Fail, timeout_seconds }
    }

    #[test]
    fn a_hook_learns_the_facts_and_its_failure_shows_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        run(
            &hook("test \"$STRONGROOM_STATE\" = succeeded", 5),
            folder.path(),
            &vec![("STATE", "succeeded".to_owned())],
        )
        .unwrap();
        let error = run(&hook("echo one; echo two >&2; exit 3", 5), folder.path(), &Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::External);
        assert!(error.message().contains("two"), "{error}");
    }

    #[test]
    fn a_hook_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let error = run(&hook("sleep 60 & sleep 60", 1), folder.path(), &Vec::new()).unwrap_err();
        assert!(error.message().contains("killed"), "{error}");
    }

    #[test]
    fn endless_output_does_not_block_a_hook() {
        let folder = tempfile::tempdir().unwrap();
        run(&hook("head -c 3000000 /dev/zero", 20), folder.path(), &Vec::new()).unwrap();
    }
}
