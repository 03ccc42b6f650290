//! Everything comes back, in both exports.

use super::*;
use testkit::mariadb::Server;

const TORTURE: &str = include_str!("torture.sql");

pub fn torture(server: &Server, database: &str) {
    server.fresh(database);

    server.sql(database, TORTURE);
}

fn comes_back(database: &str, export: Export) {
    let server = Server::shared();
    torture(server, database);
    let copy = format!("{database}_copy");
    server.sql("", &format!("DROP DATABASE IF EXISTS {copy}"));
    let (manifest, kept) = backup(&server.url(database), export);
    assert_eq!(manifest.warnings.len(), 1, "{:?}", manifest.warnings);
    restore_new(&server.url(&copy), &manifest, &kept);
    let (before, after) = (server.dump(database), server.dump(&copy));
    // The only place where the server's own dump names the database.
    assert_same(&before.replace(&format!("`{database}`."), ""), &after.replace(&format!("`{copy}`."), ""), "");
    assert_eq!(history(server, database), history(server, &copy));
}

/// What the dump program leaves out or rounds.
fn history(server: &Server, database: &str) -> String {
    server.sql(
        database,
        "SELECT *, ROW_START, ROW_END FROM versioned FOR SYSTEM_TIME ALL ORDER BY 1, ROW_END; \
         SELECT id, t, s, e FROM versioned_named FOR SYSTEM_TIME ALL ORDER BY id, e; \
         SELECT id, f * 1e0, x FROM numbers ORDER BY id; SELECT * FROM counted; SELECT * FROM spent; SELECT * FROM `down é`; \
         SELECT id, e + 0, e0 + 0, s + 0, s0 + 0, HEX(la) FROM texts ORDER BY id; SELECT twice(4); SELECT name, type, body, definer, sql_mode FROM mysql.proc WHERE db = DATABASE() ORDER BY 1, 2; SELECT * FROM a_uses_b; \
         SELECT n, t FROM no_key; SELECT @@character_set_database, @@collation_database",
    )
}

#[test]
fn everything_comes_back_from_a_native_export() {
    comes_back("torture_native", Export::Native);
}

/// The shapes of well-known sample databases, judged by the server's own dump program.
#[test]
fn the_shapes_of_sample_databases_come_back() {
    let server = Server::shared();
    server.fresh("samples");
    server.sql("samples", include_str!("samples.sql"));
    for (export, copy) in [(Export::Native, "samples_native"), (Export::Json, "samples_json")] {
        server.sql("", &format!("DROP DATABASE IF EXISTS {copy}"));
        let (manifest, kept) = backup(&server.url("samples"), export);
        assert_eq!(manifest.warnings, Vec::<String>::new());
        restore_new(&server.url(copy), &manifest, &kept);
        let bare = |database: &str| server.dump(database).replace(&format!("`{database}`."), "");
        assert_same(&bare("samples"), &bare(copy), "");
        let versions = "SELECT id, body, secret, ROW_START, ROW_END FROM wiki FOR SYSTEM_TIME ALL ORDER BY ROW_END";
        assert_eq!(server.sql("samples", versions), server.sql(copy, versions));
    }
}

#[test]
fn everything_comes_back_from_a_json_export() {
    comes_back("torture_json", Export::Json);
}
