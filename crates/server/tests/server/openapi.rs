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

/// Long work may be asked for twice by mistake; a new kind of it cannot forget the header.
#[test]
fn everything_that_starts_a_job_takes_an_idempotency_key() {
    let document: serde_json::Value = serde_json::from_str(server::api::document_json()).unwrap();
    let items = document["paths"].as_object().unwrap().iter();
    let operations = items.flat_map(|(path, item)| item.as_object().unwrap().values().map(move |one| (path, one)));
    let starting: Vec<_> = operations.filter(|(_, one)| one["responses"].get("202").is_some()).collect();
    assert!(starting.len() >= 8, "{starting:?}");
    for (path, operation) in starting {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        assert!(parameters.into_iter().any(|one| one["name"] == "Idempotency-Key"), "{path}");
    }
}
