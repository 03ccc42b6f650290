//! A swap whose process is killed while pages are on their way: SQLite's own journal or WAL has to bring the file back.

use super::*;
use std::process::{Command, Stdio};
use std::time::Duration;

const CHILD: &str = "STRONGROOM_TEST_SWAP";

const ROWS: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) INSERT INTO t SELECT i, zeroblob(3000) FROM n;";

/// Not a test of its own: the process that the test below kills. Without its variable it does nothing.
#[test]
fn child_that_swaps_back_and_forth() {
    let Ok(arguments) = std::env::var(CHILD) else { return };
    let [live, state, id] = arguments.split('\n').collect::<Vec<_>>()[..] else { unreachable!() };
    loop {
        let mut target = live_target(Path::new(live), Path::new(state), &Id::parse(id).unwrap());
        target.swap(&target_context(&Silent)).unwrap();
        target.swap_back(&target_context(&Silent)).unwrap();
    }
}

#[test]
fn kill_9_at_any_moment_leaves_one_whole_database() {
    let (_source, new) =
        database(&format!("{ROWS} UPDATE t SET v = 'new'; INSERT INTO t SELECT id + 10000, 'new' FROM t;"));
    let taken = backup(&new, Export::Native);
    for mode in ["WAL", "DELETE"] {
        let (_folder, live) = database(&format!(
            "PRAGMA journal_mode={mode}; {ROWS} UPDATE t SET v = CAST('old' || id AS BLOB) WHERE id % 2;"
        ));
        let state = tempfile::tempdir().unwrap();
        let id = Id::generate().unwrap();
        stage(&live, state.path(), &id, &taken);
        for round in 0..6_u64 {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "sqlite::killed::child_that_swaps_back_and_forth"])
                .env(CHILD, format!("{}\n{}\n{id}", live.display(), state.path().display()))
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(40 + round * 26));
            child.kill().unwrap();
            child.wait().unwrap();
            let mut target = live_target(&live, state.path(), &id);
            let (to, rows) = if round % 2 == 0 { ("swap", 8000) } else { ("swap_back", 4000) };
            match to {
                "swap" => target.swap(&target_context(&Silent)).unwrap(),
                _ => target.swap_back(&target_context(&Silent)).unwrap(),
            }
            assert_eq!(integer(&live, "SELECT count(*) FROM t"), rows, "{mode} {round} {to}");
            assert_eq!(integer(&live, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
            let new_rows = integer(&live, "SELECT count(*) FROM t WHERE v = 'new'");
            assert_eq!(new_rows, if rows == 8000 { 8000 } else { 0 }, "{mode} {round}");
        }
    }
}
