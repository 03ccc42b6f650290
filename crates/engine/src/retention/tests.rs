use super::*;
use proptest::prelude::*;

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn id(number: usize) -> Id {
    Id::parse(&format!("{number:012x}")).unwrap()
}

/// A backup that started so many days ago; its number is its age.
fn backup(days_ago: usize, tier: Tier, state: State) -> Candidate {
    Candidate {
        id: id(days_ago),
        plan: "default".to_owned(),
        tier,
        state,
        started_at: Timestamp::from_second(NOW - days_ago as i64 * DAY - 1).unwrap(),
        pinned: false,
        in_use: false,
        collapsed: false,
        undo_until: None,
    }
}

fn dailies(count: usize) -> Vec<Candidate> {
    (0..count).map(|day| backup(day, Tier::Daily, State::Succeeded)).collect()
}

fn policy() -> RetentionSettings {
    RetentionSettings::default()
}

fn removed(backups: &[Candidate]) -> Vec<usize> {
    let plan = plan(backups, &policy(), now());
    plan.remove.iter().map(|removed| usize::from_str_radix(removed.id.as_str(), 16).unwrap()).collect()
}

fn reasons(backups: &[Candidate], number: usize) -> String {
    let plan = plan(backups, &policy(), now());
    plan.keep.iter().find(|kept| kept.id == id(number)).map(|kept| kept.reasons.join("; ")).unwrap_or_default()
}

#[test]
fn the_newest_thirty_dailies_stay() {
    assert!(removed(&dailies(30)).is_empty());
    assert_eq!(removed(&dailies(33)), [30, 31, 32]);
    assert_eq!(reasons(&dailies(33), 0), "daily backup 1 of 30");
    let plan = plan(&dailies(31), &policy(), now());
    assert_eq!(plan.remove[0].reason, "30 newer good daily backups are kept");
}

#[test]
fn only_good_backups_count() {
    let mut backups = dailies(35);
    for bad in &mut backups[..4] {
        bad.state = State::Failed;
    }
    assert_eq!(removed(&backups), [34]);
}

#[test]
fn the_newest_good_one_of_a_tier_stays_however_old_and_whatever_the_policy() {
    let backups = [backup(4000, Tier::Weekly, State::Succeeded), backup(4001, Tier::Weekly, State::Succeeded)];
    let plan = plan(&backups, &RetentionSettings { weekly: 0, ..policy() }, now());
    assert_eq!(plan.keep[0].reasons, ["it is the newest good weekly backup, which always stays"]);
    assert_eq!(plan.remove.len(), 1);
}

#[test]
fn pinned_read_and_manual_ones_stay() {
    let mut backups = dailies(34);
    backups[31].pinned = true;
    backups[32].in_use = true;
    backups[33].tier = Tier::Manual;
    assert_eq!(removed(&backups), [30]);
    assert_eq!(reasons(&backups, 31), "it is pinned");
    assert_eq!(reasons(&backups, 32), "it is being read");
}

#[test]
fn a_pre_restore_backup_stays_until_its_undo_expires() {
    let mut backups = [backup(3, Tier::PreRestore, State::Succeeded), backup(99, Tier::PreRestore, State::Succeeded)];
    backups[0].undo_until = Timestamp::from_second(NOW + 1).ok();
    backups[1].undo_until = Timestamp::from_second(NOW).ok();
    assert_eq!(removed(&backups), [99]);
    backups[0].undo_until = None;
    assert!(reasons(&backups, 3).starts_with("no restore is known"));
    assert_eq!(removed(&[backup(31, Tier::PreRestore, State::Succeeded)]), [31]);
}

#[test]
fn failed_runs_are_remembered_for_a_month() {
    let mut backups = dailies(1);
    backups.extend(
        [(29, State::Failed), (30, State::Cancelled), (31, State::Partial)]
            .map(|(n, state)| backup(n, Tier::Daily, state)),
    );
    assert_eq!(removed(&backups), [30, 31]);
    assert_eq!(reasons(&backups, 29), "failed, kept for 30 days to be looked into");
}

#[test]
fn the_newest_partial_backup_stays_when_there_is_nothing_better() {
    let mut backups = vec![backup(40, Tier::Daily, State::Partial), backup(41, Tier::Daily, State::Partial)];
    assert_eq!(removed(&backups), [41]);
    backups.push(backup(50, Tier::Daily, State::Succeeded));
    assert_eq!(removed(&backups), [41]);
    backups.push(backup(1, Tier::Daily, State::Succeeded));
    assert_eq!(removed(&backups), [40, 41]);
}

#[test]
fn a_collapse_blocks_the_removal_of_what_came_before_until_it_is_acknowledged() {
    let mut backups = dailies(35);
    backups[2].collapsed = true;
    assert!(removed(&backups).is_empty());
    assert!(reasons(&backups, 34).contains("much smaller"));
    backups[2].collapsed = false;
    backups[32].collapsed = true;
    assert_eq!(removed(&backups), [30, 31], "what came after the collapse is free to go");
    backups[32].plan = "other".to_owned();
    assert_eq!(removed(&backups), [30, 31, 33, 34], "another plan's collapse blocks nothing here");
}

