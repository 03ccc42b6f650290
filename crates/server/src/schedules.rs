//! What runs by itself, and whether it does: the configuration, overlaid with what was changed here.
//!
//! A stop or start through the API is kept in the catalog and survives restarts; `ENABLE_SCHEDULED_BACKUPS=false` beats
//! both. Each task's ledger (which runs have happened) is kept there too.

use crate::events::SCHEDULER;
use crate::state::App;
use engine::catalog::jobs::Job;
use engine::config::{Config, DEFAULT_PLAN};
use engine::manifest::Tier;
use engine::schedule::{Ledger, Schedule};
use engine::{Error, ErrorKind, Result};
use jiff::Timestamp;

const RUNNING: &str = "schedules.running";
const EDITED: &str = "schedules.edited.";
const LEDGER: &str = "schedules.ledger.";
const LAST: &str = "schedules.last.";

/// Names a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskKey {
    /// Its plan; `None` for what concerns all.
    pub plan: Option<String>,
    /// `daily`, `weekly`, `monthly`, `cleanup`, `verify` or `drill`.
    pub task: String,
}

impl TaskKey {
    fn name(&self) -> String {
        format!("{}/{}", self.plan.as_deref().unwrap_or("-"), self.task)
    }

    /// The tier of the backups that it makes; `None` when it makes none.
    pub fn tier(&self) -> Option<Tier> {
        self.plan.as_ref().and_then(|_| Tier::parse(&self.task))
    }
}

/// Something that runs by itself.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its name.
    pub key: TaskKey,
    /// When; `None` for never.
    pub schedule: Option<Schedule>,
    /// It was changed here.
    pub edited: bool,
}

