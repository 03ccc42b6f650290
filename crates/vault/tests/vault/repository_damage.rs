//! The damage matrix: each way of damaging an object, on each kind of object. Verification names the damage, what is not
//! affected restores, and no wrong byte ever comes back.

use super::repository_faults::{Entries, open_now, prepared, prune_now, reopen};
use super::repository_samples::{Clock, assert_restores, back_up, key, options, sample};
use std::collections::BTreeMap;
use std::sync::Arc;
use vault::repository::{CheckDepth, Id, Repository, Secret};
use vault::store::SimulatedStore;
use vault::{ErrorKind, Silent};

/// What is done to an object.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Flip,
    Truncate,
    Delete,
    /// Another object of its kind.
    Swap,
    /// Authentic bytes of this very repository, from another place.
    Misplace,
}

const DAMAGES: [Damage; 5] = [Damage::Flip, Damage::Truncate, Damage::Delete, Damage::Swap, Damage::Misplace];

fn names(store: &SimulatedStore, folder: &str) -> Vec<String> {
    vault::Store::list(store, folder).unwrap().into_iter().map(|info| info.name).collect()
}

/// The repository's objects by kind, packs by what is in them. Each kind has at least one, or the matrix has a hole.
fn kinds(store: &SimulatedStore) -> BTreeMap<&'static str, Vec<String>> {
    let mut kinds: BTreeMap<_, Vec<String>> = BTreeMap::new();
    kinds.insert("config", vec!["config".to_owned()]);
    for folder in ["keys", "index", "snapshots"] {
        kinds.insert(folder, names(store, folder));
    }
    let report = open_now(store).check(CheckDepth::Everything, &Silent).unwrap();
    for pack in names(store, "data") {
        // Without a pack of trees folders are lost, without one of data only files.
        let without = store.after(store.changes());
        without.tamper(&pack, None);
        let lost = open_now(&without).check(CheckDepth::Index, &Silent).unwrap().lost;
        let trees = lost.iter().any(|lost| lost.path.ends_with(b"/"));
        kinds.entry(if trees { "packs of trees" } else { "packs of data" }).or_default().push(pack);
    }
    assert!(report.is_sound());
    assert_eq!(kinds.len(), 6);
    for (kind, names) in &kinds {
        assert!(!names.is_empty(), "there is nothing of the kind {kind}");
    }
    kinds
}

fn damaged(store: &SimulatedStore, names: &[String], position: usize, damage: Damage) -> Option<Vec<u8>> {
    let intact = store.peek(&names[position]).unwrap();
    match damage {
        Damage::Flip => {
            let mut bytes = intact;
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            Some(bytes)
        }
        Damage::Truncate => Some(intact[..intact.len() / 3].to_vec()),
        Damage::Delete => None,
        Damage::Swap if names.len() > 1 => store.peek(&names[(position + 1) % names.len()]),
        // The only one of its kind: that of another repository.
        Damage::Swap => {
            let (other, _) = prepared();
            let folder = names[position].split('/').next().unwrap();
            other.peek(&if folder == "config" { "config".to_owned() } else { self::names(&other, folder).remove(0) })
        }
        Damage::Misplace if names[position] == "config" => store.peek(&self::names(store, "keys")[0]),
        Damage::Misplace => store.peek("config"),
    }
}

#[test]
fn damage_is_named_and_no_wrong_byte_comes_back() {
    let (store, snapshots) = prepared();
    for (kind, names) in kinds(&store) {
        for (position, name) in names.iter().enumerate() {
            for damage in DAMAGES {
                let bytes = damaged(&store, &names, position, damage);
                assert_ne!(bytes, store.peek(name), "{damage:?} of {name} is none");
                let store = store.after(store.changes());
                store.tamper(name, bytes);
                assert_damage_is_noticed(&store, kind, name, damage, &snapshots);
            }
        }
    }
}

fn assert_damage_is_noticed(
    store: &SimulatedStore,
    kind: &str,
    name: &str,
    damage: Damage,
    snapshots: &[(Id, Entries)],
) {
    let case = format!("{damage:?} of {name} ({kind})");
    let environment = Clock::default().environment("here");
    let opened = Repository::open(Arc::new(store.clone()), Secret::Keys(&[key()]), environment, options());
    if matches!(kind, "keys" | "config") {
        let error = opened.err().unwrap_or_else(|| panic!("{case}: it opened"));
        let expected = [ErrorKind::Damaged, ErrorKind::NotABackup, ErrorKind::WrongKey, ErrorKind::WrongKeyOrDamaged];
        assert!(expected.contains(&error.kind()), "{case}: {error}");
        return;
    }
    let repository = opened.unwrap();
    let report = repository.check(CheckDepth::Everything, &Silent).unwrap();
    let is_gone = matches!(damage, Damage::Delete);
    // A snapshot that is gone leaves no trace; an index that is gone shows in what it listed.
    if kind != "snapshots" || !is_gone {
        assert!(!report.is_sound() || !report.findings.is_empty(), "{case}");
        if !is_gone || kind.starts_with("packs") {
            assert!(report.findings.iter().any(|finding| finding.object == name), "{case}: {:?}", report.findings);
        }
    }
    assert_no_wrong_byte(&repository, &report.lost, snapshots, &case);
    if kind == "snapshots" {
        return;
    }
    let repaired = repository.repair(&Silent).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_no_wrong_byte(&repository, &repaired.lost, snapshots, &case);
    if kind == "index" {
        assert!(repaired.lost.is_empty(), "{case}: the index can be made anew");
        for (id, entries) in snapshots {
            assert_restores(&repository, *id, entries);
        }
    }
    // What the application still has is stored again, and makes earlier snapshots whole.
    for (id, entries) in snapshots {
        let seed = if *id == snapshots[0].0 { 1 } else { 2 };
        back_up(&repository, &sample(seed), None, 0).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_restores(&repository, *id, entries);
    }
}

