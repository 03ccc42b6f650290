//! Alarms about what does not happen: no good backup, no proven one, no room, a run without end.
//!
//! An alarm is told when it begins and once a day while it lasts; which ones last is kept in the catalog, so that a restart
//! tells nobody twice. Stopped schedules silence nothing: that is when the alarm is needed most.

use crate::events;
use crate::figures::Figures;
use crate::state::App;
use crate::work::DiskFigures;
use engine::Result;
use engine::catalog::jobs::{Job, JobFilter, JobKind, JobState};
use engine::config::{Config, Event, Plan};
use engine::manifest::Tier;
use engine::notify::{self, Notice};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often we look.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// An alarm that lasts is told again after this.
const TELL_AGAIN: SignedDuration = SignedDuration::from_hours(24);
/// A backup takes its time after its schedule.
const GRACE: SignedDuration = SignedDuration::from_hours(2);
/// Runs that a plan's usual duration is taken from.
const RUNS_COMPARED: u32 = 20;
/// Fewer runs say nothing about what is usual.
const RUNS_COMPARED_MIN: usize = 3;
/// A run that is shorter than this never runs too long by comparison.
const LONG_RUN_MIN: SignedDuration = SignedDuration::from_mins(5);
/// Records of finished jobs and sent messages stay for so long.
const REMEMBER: SignedDuration = SignedDuration::from_hours(24 * 90);

const FIRST_START: &str = "service.first-start";
const LASTING: &str = "alarms.lasting";

/// Something is wrong now.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// Names it: `stale default`.
    pub key: String,
    /// What kind.
    pub event: Event,
    /// For people.
    pub text: String,
    /// What to do.
    pub advice: String,
}

impl Alarm {
    fn new(event: Event, subject: &str, text: String, advice: &str) -> Self {
        Self { key: format!("{} {subject}", notify::event_name(event)), event, text, advice: advice.to_owned() }
    }
}

/// Looks until the service stops.
pub async fn run(app: App) {
    while !app.is_stopping() {
        let looked = app.blocking(look).await;
        if looked.is_err() {
            tracing::error!("the watch over stale backups, disk and long runs failed");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = app.watch_woken() => {}
            () = app.stopping() => {}
        }
    }
}

/// Remembers when the service first ran: before that nothing can be missing.
pub fn remember_first_start(app: &App) -> Result<()> {
    if app.catalog.setting(FIRST_START)?.is_none() {
        let now = app.clock.now();
        app.catalog.setting_set(FIRST_START, Some(&now.to_string()), now, "service")?;
    }
    Ok(())
}

/// Looks once, and tells what is new. Public for tests, which have a clock of their own.
pub fn look(app: &App) -> Result<()> {
    let _alone = app.looking();
    let config = app.strongroom.config();
    let now = app.clock.now();
    let mut alarms = alarms(app, &config, &Figures::read(app)?, app.strongroom.disk()?)?;
    alarms.extend(long_runs(app, &config)?);
    tell(app, &alarms, now)?;
    let before = now - REMEMBER;
    app.catalog.jobs_forget(before)?;
    app.catalog.outbox_forget(before)
}

fn tell(app: &App, alarms: &[Alarm], now: Timestamp) -> Result<()> {
    let text = app.catalog.setting(LASTING)?;
    let told: BTreeMap<String, Timestamp> = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let mut lasting = BTreeMap::new();
    for alarm in alarms.iter().filter(|alarm| alarm.event != Event::Critical) {
        let last = told.get(&alarm.key).copied().filter(|last| now.duration_since(*last) < TELL_AGAIN);
        if last.is_none() {
            tracing::warn!(alarm = alarm.key, alarm.text, "alarm");
            events::post(app, &Notice::new(alarm.event, now, &alarm.text, "").advice(&alarm.advice));
        }
        lasting.insert(alarm.key.clone(), last.unwrap_or(now));
    }
    if lasting != told {
        let text = serde_json::json!(lasting).to_string();
        app.catalog.setting_set(LASTING, Some(&text), now, "service")?;
    }
    Ok(())
}

/// What is wrong now, long runs excepted.
pub fn alarms(app: &App, config: &Config, figures: &Figures, disk: Option<DiskFigures>) -> Result<Vec<Alarm>> {
    let now = app.clock.now();
    let first_start = app.catalog.setting(FIRST_START)?.and_then(|text| text.parse().ok()).unwrap_or(now);
    let mut alarms = Vec::new();
    for plan in &config.plans {
        let of_plan = || figures.plans.iter().filter(|one| one.plan == plan.name && one.tier != Tier::PreRestore);
        let last = of_plan().filter_map(|one| one.last_success_at).max();
        let proven = of_plan().filter_map(|one| one.newest_proven_at).max();
        alarms.extend(stale(config, plan, last, first_start, now));
        alarms.extend(unproven(config, plan, proven, first_start, now));
    }
    alarms.extend(disk.and_then(|disk| low_disk(config, disk)));
    for channel in notify::channels(&config.notify) {
        if let Some((at, error)) = app.catalog.outbox_trouble(&channel.name)? {
            let text = format!("Messages to {} do not arrive (since {at}): {error}", channel.name);
            alarms.push(Alarm::new(Event::Critical, &channel.name, text, "Send a test message after correcting it."));
        }
    }
    Ok(alarms)
}

