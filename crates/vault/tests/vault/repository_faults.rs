//! Crashes, faults, interleavings and damage: whatever happens, every snapshot committed before restores in full, and what is
//! damaged is named.
//!
//! Everything runs on the caller's thread over a simulated store, so a failure is repeated by its number or seed.

use super::repository_samples::{Clock, assert_restores, back_up, file, key, noise, options, restore, sample};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use vault::repository::{CheckDepth, Id, PruneOptions, Repository, Secret};
use vault::store::{Fault, SimulatedStore};
use vault::{Entry, ErrorKind, Result, Silent};

pub type Entries = Vec<(Entry, Vec<u8>)>;

const START_SECONDS: u64 = 1_790_000_000;

/// Pruning that does not wait: the hardest case.
pub fn prune_now(repository: &Repository) -> Result<()> {
    let options = PruneOptions { wait: Duration::ZERO, max_unused_percent: 0 };
    let plan = repository.prune_plan(&options)?;
    repository.prune(&plan, &Silent).map(|_| ())
}

/// Opens the repository an hour later: whatever locks a crash left are stale.
pub fn reopen(store: &SimulatedStore) -> Repository {
    store.heal();
    let clock = Clock::default();
    clock.0.store(START_SECONDS.cast_signed() + 3600, Ordering::Relaxed);
    store.set_time(START_SECONDS + 3600);
    Repository::open(Arc::new(store.clone()), Secret::Keys(&[key()]), clock.environment("here"), options()).unwrap()
}

pub fn open_now(store: &SimulatedStore) -> Repository {
    Repository::open(Arc::new(store.clone()), Secret::Keys(&[key()]), Clock::default().environment("here"), options())
        .unwrap()
}

/// A repository with two snapshots.
pub fn prepared() -> (SimulatedStore, Vec<(Id, Entries)>) {
    let store = SimulatedStore::new(START_SECONDS);
    let repository =
        Repository::init(Arc::new(store.clone()), &key(), Clock::default().environment("here"), options()).unwrap();
    let first = back_up(&repository, &sample(1), None, 0).unwrap();
    let second = back_up(&repository, &sample(2), Some(first), 0).unwrap();
    (store, vec![(first, sample(1)), (second, sample(2))])
}

/// The work that crashes and faults are tried on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Work {
    Backup,
    Prune,
    Repair,
    /// Locks alone: a stale one goes, a shared one and an exclusive one are taken, refreshed and given back.
    Lock,
}

const WORKS: [Work; 4] = [Work::Backup, Work::Prune, Work::Repair, Work::Lock];

/// Brings the repository into a state where the work has something to do; what must survive it.
fn prepare(work: Work) -> (SimulatedStore, Vec<(Id, Entries)>) {
    let (store, mut snapshots) = prepared();
    match work {
        Work::Backup => {}
        Work::Prune => {
            open_now(&store).forget(&[snapshots[0].0]).unwrap();
            snapshots.remove(0);
        }
        Work::Repair => {
            // An index that lists nothing of what is there.
            let listed = vault::Store::list(&store, "index").unwrap();
            store.tamper(&listed[0].name, None);
        }
        Work::Lock => {
            // The lock of a run that died on another host more than half an hour ago.
            let clock = Clock::default();
            clock.0.fetch_sub(2000, Ordering::Relaxed);
            let environment = clock.environment("elsewhere");
            let elsewhere =
                Repository::open(Arc::new(store.clone()), Secret::Keys(&[key()]), environment, options()).unwrap();
            let before: Vec<_> = locks(&store);
            let lock = elsewhere.lock_for_tests(true).unwrap();
            let left = locks(&store).into_iter().find(|name| !before.contains(name)).unwrap();
            let bytes = store.peek(&left);
            drop(lock);
            store.tamper(&left, bytes);
        }
    }
    (store, snapshots)
}

fn locks(store: &SimulatedStore) -> Vec<String> {
    vault::Store::list(store, "locks").unwrap().into_iter().map(|info| info.name).collect()
}

