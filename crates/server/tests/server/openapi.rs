//! The description of the API and the API are one.

use std::path::Path;

/// Clients are generated from this file; a change of the API shows in its diff. `UPDATE_OPENAPI=1` writes it anew.
#[test]
fn the_committed_description_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let generated = server::api::document().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "docs/openapi.json is not what the code says: run this test with UPDATE_OPENAPI=1");
}