/// Every file that was not named as lost restores, and no file restores wrongly.
fn assert_no_wrong_byte(
    repository: &Repository,
    lost: &[vault::repository::LostFile],
    snapshots: &[(Id, Entries)],
    case: &str,
) {
    for (id, entries) in snapshots {
        for (entry, content) in entries.iter().filter(|(entry, _)| matches!(entry.kind, vault::EntryKind::File { .. }))
        {
            let path = entry.path.as_bytes();
            // A lost folder's path ends in a slash, the root's is nothing else.
            let below = [path, b"/"].concat();
            let is_lost = lost.iter().any(|lost| {
                let is_above = lost.path == b"/" || (lost.path.ends_with(b"/") && below.starts_with(&lost.path));
                lost.snapshot == *id && (lost.path == path || is_above)
            });
            let selection = vault::Selection::below([path]);
            match super::repository_samples::restore_below(repository, *id, &selection) {
                Ok(tree) => match tree.get(path) {
                    Some((_, _, bytes)) => assert!(bytes == content, "{case}: {} came back wrong", entry.path),
                    None => assert!(is_lost, "{case}: {} is missing without being named", entry.path),
                },
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    let snapshot_is_damaged = repository.list().unwrap().1.iter().any(|(damaged, _)| damaged == id);
                    assert!(is_lost || snapshot_is_damaged, "{case}: {} is not named as lost: {error}", entry.path);
                }
            }
        }
    }
}

/// A lock that cannot be read may be an exclusive one: it holds everybody off until it is too old for that, and then goes.
#[test]
fn a_damaged_lock_holds_until_it_is_stale() {
    let (store, snapshots) = prepared();
    let lock = open_now(&store).lock_for_tests(false).unwrap();
    let name = names(&store, "locks").remove(0);
    for damage in [Damage::Flip, Damage::Truncate, Damage::Misplace] {
        let bytes = damaged(&store, std::slice::from_ref(&name), 0, damage);
        let store = store.after(store.changes());
        store.tamper(&name, bytes);
        let refused = open_now(&store).check(CheckDepth::Index, &Silent).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Locked, "{damage:?}");
        assert!(refused.message().contains("cannot be read"), "{damage:?}: {refused}");
        let later = reopen(&store);
        assert!(later.check(CheckDepth::Everything, &Silent).unwrap().is_sound(), "{damage:?}");
        assert_restores(&later, snapshots[1].0, &snapshots[1].1);
        assert!(names(&store, "locks").is_empty(), "{damage:?}: the stale lock stayed");
    }
    drop(lock);
}

/// Who can write to the store can put old objects back; they are authentic. Nothing comes of it but what they say.
#[test]
fn old_objects_that_come_back_do_no_harm() {
    let (store, snapshots) = prepared();
    let repository = open_now(&store);
    let new_key = vault::Key::from_bytes([9; 32]);
    let old = ["keys", "index", "snapshots", "data"].map(|folder| {
        names(&store, folder).into_iter().map(|name| (name.clone(), store.peek(&name))).collect::<Vec<_>>()
    });
    repository.add_key(&new_key).unwrap();
    repository.remove_key(&key(), std::slice::from_ref(&new_key)).unwrap();
    repository.forget(&[snapshots[0].0]).unwrap();
    prune_now(&repository).unwrap();
    let open = |store: &SimulatedStore, key: vault::Key| {
        let environment = Clock::default().environment("here");
        Repository::open(Arc::new(store.clone()), Secret::Keys(&[key]), environment, options())
    };
    for (kind, objects) in ["keys", "index", "snapshots", "data"].into_iter().zip(old) {
        let gone: Vec<_> = objects.into_iter().filter(|(name, _)| store.peek(name).is_none()).collect();
        assert!(!gone.is_empty(), "nothing of the kind {kind} went");
        for (name, bytes) in gone {
            let store = store.after(store.changes());
            store.tamper(&name, bytes);
            let repository = open(&store, new_key.clone()).unwrap();
            let report = repository.check(CheckDepth::Everything, &Silent).unwrap();
            // A withdrawn key that comes back opens again, which the documentation says; the rest is named.
            assert_eq!(open(&store, key()).is_ok(), kind == "keys", "{name}");
            assert_eq!(report.findings.is_empty(), kind == "keys", "{name}: {:?}", report.findings);
            assert_restores(&repository, snapshots[1].0, &snapshots[1].1);
            assert_no_wrong_byte(&repository, &report.lost, &snapshots[1..], &name);
            let next = back_up(&repository, &sample(1), Some(snapshots[1].0), 0).unwrap();
            assert_restores(&repository, next, &sample(1));
        }
    }
}
