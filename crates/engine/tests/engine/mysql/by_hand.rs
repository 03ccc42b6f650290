//! The server's own client alone restores a native export.

use super::round_trip::torture;
use super::*;
use testkit::mariadb::Server;

#[test]
fn the_client_alone_restores_everything_from_the_files() {
    let server = Server::shared();
    torture(server, "by_hand");
    let (_, kept) = backup(&server.url("by_hand"), Export::Native);
    let folder = tempfile::tempdir().unwrap();
    kept.write_to(folder.path());
    server.fresh("by_hand_copy");
    let script = std::fs::File::open(folder.path().join("restore.sql")).unwrap();
    let mut client = server.client("by_hand_copy");
    let output = client.current_dir(folder.path()).stdin(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (before, after) = (server.dump("by_hand"), server.dump("by_hand_copy"));
    assert_eq!(before.replace("`by_hand`.", ""), after.replace("`by_hand_copy`.", ""));
}
