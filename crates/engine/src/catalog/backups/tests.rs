use super::*;
use crate::catalog::Failure;
use crate::manifest::{ComponentKind, ComponentManifest, Figures, Format};
use std::collections::BTreeMap;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_763_780_000 + second).unwrap()
}

fn add(catalog: &Catalog, second: i64, tier: Tier, state: State) -> BackupRecord {
    let mut record = BackupRecord::running(Id::generate().unwrap(), "default", tier, at(second));
    catalog.backup_start(&record).unwrap();
    if state != State::Running {
        record = record.finished(state, at(second + 60));
        record.bytes = Some(1000);
        catalog.backup_finish(&record, None).unwrap();
    }
    record
}

fn manifest(record: &BackupRecord) -> Manifest {
    Manifest {
        format: "strongroom-manifest".to_owned(),
        version: 1,
        id: record.id.clone(),
        plan: record.plan.clone(),
        tier: record.tier,
        description: Some("before the update".to_owned()),
        archive: Format::Tar,
        started_at: record.started_at,
        captured_at: record.started_at,
        hash_key: "0".repeat(64),
        key_fingerprint: Some("0123456789abcdef".to_owned()),
        tools: BTreeMap::new(),
        audit_head: None,
        origins: BTreeMap::new(),
        components: vec![ComponentManifest {
            name: "uploads".to_owned(),
            kind: ComponentKind::Files,
            export: None,
            state: State::Partial,
            entries: 3,
            bytes: 7,
            warnings: vec!["a vanished".to_owned()],
            figures: Figures::Tree {
                files: 3,
                directories: 0,
                symlinks: 0,
                others: 0,
                bytes: 7,
                listing_hash: String::new(),
                owners_hash: None,
                attributes_hash: None,
                root: None,
            },
        }],
    }
}

#[test]
fn the_json_is_the_published_one() {
    let mut record = BackupRecord::running(Id::parse("0123456789ab").unwrap(), "default", Tier::PreRestore, at(0));
    record.trust.re_read = Some(at(1));
    record.components.push(ComponentSummary {
        name: "database".to_owned(),
        kind: ComponentKind::Sqlite,
        state: State::Succeeded,
        entries: 1,
        bytes: 2,
        warnings: Vec::new(),
    });
    let record = record.finished(State::Succeeded, at(2));
    assert_eq!(
        serde_json::to_value(&record).unwrap(),
        serde_json::json!({
            "id": "0123456789ab", "plan": "default", "tier": "pre-restore", "description": null, "state": "succeeded",
            "startedAt": "2025-11-22T02:53:20Z", "finishedAt": "2025-11-22T02:53:22Z", "durationMs": 2000,
            "location": null, "bytes": null, "sha256": null,
            "components": [{"name": "database", "kind": "sqlite", "state": "succeeded", "entries": 1, "bytes": 2, "warnings": []}],
            "trust": {"stored": null, "reRead": "2025-11-22T02:53:21Z", "opened": null, "restored": null},
            "keyFingerprint": null, "pinned": false, "collapsed": null, "error": null, "late": false
        })
    );
}

#[test]
fn a_record_comes_back_as_it_was_written() {
    let catalog = Catalog::in_memory().unwrap();
    let mut record = BackupRecord::running(Id::generate().unwrap(), "p", Tier::Manual, at(0));
    record.late = true;
    record.description = Some("x".to_owned());
    catalog.backup_start(&record).unwrap();
    assert_eq!(catalog.backup(record.id.as_str()).unwrap(), record);
    let manifest = manifest(&record);
    let mut record =
        BackupRecord { late: true, ..BackupRecord::from_manifest(&manifest, "/b/x.tar.gz".to_owned(), 99, at(9)) };
    record.sha256 = Some("ab".repeat(32));
    record.collapsed = Some(Collapse { reason: "half the rows".to_owned(), acknowledged: false });
    record.error = Some(Failure { code: "io".to_owned(), message: "m".to_owned(), hint: "h".to_owned() });
    catalog.backup_finish(&record, Some(&manifest)).unwrap();
    assert_eq!(catalog.backup(record.id.as_str()).unwrap(), record);
    assert_eq!(catalog.manifest(&record.id).unwrap(), Some(manifest));
    assert_eq!(record.state, State::Partial, "as its component is");
}