fn run(work: Work, repository: &Repository, parent: Id) -> Result<Option<Id>> {
    match work {
        Work::Backup => back_up(repository, &sample(3), Some(parent), 0).map(Some),
        Work::Prune => prune_now(repository).map(|()| None),
        Work::Repair => repository.repair(&Silent).map(|_| None),
        Work::Lock => {
            for exclusive in [false, true] {
                repository.lock_for_tests(exclusive)?.refresh_for_tests()?;
            }
            Ok(None)
        }
    }
}

/// What must hold after anything.
fn assert_sound(store: &SimulatedStore, work: Work, snapshots: &[(Id, Entries)], case: &str) {
    let repository = reopen(store);
    if work == Work::Repair {
        repository.repair(&Silent).unwrap_or_else(|error| panic!("{case}: {error}"));
    }
    for (id, entries) in snapshots {
        restore(&repository, *id).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_restores(&repository, *id, entries);
    }
    // And work goes on: the same again, another backup, and nothing is wrong in the end.
    let (last, _) = snapshots.last().unwrap();
    let next = back_up(&repository, &sample(4), Some(*last), 0).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_restores(&repository, next, &sample(4));
}

#[test]
fn a_crash_after_any_change_leaves_every_snapshot_whole() {
    for work in WORKS {
        let (store, mut snapshots) = prepare(work);
        let before = store.changes();
        let done = run(work, &open_now(&store), snapshots.last().unwrap().0).unwrap();
        let changes = store.changes();
        assert!(changes > before + 4, "{work:?} changed little");
        for crash in before..=changes {
            let crashed = store.after(crash);
            assert_sound(&crashed, work, &snapshots, &format!("{work:?}, crash after change {crash}"));
        }
        snapshots.extend(done.map(|id| (id, sample(3))));
        assert_sound(&store, work, &snapshots, "no crash");
        assert!(reopen(&store).check(CheckDepth::Everything, &Silent).unwrap().is_sound());
    }
}

#[test]
fn any_single_fault_leaves_every_snapshot_whole() {
    for work in WORKS {
        let (state, snapshots) = prepare(work);
        for fault in Fault::ALL {
            let mut fired = 0;
            for at in 0.. {
                let (was_reached, showed) = survives(work, &state, &snapshots, fault, at);
                // A failure shows wherever it is planned; what happens to changes or listings only, only there.
                let always = matches!(fault, Fault::Transient | Fault::Permanent);
                assert_eq!(
                    was_reached && always,
                    showed && always,
                    "{work:?}, {fault:?} at operation {at} did not show"
                );
                fired += u64::from(showed);
                if !was_reached {
                    break;
                }
            }
            let least = if fault == Fault::Lagging { 1 } else { 4 };
            assert!(fired >= least, "{work:?}: {fault:?} showed {fired} times only");
        }
    }
}

/// Does the work with one operation going wrong, and whatever comes of it, all snapshots are whole. Says whether the work
/// came to that operation, and whether the fault showed.
fn survives(work: Work, state: &SimulatedStore, snapshots: &[(Id, Entries)], fault: Fault, at: u64) -> (bool, bool) {
    let store = state.after(state.changes());
    let repository = open_now(&store);
    let before = store.operations();
    store.inject(at, fault);
    let result = run(work, &repository, snapshots.last().unwrap().0);
    let was_reached = store.operations() > before + at;
    drop(repository);
    let showed = store.fired() > 0;
    // What was reported as backed up is there, also when the store forgot what it had acknowledged.
    let mut snapshots = snapshots.to_vec();
    snapshots.extend(result.ok().flatten().map(|id| (id, sample(3))));
    assert_sound(&store, work, &snapshots, &format!("{work:?}, {fault:?} at operation {at}"));
    (was_reached, showed)
}