/// A plan that runs weekly is not stale after a day.
fn stale_after(config: &Config, plan: &Plan, now: Timestamp) -> Option<SignedDuration> {
    let interval = plan.schedules.iter().filter_map(|(_, schedule)| {
        let runs = schedule.next_n(now, 2);
        Some(runs.get(1)?.at.duration_since(runs.first()?.at))
    });
    let configured = SignedDuration::from_hours(i64::from(config.notify.stale_after_hours));
    interval.min().map(|interval| configured.max(interval + GRACE))
}

fn stale(
    config: &Config,
    plan: &Plan,
    last: Option<Timestamp>,
    first_start: Timestamp,
    now: Timestamp,
) -> Option<Alarm> {
    let limit = stale_after(config, plan, now)?;
    if now.duration_since(last.unwrap_or(first_start)) <= limit {
        return None;
    }
    let text = match last {
        Some(last) => format!("Plan {} has no good backup since {last}", plan.name),
        None => format!("Plan {} has no good backup at all", plan.name),
    };
    let advice = "Look at the last failures and whether the schedules run; make a backup now.";
    Some(Alarm::new(Event::Stale, &plan.name, text, advice))
}

fn unproven(
    config: &Config,
    plan: &Plan,
    proven: Option<Timestamp>,
    first_start: Timestamp,
    now: Timestamp,
) -> Option<Alarm> {
    let limit = SignedDuration::from_hours(24 * i64::from(config.notify.unproven_after_days));
    if plan.schedules.is_empty() || now.duration_since(proven.unwrap_or(first_start)) <= limit {
        return None;
    }
    let text = match proven {
        Some(proven) => format!("The newest backup of plan {} that was proven to restore is of {proven}", plan.name),
        None => format!("No backup of plan {} was ever proven to restore", plan.name),
    };
    let advice = "Run a drill (`strongroom drill`), and look whether the drill schedule runs.";
    Some(Alarm::new(Event::Unproven, &plan.name, text, advice))
}

fn low_disk(config: &Config, disk: DiskFigures) -> Option<Alarm> {
    let percent = config.notify.low_disk_percent;
    if disk.total_bytes == 0 || disk.free_bytes as f64 / disk.total_bytes as f64 * 100.0 >= f64::from(percent) {
        return None;
    }
    let (free, total) = (notify::size(disk.free_bytes), notify::size(disk.total_bytes));
    let text = format!("Only {free} of {total} are free where the backups lie");
    let advice = "Make room, keep fewer backups, or point BACKUP_DIR at a larger disk.";
    Some(Alarm::new(Event::LowDisk, "disk", text, advice))
}

fn long_runs(app: &App, config: &Config) -> Result<Vec<Alarm>> {
    let filter = JobFilter { state: Some(JobState::Running), limit: 100, ..JobFilter::default() };
    let mut alarms = Vec::new();
    for job in app.catalog.jobs(&filter)?.0 {
        alarms.extend(long_run(app, config, &job)?);
    }
    Ok(alarms)
}

fn long_run(app: &App, config: &Config, job: &Job) -> Result<Option<Alarm>> {
    let Some(started) = job.started_at else { return Ok(None) };
    let taken = app.clock.now().duration_since(started);
    let fixed = config.notify.max_run_minutes.map(|minutes| SignedDuration::from_mins(i64::from(minutes)));
    let plan = job.request.get("plan").and_then(serde_json::Value::as_str);
    let usual = match plan.filter(|_| job.kind == JobKind::Backup) {
        Some(plan) => usual(app.catalog.backup_durations_ms(plan, RUNS_COMPARED)?),
        None => None,
    };
    let by_history = usual.map(|usual| {
        let limit = SignedDuration::try_from_secs_f64(usual.as_secs_f64() * config.notify.long_run_factor);
        limit.unwrap_or(SignedDuration::MAX).max(LONG_RUN_MIN)
    });
    let Some(limit) = [fixed, by_history].into_iter().flatten().min() else { return Ok(None) };
    if taken <= limit {
        return Ok(None);
    }
    let people = |duration: SignedDuration| notify::duration(duration.as_millis().max(0) as u64);
    let what = plan.map_or_else(|| job.kind.name().to_owned(), |plan| format!("backup of plan {plan}"));
    let usually = usual.map(|usual| format!(", usually {}", people(usual))).unwrap_or_default();
    let text = format!("The {what} has been running for {}{usually}", people(taken));
    let advice = "Look at its progress; cancel it when it does not move.";
    Ok(Some(Alarm::new(Event::LongRun, job.id.as_str(), text, advice)))
}

/// The median.
fn usual(mut durations_ms: Vec<u64>) -> Option<SignedDuration> {
    durations_ms.sort_unstable();
    let middle = durations_ms.get(durations_ms.len() / 2).filter(|_| durations_ms.len() >= RUNS_COMPARED_MIN)?;
    Some(SignedDuration::from_millis(i64::try_from(*middle).unwrap_or(i64::MAX)))
}