#[test]
fn latest_is_the_newest_good_one_not_taken_before_a_restore() {
    let catalog = Catalog::in_memory().unwrap();
    assert_eq!(catalog.backup("latest").unwrap_err().kind(), ErrorKind::NotFound);
    let good = add(&catalog, 10, Tier::Daily, State::Succeeded);
    add(&catalog, 20, Tier::PreRestore, State::Succeeded);
    for (second, state) in [(30, State::Failed), (40, State::Partial), (50, State::Running), (60, State::Cancelled)] {
        add(&catalog, second, Tier::Daily, state);
    }
    assert_eq!(catalog.backup("latest").unwrap().id, good.id);
    assert!(catalog.backup_latest(Some("other")).unwrap().is_none());
    assert_eq!(catalog.backup("../etc").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(catalog.backup("000000000000").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn pages_join_to_the_whole_list_even_when_times_are_equal() {
    let catalog = Catalog::in_memory().unwrap();
    for number in 0..25 {
        add(&catalog, number / 5, Tier::ALL[number as usize % 3], State::Succeeded);
    }
    let mut filter = BackupFilter { limit: Some(4), ..BackupFilter::default() };
    let mut seen = Vec::new();
    loop {
        let page = catalog.backups(&filter).unwrap();
        assert_eq!(page.total, 25);
        seen.extend(page.backups);
        match page.next {
            Some(next) => filter.after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, catalog.backups_all().unwrap());
    let count = |filter: BackupFilter| catalog.backups(&filter).unwrap().total;
    assert_eq!(count(BackupFilter { tier: Some(Tier::Weekly), ..BackupFilter::default() }), 8);
    assert_eq!(count(BackupFilter { state: Some(State::Failed), ..BackupFilter::default() }), 0);
    assert_eq!(count(BackupFilter { from: Some(at(1)), to: Some(at(3)), ..BackupFilter::default() }), 10);
    assert_eq!(count(BackupFilter { plan: Some("x' OR 1=1".to_owned()), ..BackupFilter::default() }), 0);
    let wrong = BackupFilter { after: Some("nonsense".to_owned()), ..BackupFilter::default() };
    assert_eq!(catalog.backups(&wrong).unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn every_order_pages_through_the_whole_list() {
    use BackupOrder::{Bytes, DurationMs, Plan, StartedAt, State as ByState, Tier as ByTier, Trust};
    let catalog = Catalog::in_memory().unwrap();
    for number in 0..40_u32 {
        let state = [State::Succeeded, State::Partial, State::Failed][number as usize % 3];
        let tier = Tier::ALL[number as usize % 5];
        let plan = ["default", "plan-b"][number as usize % 2];
        let mut record = BackupRecord::running(Id::generate().unwrap(), plan, tier, at(i64::from(number / 3)));
        catalog.backup_start(&record).unwrap();
        record = record.finished(state, at(60 + i64::from(number % 7)));
        record.bytes = (number % 4 > 0).then(|| u64::from(number % 4) * 1_000_000_007);
        record.trust.stored = (number % 2 == 0).then(|| at(70));
        record.trust.restored = (number % 8 == 0).then(|| at(80));
        catalog.backup_finish(&record, None).unwrap();
    }
    for order in [StartedAt, ByTier, Plan, ByState, Trust, Bytes, DurationMs] {
        for ascending in [false, true] {
            let mut filter = BackupFilter { order, ascending, limit: Some(7), ..BackupFilter::default() };
            let mut seen = Vec::new();
            loop {
                let page = catalog.backups(&filter).unwrap();
                seen.extend(page.backups);
                match page.next {
                    Some(next) => filter.after = Some(next),
                    None => break,
                }
            }
            let all = catalog.backups(&BackupFilter { limit: Some(1000), after: None, ..filter }).unwrap().backups;
            assert_eq!(seen, all, "{order:?}");
            assert_eq!(all.len(), 40, "{order:?}");
            let key = |record: &BackupRecord| match order {
                StartedAt => (record.started_at.as_millisecond(), String::new()),
                ByTier => (0, record.tier.name().to_owned()),
                Plan => (0, record.plan.clone()),
                ByState => (0, record.state.name().to_owned()),
                Trust => (
                    i64::from(record.trust.stored.is_some()) + i64::from(record.trust.restored.is_some()) * 2,
                    String::new(),
                ),
                Bytes => (record.bytes.unwrap_or(0) as i64, String::new()),
                DurationMs => (record.duration_ms.unwrap_or(0) as i64, String::new()),
            };
            let mut keys: Vec<_> = all.iter().map(key).collect();
            if !ascending {
                keys.reverse();
            }
            assert!(keys.is_sorted(), "{order:?}");
        }
    }
    let restorable = catalog.backups(&BackupFilter { restorable: true, ..BackupFilter::default() }).unwrap();
    assert_eq!(restorable.total, 27);
}

#[test]
fn a_search_finds_names_ids_and_descriptions_but_no_folders() {
    let catalog = Catalog::in_memory().unwrap();
    let mut record = BackupRecord::running(Id::generate().unwrap(), "default", Tier::Manual, at(0));
    record.description = Some("Before the 100% Übung".to_owned());
    catalog.backup_start(&record).unwrap();
    record = record.finished(State::Succeeded, at(60));
    record.location = Some(format!("/srv/hidden/backup-2026-11-22T02-00-00-000Z-{}.tar.gz.enc", record.id));
    catalog.backup_finish(&record, None).unwrap();
    add(&catalog, 100, Tier::Daily, State::Failed);
    let found = |text: &str| {
        catalog.backups(&BackupFilter { search: Some(text.to_owned()), ..BackupFilter::default() }).unwrap().total
    };
    assert_eq!(found("BEFORE THE"), 1);
    assert_eq!(found("100%"), 1);
    assert_eq!(found("Übung"), 1);
    assert_eq!(found("2026-11-22t02"), 1);
    assert_eq!(found(&record.id.as_str()[2..]), 1);
    assert_eq!(found("hidden"), 0);
    assert_eq!(found("_"), 0, "no wildcards");
    assert_eq!(found("  "), 2, "nothing is no search");
}

#[test]
fn pins_survive_the_end_of_a_run_and_a_rebuild() {
    let catalog = Catalog::in_memory().unwrap();
    let record = add(&catalog, 0, Tier::Manual, State::Running);
    assert!(catalog.backup_pin(&record.id, true).unwrap());
    assert!(!catalog.backup_pin(&record.id, true).unwrap());
    let manifest = manifest(&record);
    let found = BackupRecord::from_manifest(&manifest, "/b/x".to_owned(), 5, at(3));
    catalog.backup_finish(&found, Some(&manifest)).unwrap();
    catalog.backup_trust(&record.id, TrustStep::Restored, at(7)).unwrap();
    assert_eq!(catalog.rebuild([Ok((found, manifest))].into_iter()).unwrap(), 1);
    let after = catalog.backup(record.id.as_str()).unwrap();
    assert!(after.pinned);
    assert_eq!(after.trust, Trust { stored: Some(at(3)), restored: Some(at(7)), ..Trust::default() });
    assert_eq!(catalog.backup_pin(&Id::parse("000000000000").unwrap(), true).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_lost_catalog_is_made_anew_from_manifests() {
    let record = BackupRecord::running(Id::generate().unwrap(), "default", Tier::Weekly, at(0));
    let manifest = manifest(&record);
    let found = BackupRecord::from_manifest(&manifest, "/b/x".to_owned(), 5, at(3));
    let catalog = Catalog::in_memory().unwrap();
    catalog.rebuild([Ok((found.clone(), manifest))].into_iter()).unwrap();
    assert_eq!(catalog.backups_all().unwrap(), [found]);
}

#[test]
fn a_damaged_backup_loses_its_trust() {
    let catalog = Catalog::in_memory().unwrap();
    let record = add(&catalog, 0, Tier::Daily, State::Succeeded);
    catalog.backup_trust(&record.id, TrustStep::Opened, at(7)).unwrap();
    catalog.backup_distrust(&record.id).unwrap();
    assert_eq!(catalog.backup(record.id.as_str()).unwrap().trust, Trust::default());
}

#[test]
fn an_unacknowledged_collapse_is_no_predecessor() {
    let catalog = Catalog::in_memory().unwrap();
    let good = add(&catalog, 0, Tier::Daily, State::Succeeded);
    let mut small = add(&catalog, 10, Tier::Daily, State::Succeeded);
    small.collapsed = Some(Collapse { reason: "small".to_owned(), acknowledged: false });
    catalog.backup_finish(&small, None).unwrap();
    assert_eq!(catalog.backup_predecessor("default", at(20)).unwrap().unwrap().id, good.id);
    catalog.backup_acknowledge(&small.id).unwrap();
    assert_eq!(catalog.backup_predecessor("default", at(20)).unwrap().unwrap().id, small.id);
    assert!(catalog.backup_predecessor("default", at(0)).unwrap().is_none());
}

#[test]
fn figures_and_durations_are_of_the_right_backups() {
    let catalog = Catalog::in_memory().unwrap();
    add(&catalog, 0, Tier::Daily, State::Succeeded);
    add(&catalog, 10, Tier::Daily, State::Failed);
    add(&catalog, 20, Tier::Weekly, State::Succeeded);
    let figures = catalog.backup_figures().unwrap();
    assert_eq!(figures.len(), 2);
    assert_eq!((figures[0].count, figures[0].succeeded, figures[0].last_success_at), (2, 1, Some(at(0))));
    assert_eq!(catalog.backup_durations_ms("default", 10).unwrap(), [60_000, 60_000]);
}

#[test]
fn a_forgotten_backup_takes_its_manifest_along() {
    let catalog = Catalog::in_memory().unwrap();
    let record = add(&catalog, 0, Tier::Daily, State::Succeeded);
    catalog.backup_finish(&record, Some(&manifest(&record))).unwrap();
    catalog.backup_forget(&record.id).unwrap();
    catalog.backup_forget(&record.id).unwrap();
    assert!(catalog.backup_find(record.id.as_str()).unwrap().is_none());
    assert!(catalog.manifest(&record.id).unwrap().is_none());
}