#[test]
fn marked_packs_go_after_the_wait_and_are_copied_once() {
    let (store, snapshots) = prepared();
    open_now(&store).forget(&[snapshots[0].0]).unwrap();
    let options = PruneOptions { wait: Duration::from_mins(50), max_unused_percent: 0 };
    let prune = |repository: &Repository| {
        let plan = repository.prune_plan(&options).unwrap();
        (repository.prune(&plan, &Silent).unwrap(), plan)
    };
    let (marked, plan) = prune(&open_now(&store));
    assert!(marked.marked_packs > 0 && marked.removed_packs == 0, "{marked:?}");
    let (again, second_plan) = prune(&open_now(&store));
    assert_eq!((again.marked_packs, again.copied_bytes, again.removed_packs), (0, 0, 0));
    assert!(second_plan.freed_bytes >= plan.freed_bytes, "what waits is still to come back");
    let (swept, _) = prune(&reopen(&store));
    assert_eq!((swept.marked_packs, swept.removed_packs), (0, marked.marked_packs));
    assert_restores(&reopen(&store), snapshots[1].0, &snapshots[1].1);
    assert!(reopen(&store).check(CheckDepth::Everything, &Silent).unwrap().is_sound());
}

#[test]
fn a_lost_pack_is_named_and_mended_by_the_next_backup() {
    let (store, snapshots) = prepared();
    let packs = vault::Store::list(&store, "data").unwrap();
    for pack in packs {
        let store = store.after(store.changes());
        store.tamper(&pack.name, None);
        let repository = reopen(&store);
        let report = repository.check(CheckDepth::Index, &Silent).unwrap();
        assert!(report.findings.iter().any(|finding| finding.object == pack.name));
        assert!(!report.is_sound());
        back_up(&repository, &sample(1), Some(snapshots[0].0), 0).unwrap();
        back_up(&repository, &sample(2), Some(snapshots[1].0), 0).unwrap();
        for (id, entries) in &snapshots {
            assert_restores(&repository, *id, entries);
        }
    }
}

#[test]
fn an_interrupted_backup_is_continued_with_what_is_there() {
    let store = SimulatedStore::new(START_SECONDS);
    let repository =
        Repository::init(Arc::new(store.clone()), &key(), Clock::default().environment("here"), options()).unwrap();
    let entries: Entries = (0..30).map(|n| file(&format!("f/{n:02}"), &noise(20_000, n), n + 1)).collect();
    store.inject(25, Fault::Permanent);
    assert!(back_up(&repository, &entries, None, 0).is_err());
    drop(repository);
    let stored: u64 = vault::Store::list(
        &{
            store.heal();
            store.clone()
        },
        "data",
    )
    .unwrap()
    .iter()
    .map(|pack| pack.size_bytes)
    .sum();
    assert!(stored > 200_000, "{stored} bytes were stored before the interruption");
    let repository = reopen(&store);
    let id = back_up(&repository, &entries, None, 0).unwrap();
    let total: u64 = vault::Store::list(&store, "data").unwrap().iter().map(|pack| pack.size_bytes).sum();
    assert!(total < 600_000 + 60_000, "{total} bytes for 600,000");
    assert_restores(&repository, id, &entries);
    assert!(repository.check(CheckDepth::Everything, &Silent).unwrap().is_sound());
}

