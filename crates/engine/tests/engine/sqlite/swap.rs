//! Exchanging a live database, under readers and writers, through crashes, and back.

use super::*;
use engine::ErrorKind;
use engine::target::sqlite::STEPS;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

const OLD: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX t_v ON t(v);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
    INSERT INTO t SELECT i, 'old' || hex(randomblob(40)) FROM n;";
const NEW: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE more(x);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
    INSERT INTO t SELECT i, 'new' || hex(randomblob(40)) FROM n;";

struct Scene {
    _folders: [TempDir; 3],
    live: PathBuf,
    state: PathBuf,
    id: Id,
    backup: Backup,
}

impl Scene {
    /// A live database with old content and a backup with new content.
    fn new(old_pragmas: &str, new_pragmas: &str) -> Self {
        let (source_folder, source) = database(&format!("{new_pragmas} {NEW}"));
        let (folder, live) = database(&format!("{old_pragmas} {OLD}"));
        let state = tempfile::tempdir().unwrap();
        Self {
            live,
            state: state.path().to_owned(),
            id: Id::generate().unwrap(),
            backup: backup(&source, Export::Native),
            _folders: [source_folder, folder, state],
        }
    }

    fn stage(&self) -> SqliteTarget {
        stage(&self.live, &self.state, &self.id, &self.backup)
    }

    fn target(&self) -> SqliteTarget {
        live_target(&self.live, &self.state, &self.id)
    }

    fn beside(&self) -> Vec<String> {
        let names = self.live.parent().unwrap().read_dir().unwrap();
        let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>();
        names.retain(|name| name.contains("strongroom"));
        names.sort();
        names
    }
}

fn rows_of(path: &Path, what: &str) -> i64 {
    integer(path, &format!("SELECT count(*) FROM t WHERE v LIKE '{what}%'"))
}

fn is_new(path: &Path) -> bool {
    assert_eq!(integer(path, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
    let (old, new) = (rows_of(path, "old"), rows_of(path, "new"));
    assert!((old == 0 && new >= 900) || (old >= 500 && new == 0), "a mixture: {old} old rows, {new} new ones");
    new > 0
}

const MODES: [&str; 2] = ["PRAGMA journal_mode=WAL;", "PRAGMA journal_mode=DELETE;"];

#[test]
fn an_open_application_sees_the_other_content_at_its_next_read() {
    for mode in MODES {
        for new_mode in MODES {
            let scene = Scene::new(mode, new_mode);
            let application = Connection::open(&scene.live).unwrap();
            let count = || application.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
            assert_eq!(count(), 500);
            let mut target = scene.stage();
            let context = target_context(&Silent);
            target.swap(&context).unwrap();
            target.swap(&context).unwrap();
            assert_eq!(count(), 900);
            application.execute("INSERT INTO t(v) VALUES ('new after the restore')", []).unwrap();
            target.swap_back(&context).unwrap();
            target.swap_back(&context).unwrap();
            assert_eq!(count(), 500);
            application.execute("INSERT INTO t(v) VALUES ('old after the undo')", []).unwrap();
            // An undo can itself be undone, and nothing that was written meanwhile is lost.
            scene.target().swap(&context).unwrap();
            assert_eq!(count(), 901);
            scene.target().swap_back(&context).unwrap();
            assert_eq!(count(), 501);
            scene.target().discard(&context).unwrap();
            scene.target().discard(&context).unwrap();
            assert_eq!((count(), scene.beside()), (501, vec![]));
            assert!(!is_new(&scene.live));
        }
    }
}

#[test]
fn writers_lose_no_committed_row() {
    for mode in MODES {
        let scene = Scene::new(mode, MODES[0]);
        let mut target = scene.stage();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let connection = Connection::open(&scene.live).unwrap();
                connection.busy_timeout(Duration::from_secs(20)).unwrap();
                let mut written = 0_i64;
                while !stop.load(Ordering::Relaxed) {
                    connection
                        .execute_batch("INSERT INTO t(v) SELECT substr(v, 1, 3) || ' written' FROM t WHERE id = 1")
                        .unwrap();
                    written += 1;
                }
                written
            });
            let stops = Stops(&stop);
            std::thread::sleep(Duration::from_millis(30));
            // A writer that never pauses may win the lock for longer than the time-out: then nothing was changed, and it is
            // tried again as the message says.
            let mut result = target.swap(&target_context(&Silent));
            for _ in 0..10 {
                match result {
                    Err(error) if error.kind() == ErrorKind::Busy => result = target.swap(&target_context(&Silent)),
                    other => {
                        result = other;
                        break;
                    }
                }
            }
            result.unwrap();
            std::thread::sleep(Duration::from_millis(30));
            drop(stops);
            let written = writer.join().unwrap();
            let in_live = integer(&scene.live, "SELECT count(*) FROM t WHERE v LIKE '% written'");
            let before = scene.live.with_file_name(format!("app.db.strongroom-{}-before", scene.id));
            let in_before = integer(&before, "SELECT count(*) FROM t WHERE v LIKE '% written'");
            assert_eq!(in_live + in_before, written);
            assert!(is_new(&scene.live) && !is_new(&before));
        });
    }
}

