//! Where components lie: other file systems, and places that this user may not enter.

use crate::support::{App, Mounted};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

#[test]
fn another_file_system_is_left_out_where_the_component_says_so() {
    let app = App::new();
    let mounted = Mounted::tmpfs(app.path().join("uploads/cache"), "1m");
    fs::write(mounted.0.join("thumbnail.png"), "x").unwrap();
    let everything = app.backup(&["--component", "uploads"]);
    let holds = |id: &serde_json::Value| app.ok(&["files", id.as_str().unwrap(), "uploads"]).to_string();
    assert!(holds(&everything["id"]).contains("thumbnail.png"));

    app.configure("[components.uploads]\nkind = \"files\"\npath = \"uploads\"\none_file_system = true\n");
    let one = app.backup(&["--component", "uploads"]);
    assert_eq!(one["state"], "succeeded", "{one}");
    assert!(!holds(&one["id"]).contains("thumbnail.png"), "what is mounted there is not the component's");
    app.ok(&["drill", one["id"].as_str().unwrap()]);
}

#[test]
fn a_database_that_may_not_be_read_or_replaced_is_refused_with_the_remedy() {
    let app = App::new();
    let give = |path: &std::path::Path| {
        let status = std::process::Command::new("chown").args(["-R", "65534:65534"]).arg(path).status().unwrap();
        assert!(status.success(), "this test gives files away, which needs root");
    };
    give(app.path());
    let good = app.run_as_nobody(&["backup", "--component", "database", "--json"]);
    assert_eq!(good.exit, 0, "{good:?}");

    // Readable, in a folder where nothing can be put beside it.
    let folder = app.path().join("prisma");
    std::os::unix::fs::chown(&folder, Some(0), Some(0)).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    let before = app.snapshot();
    let restore = ["restore", "latest", "--component", "database", "--confirm", "CONFIRM_RESTORE", "--json"];
    let refused = app.run_as_nobody(&restore);
    assert_eq!(refused.exit, 1, "{refused:?}");
    assert!(refused.stderr.contains("may not write in"), "{refused:?}");
    crate::support::assert_same(&app.snapshot(), &before);

    // Not even readable.
    std::os::unix::fs::chown(app.database(), Some(0), Some(0)).unwrap();
    fs::set_permissions(app.database(), Permissions::from_mode(0o600)).unwrap();
    let refused = app.run_as_nobody(&["backup", "--component", "database", "--json"]);
    assert_eq!((refused.exit, refused.error_code().as_str()), (1, "permission_denied"), "{refused:?}");
    assert!(refused.stderr.contains("dev.db"), "{refused:?}");
}
