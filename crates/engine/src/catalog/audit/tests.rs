use super::*;
use proptest::prelude::*;

fn event(number: i64) -> AuditEvent {
    AuditEvent {
        at: Timestamp::from_second(1_763_780_000 + number).unwrap(),
        actor: if number % 2 == 0 { "ann" } else { "scheduler" }.to_owned(),
        origin: "cli ann@host".to_owned(),
        action: if number % 3 == 0 { "backup.create" } else { "login" }.to_owned(),
        subject: (number % 2 == 0).then(|| format!("{number:012x}")),
        outcome: AuditOutcome::Success,
        details: serde_json::json!({"number": number, "words": "naïve \"quotes\"\n", "share": 0.1}),
    }
}

fn log(entries: i64) -> Catalog {
    let catalog = Catalog::in_memory().unwrap();
    for number in 1..=entries {
        catalog.audit(&event(number)).unwrap();
    }
    catalog
}

/// Past the triggers, as somebody who holds the file would.
fn tamper(catalog: &Catalog, sql: &str) {
    let connection = catalog.connection();
    connection.execute_batch("DROP TRIGGER audit_is_never_changed; DROP TRIGGER audit_is_never_deleted").unwrap();
    connection.execute_batch(sql).unwrap();
}

#[test]
fn an_untouched_log_is_whole() {
    let catalog = log(20);
    let head = catalog.audit_head().unwrap();
    assert_eq!(head.seq, 20);
    let report = catalog.audit_verify(&[head.clone(), AuditHead::empty()]).unwrap();
    assert_eq!((report.entries, report.problems), (20, vec![]));
    assert_eq!(head.to_string().parse::<AuditHead>().unwrap(), head);
    assert_eq!(log(0).audit_verify(&[]).unwrap().problems, Vec::<String>::new());
}

#[test]
fn every_change_of_every_column_is_found() {
    for change in [
        "at = at + 1",
        "actor = 'eve'",
        "origin = 'elsewhere'",
        "action = 'login'",
        "subject = 'other'",
        "subject = NULL",
        "outcome = 'failure'",
        "details = '{}'",
        "details = 'no json'",
        "details = details || ' '",
        "hash = upper(hash)",
        "hash = (SELECT hash FROM audit WHERE seq = 5)",
    ] {
        let catalog = log(10);
        tamper(&catalog, &format!("UPDATE audit SET {change} WHERE seq = 6"));
        let problems = catalog.audit_verify(&[]).unwrap().problems;
        assert!(!problems.is_empty() && problems[0].contains("entry 6"), "{change}: {problems:?}");
    }
}

#[test]
fn removed_reordered_and_cut_off_entries_are_found() {
    let catalog = log(10);
    let head = catalog.audit_head().unwrap();
    tamper(&catalog, "DELETE FROM audit WHERE seq IN (4, 5)");
    assert_eq!(catalog.audit_verify(&[]).unwrap().problems, ["entries 4 to 5 are missing"]);

    let catalog = log(10);
    tamper(&catalog, "DELETE FROM audit WHERE seq = 5; UPDATE audit SET seq = seq - 1 WHERE seq > 5");
    assert!(catalog.audit_verify(&[]).unwrap().problems[0].contains("entry 5 is not what was written"));

    let catalog = log(10);
    tamper(
        &catalog,
        "UPDATE audit SET seq = 99 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 99",
    );
    assert!(!catalog.audit_verify(&[]).unwrap().problems.is_empty());

    let catalog = log(10);
    tamper(&catalog, "DELETE FROM audit WHERE seq > 7");
    assert!(catalog.audit_verify(&[]).unwrap().problems.is_empty(), "a chain alone cannot know its end");
    assert_eq!(
        catalog.audit_verify(std::slice::from_ref(&head)).unwrap().problems,
        ["the end was cut off: entries 8 to 10 are missing"]
    );

    let catalog = log(10);
    tamper(&catalog, "DELETE FROM audit");
    assert_eq!(catalog.audit_verify(&[head]).unwrap().problems.len(), 1);
}