#[test]
fn a_writer_that_does_not_end_is_a_refusal_without_a_change() {
    for mode in MODES {
        let scene = Scene::new(mode, MODES[1]);
        let mut target = scene.stage();
        let writer = Connection::open(&scene.live).unwrap();
        writer.execute_batch("BEGIN IMMEDIATE; INSERT INTO t(v) VALUES ('old and open')").unwrap();
        let error = target.swap(&target_context(&Silent)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(rows_of(&scene.live, "old"), 501);
        target.swap(&target_context(&Silent)).unwrap();
        assert!(is_new(&scene.live));
    }
}

/// Dies at one step.
struct DiesAt(&'static str);

impl Progress for DiesAt {
    fn step(&self, name: &'static str) {
        if name == self.0 {
            resume_unwind(Box::new("dying as asked"));
        }
    }
}

fn die_at(step: &'static str, work: impl FnOnce(&dyn Progress)) -> bool {
    catch_unwind(AssertUnwindSafe(|| work(&DiesAt(step)))).is_err()
}

/// Damages the live database beyond what SQLite opens.
fn ruin(live: &Path) {
    std::fs::write(live, b"nothing that SQLite would know ".repeat(400)).unwrap();
    std::fs::write(live.with_extension("db-journal"), b"an old journal").unwrap();
}

#[test]
fn a_crash_at_any_step_is_finished_or_undone_by_the_next_call() {
    let mut died = std::collections::BTreeSet::new();
    for mode in MODES {
        for ruined in [false, true] {
            for step in STEPS {
                for finish in [true, false] {
                    let scene = Scene::new(mode, MODES[0]);
                    let mut target = scene.stage();
                    if ruined {
                        ruin(&scene.live);
                    }
                    if !die_at(step, |progress| target.swap(&target_context(progress)).unwrap()) {
                        continue;
                    }
                    died.insert(step);
                    let mut next = scene.target();
                    let context = target_context(&Silent);
                    if finish {
                        next.swap(&context).unwrap();
                        assert!(is_new(&scene.live), "{mode} {ruined} {step}");
                    }
                    // Back, and dying there too.
                    let dead = die_at(step, |progress| next.swap_back(&target_context(progress)).unwrap());
                    assert!(dead || !finish, "{step}");
                    scene.target().swap_back(&context).unwrap();
                    if ruined {
                        assert!(std::fs::read(&scene.live).unwrap().starts_with(b"nothing that SQLite"));
                        assert_eq!(std::fs::read(scene.live.with_extension("db-journal")).unwrap(), b"an old journal");
                    } else {
                        assert!(!is_new(&scene.live), "{mode} {step}");
                    }
                    scene.target().swap(&context).unwrap();
                    assert!(is_new(&scene.live), "{mode} {ruined} {step}");
                    scene.target().discard(&context).unwrap();
                    assert_eq!(scene.beside(), Vec::<String>::new());
                    assert!(is_new(&scene.live));
                }
            }
        }
    }
    assert_eq!(died.into_iter().collect::<Vec<_>>().len(), STEPS.len(), "every step was hit");
}

#[test]
fn rows_written_between_a_crash_and_the_next_call_are_kept() {
    for step in STEPS {
        let scene = Scene::new(MODES[0], MODES[0]);
        let mut target = scene.stage();
        if !die_at(step, |progress| target.swap(&target_context(progress)).unwrap()) {
            continue;
        }
        let was_new = is_new(&scene.live);
        let word = if was_new { "new" } else { "old" };
        let application = Connection::open(&scene.live).unwrap();
        application.execute("INSERT INTO t(v) VALUES (?1 || ' late')", [word]).unwrap();
        drop(application);
        scene.target().swap(&target_context(&Silent)).unwrap();
        let before = scene.live.with_file_name(format!("app.db.strongroom-{}-before", scene.id));
        let late = |path: &Path| integer(path, "SELECT count(*) FROM t WHERE v LIKE '% late'");
        assert!(is_new(&scene.live) && !is_new(&before), "{step}");
        assert_eq!((late(&scene.live), late(&before)), (i64::from(was_new), i64::from(!was_new)), "{step}");
    }
}

#[test]
fn another_page_size_is_exchanged_when_nobody_is_in_the_way() {
    let scene = Scene::new(MODES[0], "PRAGMA page_size=8192;");
    let mut target = scene.stage();
    let context = target_context(&Silent);
    let application = Connection::open(&scene.live).unwrap();
    application.query_row("SELECT count(*) FROM t", [], |_| Ok(())).unwrap();
    assert_eq!(target.swap(&context).unwrap_err().kind(), ErrorKind::Busy);
    assert!(!is_new(&scene.live));
    drop(application);
    target.swap(&context).unwrap();
    assert!(is_new(&scene.live));
    assert_eq!(integer(&scene.live, "PRAGMA page_size"), 8192);
    target.swap_back(&context).unwrap();
    assert!(!is_new(&scene.live));
}

#[test]
fn a_missing_database_is_put_there_and_taken_away_again() {
    let scene = Scene::new(MODES[1], MODES[1]);
    std::fs::remove_file(&scene.live).unwrap();
    let mut target = scene.stage();
    let context = target_context(&Silent);
    target.swap(&context).unwrap();
    assert!(is_new(&scene.live));
    target.swap_back(&context).unwrap();
    assert!(!scene.live.exists());
    target.swap(&context).unwrap();
    assert!(is_new(&scene.live));
    target.discard(&context).unwrap();
    assert!(is_new(&scene.live) && scene.beside().is_empty());
}

#[test]
fn a_ruined_database_that_somebody_holds_open_is_not_replaced() {
    let scene = Scene::new(MODES[1], MODES[1]);
    let mut target = scene.stage();
    ruin(&scene.live);
    let mut other =
        std::process::Command::new("sleep").arg("60").stdin(std::fs::File::open(&scene.live).unwrap()).spawn().unwrap();
    let context = target_context(&Silent);
    let plan = target.inspect(&context, &scene.backup.manifest).unwrap();
    let refused = target.swap(&context);
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(plan.obstacles.iter().any(|line| line.contains("sleep")), "{plan:?}");
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.message().contains(&format!("pid {}", other.id())), "{error}");
    target.swap(&context).unwrap();
    assert!(is_new(&scene.live));
}

#[test]
fn the_live_file_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    for ruined in [false, true] {
        let scene = Scene::new(MODES[1], MODES[1]);
        std::fs::set_permissions(&scene.live, std::fs::Permissions::from_mode(0o640)).unwrap();
        let mut target = scene.stage();
        if ruined {
            ruin(&scene.live);
        }
        target.swap(&target_context(&Silent)).unwrap();
        assert_eq!(std::fs::metadata(&scene.live).unwrap().permissions().mode() & 0o777, 0o640);
    }
}

#[test]
fn a_restore_that_is_dropped_before_the_swap_leaves_nothing() {
    let scene = Scene::new(MODES[0], MODES[0]);
    let before = std::fs::read(&scene.live).unwrap();
    let mut target = scene.stage();
    assert_eq!(scene.beside().len(), 1);
    target.discard(&target_context(&Silent)).unwrap();
    assert_eq!(scene.beside(), Vec::<String>::new());
    assert_eq!(std::fs::read(&scene.live).unwrap(), before);
}

#[test]
fn more_than_one_file_is_no_sqlite_backup() {
    let scene = Scene::new(MODES[0], MODES[0]);
    let mut target = scene.stage();
    let error =
        target.entry(&target_context(&Silent), &scene.backup.entry, &mut scene.backup.bytes.as_slice()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let mut other = scene.target();
    let error = other
        .entry(&target_context(&Silent), &scene.backup.entry, &mut b"PK\x03\x04 something".as_slice())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotABackup);
}