#[test]
fn the_newest_good_backup_of_a_plan_is_not_deleted_by_hand() {
    let mut backups = dailies(3);
    backups.push(backup(9, Tier::Manual, State::Succeeded));
    backups[0].state = State::Failed;
    assert!(refuse_deletion(&id(1), &backups).unwrap().contains("newest good backup of the plan default"));
    for free in [0, 2, 9, 77] {
        assert!(refuse_deletion(&id(free), &backups).is_none(), "{free}");
    }
}

prop_compose! {
    fn candidates()(all in proptest::collection::vec(
        (0..3_usize, 0..5_usize, 0..5_usize, 0..400_i64, any::<[bool; 3]>(), proptest::option::of(-50..50_i64)), 0..60
    ), chance in proptest::collection::vec(0..8_u8, 60)) -> Vec<Candidate> {
        all.into_iter().zip(chance).enumerate().map(|(number, ((plan, tier, state, age, flags, undo), chance))| Candidate {
            id: id(number),
            plan: ["a", "b", "c"][plan].to_owned(),
            tier: Tier::ALL[tier],
            state: if chance < 5 { State::Succeeded } else { State::ALL[state] },
            started_at: Timestamp::from_second(NOW - age * DAY / 2).unwrap(),
            pinned: flags[0] && chance == 0,
            in_use: flags[1] && chance == 0,
            collapsed: flags[2] && chance == 0,
            undo_until: undo.map(|days| Timestamp::from_second(NOW + days * DAY).unwrap()),
        }).collect()
    }
}

prop_compose! {
    fn policies()(daily in 0..12_u32, weekly in 0..5_u32, monthly in 0..5_u32, failed_days in 0..60_u32) -> RetentionSettings {
        RetentionSettings { daily, weekly, monthly, failed_days }
    }
}

proptest! {
    #[test]
    fn every_backup_is_decided_once_and_what_must_stay_stays(backups in candidates(), policy in policies()) {
        let plan = plan(&backups, &policy, now());
        let removed: HashSet<_> = plan.remove.iter().map(|removed| removed.id.clone()).collect();
        let kept: HashSet<_> = plan.keep.iter().map(|kept| kept.id.clone()).collect();
        prop_assert_eq!(plan.keep.len() + plan.remove.len(), backups.len());
        prop_assert_eq!(removed.len() + kept.len(), backups.len());
        prop_assert!(plan.keep.iter().all(|kept| !kept.reasons.is_empty()));
        for backup in &backups {
            let untouchable = backup.pinned || backup.in_use || backup.collapsed || backup.state == State::Running
                || (backup.tier == Tier::Manual && backup.state == State::Succeeded);
            prop_assert!(!(untouchable && removed.contains(&backup.id)), "{:?}", backup);
            let same_kind = |other: &&Candidate| other.plan == backup.plan && other.tier == backup.tier && other.state == State::Succeeded;
            let newest = backups.iter().filter(same_kind).max_by_key(|other| (other.started_at, &other.id));
            if backup.tier != Tier::PreRestore && newest.is_some_and(|newest| newest.id == backup.id) {
                prop_assert!(kept.contains(&backup.id), "newest good: {:?}", backup);
            }
        }
    }

    #[test]
    fn no_plan_loses_all_that_it_had(backups in candidates(), policy in policies()) {
        let removed: HashSet<_> = plan(&backups, &policy, now()).remove.into_iter().map(|removed| removed.id).collect();
        let holds = |candidate: &&Candidate| matches!(candidate.state, State::Succeeded | State::Partial) && candidate.tier != Tier::PreRestore;
        for name in ["a", "b", "c"] {
            let before = backups.iter().filter(holds).filter(|candidate| candidate.plan == name).count();
            let after = backups.iter().filter(holds).filter(|candidate| candidate.plan == name && !removed.contains(&candidate.id)).count();
            prop_assert!(before == 0 || after > 0);
        }
    }

    #[test]
    fn planning_again_removes_nothing_more(backups in candidates(), policy in policies()) {
        let removed: HashSet<_> = plan(&backups, &policy, now()).remove.into_iter().map(|removed| removed.id).collect();
        let left: Vec<_> = backups.into_iter().filter(|backup| !removed.contains(&backup.id)).collect();
        prop_assert_eq!(plan(&left, &policy, now()).remove, vec![]);
    }

    #[test]
    fn a_larger_policy_never_removes_more(backups in candidates(), policy in policies(), more in policies()) {
        let larger = RetentionSettings {
            daily: policy.daily + more.daily,
            weekly: policy.weekly + more.weekly,
            monthly: policy.monthly + more.monthly,
            failed_days: policy.failed_days + more.failed_days,
        };
        let ids = |plan: RetentionPlan| plan.remove.into_iter().map(|removed| removed.id).collect::<HashSet<_>>();
        let (small, large) = (ids(plan(&backups, &policy, now())), ids(plan(&backups, &larger, now())));
        prop_assert!(large.is_subset(&small));
    }

    #[test]
    fn the_order_of_the_records_does_not_matter(backups in candidates(), policy in policies()) {
        let mut reversed = backups.clone();
        reversed.reverse();
        prop_assert_eq!(plan(&backups, &policy, now()), plan(&reversed, &policy, now()));
    }
}