/// Two writers and a pruner that forgets, in turns drawn from a seed.
fn interleave(seed: u64) {
    let (store, snapshots) = prepared();
    let actors = store.actors(3, seed);
    let mut kept: HashMap<Id, Entries> = HashMap::new();
    let entries = |writer: u64, round: u64| -> Entries {
        // Shares content with the first snapshot, which the pruner removes meanwhile.
        let mut entries = sample(1);
        entries.push(file(
            &format!("zz/{writer}-{round}"),
            &noise(40_000, seed * 100 + writer * 10 + round),
            900 + round,
        ));
        entries
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2_u64)
            .map(|writer| {
                let actor = actors[writer as usize].clone();
                let parent = snapshots[0].0;
                scope.spawn(move || {
                    let repository = open_now(&actor);
                    let mut done = Vec::new();
                    for round in 0..2 {
                        let entries = entries(writer, round);
                        // The parent may be gone already.
                        let result = back_up(&repository, &entries, Some(parent), 0)
                            .or_else(|_| back_up(&repository, &entries, None, 0));
                        match result {
                            Ok(id) => done.push((id, entries)),
                            Err(error) => assert_eq!(error.kind(), ErrorKind::Locked, "seed {seed}: {error}"),
                        }
                    }
                    actor.leave();
                    done
                })
            })
            .collect();
        let pruner = actors[2].clone();
        let forgotten = snapshots[0].0;
        scope.spawn(move || {
            let repository = open_now(&pruner);
            for _ in 0..3 {
                for result in [repository.forget(&[forgotten]), prune_now(&repository)] {
                    if let Err(error) = result {
                        assert_eq!(error.kind(), ErrorKind::Locked, "seed {seed}: {error}");
                    }
                }
            }
            pruner.leave();
        });
        for writer in writers {
            kept.extend(writer.join().unwrap());
        }
    });
    kept.insert(snapshots[1].0, snapshots[1].1.clone());
    let repository = reopen(&store);
    for (id, entries) in &kept {
        assert_restores(&repository, *id, entries);
    }
    prune_now(&repository).unwrap();
    for (id, entries) in &kept {
        assert_restores(&repository, *id, entries);
    }
    let report = repository.check(CheckDepth::Everything, &Silent).unwrap();
    assert!(report.is_sound(), "seed {seed}: {:?}", report.findings);
}

#[test]
fn two_writers_and_a_pruner_in_any_order_lose_nothing() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |value| value.parse().unwrap());
    let first = number("REPOSITORY_SEED", 1);
    let end = first + number("REPOSITORY_SEEDS", 100);
    let next = AtomicU64::new(first);
    let run = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            // Which ones were under way when one hangs.
            eprintln!("seed {seed}");
            interleave(seed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(run);
        }
    });
}

#[test]
fn a_wrong_key_is_told_from_no_repository() {
    let (store, _) = prepared();
    let open = |store: SimulatedStore, key: vault::Key| {
        let environment = Clock::default().environment("here");
        Repository::open(Arc::new(store), Secret::Keys(&[key]), environment, options()).err().unwrap().kind()
    };
    assert_eq!(open(store, vault::Key::from_bytes([1; 32])), ErrorKind::WrongKey);
    assert_eq!(open(SimulatedStore::new(0), key()), ErrorKind::NotABackup);
}

#[test]
fn a_living_lock_conflicts_and_a_stale_one_goes() {
    let (store, snapshots) = prepared();
    let repository = open_now(&store);
    let shared = repository.lock_for_tests(false).unwrap();
    assert_eq!(repository.repair(&Silent).unwrap_err().kind(), ErrorKind::Locked);
    back_up(&repository, &sample(3), None, 0).unwrap();
    std::mem::forget(shared);
    let exclusive = reopen(&store).lock_for_tests(true).unwrap();
    assert_eq!(back_up(&reopen(&store), &sample(3), None, 0).unwrap_err().kind(), ErrorKind::Locked);
    drop(exclusive);
    assert_restores(&reopen(&store), snapshots[0].0, &snapshots[0].1);
    assert!(vault::Store::list(&store, "locks").unwrap().is_empty());
}

#[test]
fn a_writer_whose_lock_was_taken_away_commits_nothing() {
    use vault::EntryWriter;
    let (store, _) = prepared();
    let repository = open_now(&store);
    let writer = repository.writer(vault::repository::WriterOptions::default(), Arc::new(Silent)).unwrap();
    for lock in vault::Store::list(&store, "locks").unwrap() {
        store.tamper(&lock.name, None);
    }
    assert_eq!(Box::new(writer).commit(b"{}").unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(repository.snapshots().unwrap().len(), 2);
}
