//! A disk that fills up: a small tmpfs as the backup folder. Needs root for `mount`, which containers and CI have.

use crate::support::{App, Mounted, assert_same};

#[test]
fn a_full_disk_fails_the_backup_and_keeps_the_earlier_ones() {
    let app = App::new();
    let backups = Mounted::tmpfs(app.path().join("backups"), "6m");
    let good = app.backup(&["--component", "config"]);
    let noise: Vec<u8> = (0..12_000_000_u64)
        .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8 ^ (n.wrapping_mul(n) >> 7) as u8)
        .collect();
    std::fs::write(app.path().join("uploads/noise.bin"), noise).unwrap();
    assert_eq!(app.fails(1, &["backup", "--component", "uploads"]), "no_space");
    let list = app.ok(&["list"]);
    assert_eq!(list[0]["state"], "failed");
    assert!(list[0]["error"].to_string().contains("space"), "{list}");
    app.ok(&["verify", good["id"].as_str().unwrap()]);
    let left: Vec<_> =
        std::fs::read_dir(backups.0.join("manual")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the good archive and its sidecar: {left:?}");
}

#[test]
fn a_restore_without_room_is_refused_before_anything_is_touched() {
    let app = App::new();
    let size = std::fs::metadata(app.database()).unwrap().len();
    app.backup(&["--component", "database"]);
    let small = Mounted::tmpfs(app.path().join("small"), &format!("{}k", size / 1024 / 2));
    let to = small.0.join("there");
    assert_eq!(app.fails(1, &["restore", "latest", "--to", to.to_str().unwrap()]), "no_space");
    assert!(!to.exists() || std::fs::read_dir(&to).unwrap().next().is_none());
}

#[test]
fn a_database_is_not_copied_where_it_does_not_fit() {
    let app = App::new();
    let before = app.snapshot();
    let _backups = Mounted::tmpfs(app.path().join("backups"), "400k");
    app.execute("CREATE TABLE ballast (x); INSERT INTO ballast VALUES (zeroblob(1000000));");
    assert_eq!(app.fails(1, &["backup", "--component", "database"]), "no_space");
    app.execute("DROP TABLE ballast");
    assert_same(&app.snapshot(), &before);
}

#[test]
fn a_live_database_without_room_beside_it_stays_as_it_is() {
    let app = App::new();
    let size = std::fs::metadata(app.database()).unwrap().len();
    let folder = Mounted::tmpfs(app.path().join("small"), &format!("{}k", size * 2 / 1024));
    let live = folder.0.join("dev.db");
    std::fs::copy(app.database(), &live).unwrap();
    app.configure("[components.database]\nkind = \"sqlite\"\npath = \"small/dev.db\"\n");
    app.backup(&["--component", "database"]);
    let before = std::fs::read(&live).unwrap();
    let restore = ["restore", "latest", "--component", "database", "--confirm", "CONFIRM_RESTORE"];
    assert_eq!(app.fails(1, &restore), "no_space");
    assert_eq!(std::fs::read(&live).unwrap(), before);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside it");
}
