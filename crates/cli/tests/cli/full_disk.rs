//! A disk that fills up: a small tmpfs as the backup folder. Needs root for `mount`, which containers and CI have.

use crate::support::App;
use std::process::Command;

/// A file system of this size, unmounted when dropped.
pub struct Mounted(pub std::path::PathBuf);

impl Mounted {
    /// Mounts it.
    pub fn new(path: std::path::PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(status.success(), "mounting a tmpfs needs root");
        Self(path)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_fails_the_backup_and_keeps_the_earlier_ones() {
    let app = App::new();
    let backups = Mounted::new(app.path().join("backups"), "6m");
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
    let small = Mounted::new(app.path().join("small"), &format!("{}k", size / 1024 / 2));
    let to = small.0.join("there");
    assert_eq!(app.fails(1, &["restore", "latest", "--to", to.to_str().unwrap()]), "no_space");
    assert!(!to.exists() || std::fs::read_dir(&to).unwrap().next().is_none());
}
