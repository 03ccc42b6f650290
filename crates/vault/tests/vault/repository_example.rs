//! The example that shows how little the engine needs does what it says.

#[path = "../../examples/backup_folder.rs"]
#[allow(dead_code, reason = "its main")]
mod example;

use std::fs;
use std::sync::Arc;
use vault::repository::{CheckDepth, Environment, Options, Repository, Secret};
use vault::store::LocalStore;
use vault::{Silent, Timestamp};

#[test]
fn the_example_backs_a_folder_up_and_restores_it() {
    let scratch = tempfile::tempdir().unwrap();
    let place = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(place("data")).unwrap();
    for (name, content) in [("a.txt", b"some text".to_vec()), ("b.bin", super::repository_samples::noise(3 << 20, 1))] {
        fs::write(scratch.path().join("data").join(name), content).unwrap();
    }
    let (snapshot, key) = example::back_up_and_restore(&place("data"), &place("repository"), &place("out")).unwrap();
    for name in ["a.txt", "b.bin"] {
        let restored = fs::read(scratch.path().join("out/files").join(name)).unwrap();
        assert!(restored == fs::read(scratch.path().join("data").join(name)).unwrap(), "{name}");
    }
    let store = Arc::new(LocalStore::open(place("repository")).unwrap());
    let environment = Environment::new("my-host", "me", Timestamp::default);
    let repository = Repository::open(store, Secret::Keys(&[key]), environment, Options::default()).unwrap();
    assert_eq!(repository.snapshots().unwrap()[0].id, snapshot);
    assert!(repository.check(CheckDepth::Everything, &Silent).unwrap().is_sound());
}
