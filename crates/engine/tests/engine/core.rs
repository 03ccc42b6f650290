//! The catalog and its locks under several processes at once: the test binary starts itself again as the others.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use engine::ErrorKind;
use engine::catalog::audit::heads;
use engine::catalog::{AuditEvent, AuditOutcome, BackupFilter, BackupRecord, Catalog, Holder, Locks};
use engine::id::Id;
use engine::manifest::{State, Tier};
use jiff::Timestamp;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Barrier};

/// Says what the other process is to do: `<role> <folder>`.
const ROLE: &str = "STRONGROOM_TEST_ROLE";
const ENTRIES: u64 = 40;

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn open(folder: &Path) -> Catalog {
    Catalog::open(&folder.join("catalog.db")).unwrap()
}

fn event(actor: &str) -> AuditEvent {
    AuditEvent {
        at: now(),
        actor: actor.to_owned(),
        origin: "test".to_owned(),
        action: "backup.create".to_owned(),
        subject: None,
        outcome: AuditOutcome::Success,
        details: serde_json::json!({}),
    }
}

/// Another process, with the pipe that it writes its results into.
struct Other {
    process: Child,
    _output: Lines<BufReader<ChildStdout>>,
}

/// Starts this test binary again with a role, and waits until it says that it is ready.
fn start(role: &str, folder: &Path) -> Other {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "core::another_process", "--nocapture"])
        .env(ROLE, format!("{role} {}", folder.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(output.by_ref().map_while(Result::ok).any(|line| line.ends_with("ready")), "{role} never got ready");
    Other { process: child, _output: output }
}

/// Not a test of its own: what the other processes do. Without a role it has nothing to do.
#[test]
fn another_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, folder) = role.split_once(' ').unwrap();
    let folder = Path::new(folder);
    let catalog = open(folder);
    match role {
        "audit" => {
            println!("ready");
            for _ in 0..ENTRIES {
                catalog.audit(&event("other")).unwrap();
            }
        }
        "backup" => {
            let locks = Locks::in_folder(folder).unwrap();
            let _lock = locks.plan("default", &Holder::this("backup 0123456789ab", now())).unwrap();
            let id = Id::parse("0123456789ab").unwrap();
            catalog.backup_start(&BackupRecord::running(id, "default", Tier::Daily, now())).unwrap();
            println!("ready");
            std::thread::park();
        }
        other => panic!("no such role: {other}"),
    }
}

#[test]
fn processes_and_threads_append_to_one_unbroken_audit_chain() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Arc::new(open(folder.path()));
    let mut children: Vec<_> = (0..3).map(|_| start("audit", folder.path())).collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mine = open(folder.path());
                (0..ENTRIES).for_each(|_| drop(mine.audit(&event("thread")).unwrap()));
            });
        }
        scope.spawn(|| (0..ENTRIES).for_each(|_| drop(catalog.audit(&event("shared")).unwrap())));
    });
    for child in &mut children {
        assert!(child.process.wait().unwrap().success());
    }
    let head = catalog.audit_head().unwrap();
    heads::append(folder.path(), &head, now()).unwrap();
    let report = catalog.audit_verify(&heads::read(folder.path()).unwrap()).unwrap();
    assert_eq!((report.entries, report.problems), (6 * ENTRIES, vec![]));
    assert_eq!(head.seq, 6 * ENTRIES);
}

#[test]
fn a_plan_never_runs_twice_and_a_killed_run_frees_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start("backup", folder.path());
    let (catalog, locks) = (open(folder.path()), Locks::in_folder(folder.path()).unwrap());
    let me = Holder::this("backup", now());

    let error = locks.plan("default", &me).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.message().contains(&format!("process {}", child.process.id())), "{error}");
    assert_eq!(locks.everything(&me).unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(catalog.backup("0123456789ab").unwrap().state, State::Running);

    child.process.kill().unwrap();
    child.process.wait().unwrap();
    let _lock = locks.plan("default", &me).unwrap();
}

#[test]
fn a_new_catalog_that_many_open_at_once_is_made_once() {
    // Which of them are at the same step at the same time is chance: many rounds make it all but certain that some are.
    for _ in 0..50 {
        let folder = tempfile::tempdir().unwrap();
        let together = Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    together.wait();
                    open(folder.path()).backups(&BackupFilter::default()).unwrap()
                });
            }
        });
    }
}

#[test]
fn a_catalog_of_a_newer_program_and_a_damaged_one_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    drop(open(folder.path()));
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    assert_eq!(Catalog::open(&path).err().unwrap().kind(), ErrorKind::Unsupported);
    std::fs::write(&path, vec![7; 8192]).unwrap();
    let error = Catalog::open(&path).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.hint().contains("catalog rebuild"), "{}", error.hint());
}

#[test]
fn thousands_of_records_are_listed_page_by_page_without_gap_or_repetition() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = open(folder.path());
    let manifest = |record: &BackupRecord| engine::manifest::Manifest {
        format: "strongroom-manifest".to_owned(),
        version: 1,
        id: record.id.clone(),
        plan: record.plan.clone(),
        tier: record.tier,
        description: None,
        archive: engine::manifest::Format::Tar,
        started_at: record.started_at,
        captured_at: record.started_at,
        hash_key: "0".repeat(64),
        key_fingerprint: None,
        tools: std::collections::BTreeMap::new(),
        audit_head: None,
        origins: std::collections::BTreeMap::new(),
        components: Vec::new(),
    };
    let records = (0..300_i64).map(|n| {
        let start = Timestamp::from_second(1_700_000_000 + n / 7 * 60).unwrap();
        let record = BackupRecord::running(Id::generate().unwrap(), "default", Tier::ALL[n as usize % 5], start);
        let manifest = manifest(&record);
        Ok((record.finished(State::Succeeded, start), manifest))
    });
    assert_eq!(catalog.rebuild(records).unwrap(), 300);
    let mut seen = std::collections::HashSet::new();
    let mut filter = BackupFilter { limit: Some(37), ..BackupFilter::default() };
    let mut previous = Timestamp::MAX;
    loop {
        let page = catalog.backups(&filter).unwrap();
        for record in page.backups {
            assert!(record.started_at <= previous);
            previous = record.started_at;
            assert!(seen.insert(record.id));
        }
        let Some(next) = page.next else { break };
        filter.after = Some(next);
    }
    assert_eq!(seen.len(), 300);
}