#[test]
fn a_chain_computed_anew_does_not_fit_the_heads_recorded_elsewhere() {
    let honest = log(10);
    let heads = [honest.audit_head().unwrap()];
    let forged = Catalog::in_memory().unwrap();
    for number in 1..=12 {
        let mut event = event(number);
        event.actor = "mallory".to_owned();
        forged.audit(&event).unwrap();
    }
    assert!(forged.audit_verify(&[]).unwrap().problems.is_empty());
    assert!(forged.audit_verify(&heads).unwrap().problems[0].contains("entry 10"));
}

#[test]
fn the_table_is_append_only() {
    let catalog = log(3);
    let connection = catalog.connection();
    for sql in [
        "UPDATE audit SET actor = 'eve'",
        "DELETE FROM audit WHERE seq = 3",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT seq, at, 'eve', origin, action, subject, outcome, details, hash FROM audit",
    ] {
        let error = connection.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains("append-only"), "{sql}: {error}");
    }
}

#[test]
fn pages_are_newest_first_and_filters_hold() {
    let catalog = log(30);
    let page = catalog.audit_entries(&AuditFilter { limit: Some(7), ..AuditFilter::default() }).unwrap();
    assert_eq!((page.total, page.entries.len(), page.entries[0].seq, page.next), (30, 7, 30, Some(24)));
    let rest = catalog.audit_entries(&AuditFilter { before: page.next, ..AuditFilter::default() }).unwrap();
    assert_eq!((rest.entries.len(), rest.entries[0].seq, rest.next), (23, 23, None));
    let filter = |filter: AuditFilter| catalog.audit_entries(&filter).unwrap().total;
    assert_eq!(filter(AuditFilter { action: Some("backup".into()), ..AuditFilter::default() }), 10);
    assert_eq!(filter(AuditFilter { action: Some("log".into()), ..AuditFilter::default() }), 0);
    assert_eq!(filter(AuditFilter { actor: Some("ann".into()), ..AuditFilter::default() }), 15);
    assert_eq!(filter(AuditFilter { outcome: Some(AuditOutcome::Refused), ..AuditFilter::default() }), 0);
    let at = |seconds: i64| Some(Timestamp::from_second(1_763_780_000 + seconds).unwrap());
    assert_eq!(filter(AuditFilter { from: at(10), to: at(20), ..AuditFilter::default() }), 10);
}

#[test]
fn the_export_can_be_verified_with_sha256_alone() {
    let catalog = log(5);
    let mut out = Vec::new();
    assert_eq!(catalog.audit_export(&mut out).unwrap(), 5);
    let mut previous = "0".repeat(64);
    for line in String::from_utf8(out).unwrap().lines() {
        let (entry, hash) = line.rsplit_once(",\"hash\":\"").unwrap();
        let hash = hash.trim_end_matches("\"}").to_owned();
        assert_eq!(hex::encode(Sha256::digest(format!("{previous}{entry}}}"))), hash);
        serde_json::from_str::<serde_json::Value>(line).unwrap();
        previous = hash;
    }
}

#[test]
fn heads_survive_a_line_that_was_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    assert!(heads::read(folder.path()).unwrap().is_empty());
    let head = log(3).audit_head().unwrap();
    heads::append(folder.path(), &head, event(1).at).unwrap();
    let file = folder.path().join("audit-heads");
    std::fs::write(&file, format!("{}2026-11-22T03:00:00Z 4:ab", std::fs::read_to_string(&file).unwrap())).unwrap();
    assert_eq!(heads::read(folder.path()).unwrap(), std::slice::from_ref(&head));
    heads::append(folder.path(), &head, event(2).at).unwrap();
    assert_eq!(heads::read(folder.path()).unwrap(), [head.clone(), head]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_words_are_chained(actor in ".*", subject in proptest::option::of(".*"), words in ".*", number in any::<f64>()) {
        let catalog = log(1);
        let event = AuditEvent { actor, subject, details: serde_json::json!([words, number]), ..event(2) };
        let head = catalog.audit(&event).unwrap();
        catalog.audit(&super::tests::event(3)).unwrap();
        prop_assert_eq!(catalog.audit_verify(&[head]).unwrap().problems, Vec::<String>::new());
        let entry = catalog.audit_entries(&AuditFilter::default()).unwrap().entries.remove(1);
        prop_assert_eq!(entry.actor, event.actor);
    }
}