impl Task {
    /// When it last ran.
    pub fn last_run(&self, app: &App) -> Result<Option<Timestamp>> {
        let text = app.catalog.setting(&format!("{LAST}{}", self.key.name()))?;
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// Which of its runs have happened; `None` for a task that was never looked at.
    pub fn ledger(&self, app: &App) -> Result<Option<Ledger>> {
        let text = app.catalog.setting(&self.ledger_name())?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Keeps the ledger.
    pub fn save_ledger(&self, app: &App, ledger: &Ledger) -> Result<()> {
        app.catalog.setting_set(&self.ledger_name(), Some(&ledger_text(ledger)?), app.clock.now(), SCHEDULER)
    }

    /// Queues a run together with the ledger that remembers it.
    pub fn start(&self, app: &App, job: &Job, ledger: &Ledger) -> Result<()> {
        app.catalog.job_add_scheduled(job, (&self.ledger_name(), &ledger_text(ledger)?))?;
        let now = job.created_at;
        app.catalog.setting_set(&format!("{LAST}{}", self.key.name()), Some(&now.to_string()), now, SCHEDULER)
    }

    fn ledger_name(&self) -> String {
        format!("{LEDGER}{}", self.key.name())
    }

    /// What would have run until now was not missed.
    fn resume(&self, app: &App) -> Result<()> {
        let now = app.clock.now();
        let mut ledger = self.ledger(app)?.unwrap_or_else(|| Ledger::new(now));
        ledger.resume(now);
        self.save_ledger(app, &ledger)
    }
}

fn ledger_text(ledger: &Ledger) -> Result<String> {
    serde_json::to_string(ledger).map_err(|cause| Error::internal(cause.to_string()))
}

/// Everything that runs by itself.
pub struct Schedules {
    /// Whether anything does.
    pub running: bool,
    /// `ENABLE_SCHEDULED_BACKUPS=false` holds.
    pub disabled_by_configuration: bool,
    /// One by one: plans in order, then cleanup, verify, drill.
    pub tasks: Vec<Task>,
}

impl Schedules {
    /// As they are now.
    pub fn read(app: &App) -> Result<Self> {
        let config = app.strongroom.config();
        let stopped = app.catalog.setting(RUNNING)?.is_some_and(|value| value == "false");
        let edited = app.catalog.settings(EDITED)?;
        let tasks = configured(&config).into_iter().map(|(key, schedule)| {
            let name = format!("{EDITED}{}", key.name());
            match edited.iter().find(|(edited, _)| *edited == name) {
                Some((_, expression)) => Task { schedule: read(expression, &config, &name), key, edited: true },
                None => Task { key, schedule, edited: false },
            }
        });
        Ok(Self {
            running: config.schedule.enabled && !stopped,
            disabled_by_configuration: !config.schedule.enabled,
            tasks: tasks.collect(),
        })
    }

    /// When the next backup runs by itself.
    pub fn next_backup(&self, now: Timestamp) -> Option<Timestamp> {
        let backups = self.tasks.iter().filter(|task| self.running && task.key.tier().is_some());
        backups.filter_map(|task| Some(task.schedule.as_ref()?.next_after(now)?.at)).min()
    }

    /// The first backup schedule of the default plan in words: what the ERP's page shows.
    pub fn sentence(&self) -> String {
        let backups = self.tasks.iter().filter(|task| task.key.tier().is_some());
        let mut backups = backups.filter_map(|task| Some((task.key.plan.as_deref()?, task.schedule.as_ref()?)));
        let first = backups.clone().find(|(plan, _)| *plan == DEFAULT_PLAN).or_else(|| backups.next());
        first.map_or_else(|| "Never".to_owned(), |(_, schedule)| schedule.sentence())
    }

    /// Starts or stops everything. What would have run while it was stopped was not missed.
    pub fn set_running(app: &App, running: bool, by: &str) -> Result<()> {
        let now = app.clock.now();
        let before = Self::read(app)?;
        if running && !before.running {
            for task in &before.tasks {
                task.resume(app)?;
            }
        }
        app.catalog.setting_set(RUNNING, Some(if running { "true" } else { "false" }), now, by)
    }

    /// Changes when a task runs: an expression, `off`, or `None` for what the configuration says.
    pub fn edit(app: &App, plan: &str, task: &str, expression: Option<&str>, by: &str) -> Result<()> {
        let config = app.strongroom.config();
        let key = TaskKey { plan: (plan != "-").then(|| plan.to_owned()), task: task.to_owned() };
        if !configured(&config).iter().any(|(known, _)| *known == key) {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("there is no schedule {plan}/{task}"),
                "GET /api/schedules lists them.",
            ));
        }
        if let Some(expression) = expression.filter(|expression| *expression != "off") {
            Schedule::parse(expression, config.timezone.clone(), "expression")?;
        }
        let now = app.clock.now();
        let task = Task { key, schedule: None, edited: true };
        task.resume(app)?;
        app.catalog.setting_set(&format!("{EDITED}{}", task.key.name()), expression, now, by)
    }
}

/// Every task that there can be, with what the configuration says about it.
fn configured(config: &Config) -> Vec<(TaskKey, Option<Schedule>)> {
    let mut tasks = Vec::new();
    for plan in &config.plans {
        for tier in [Tier::Daily, Tier::Weekly, Tier::Monthly] {
            let schedule = plan.schedules.iter().find(|(of, _)| *of == tier).map(|(_, schedule)| schedule.clone());
            tasks.push((TaskKey { plan: Some(plan.name.clone()), task: tier.name().to_owned() }, schedule));
        }
    }
    let service = &config.schedule;
    for (task, schedule) in [("cleanup", &service.cleanup), ("verify", &service.verify), ("drill", &service.drill)] {
        tasks.push((TaskKey { plan: None, task: task.to_owned() }, schedule.clone()));
    }
    tasks
}

/// An edited expression was checked when it was set; in a new zone it may still be read.
fn read(expression: &str, config: &Config, name: &str) -> Option<Schedule> {
    if expression == "off" {
        return None;
    }
    match Schedule::parse(expression, config.timezone.clone(), name) {
        Ok(schedule) => Some(schedule),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "an edited schedule cannot be read");
            None
        }
    }
}
