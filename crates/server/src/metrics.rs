//! Figures for Prometheus, in its text format: base units, names as its guide wants them. They are computed when they are
//! asked for, from the catalog; only requests are counted as they come.

use crate::figures::Figures;
use crate::schedules::Schedules;
use crate::state::App;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use engine::Result;
use jiff::Timestamp;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Upper bounds of the histogram of requests, in seconds.
const BUCKETS_SECONDS: [f64; 6] = [0.005, 0.02, 0.05, 0.2, 1.0, 5.0];

/// How requests went.
#[derive(Default)]
pub struct HttpFigures {
    by_class: [AtomicU64; 5],
    buckets: [AtomicU64; BUCKETS_SECONDS.len()],
    microseconds: AtomicU64,
}

impl HttpFigures {
    fn count(&self, status: u16, took: Duration) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.by_class[class].fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
        for (bound, bucket) in BUCKETS_SECONDS.iter().zip(&self.buckets) {
            if took.as_secs_f64() <= *bound {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Counts a request; the time is that to the answer's head.
pub async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let response = next.run(request).await;
    app.http.count(response.status().as_u16(), started.elapsed());
    response
}

/// A value with its labels; one that is not known is left out.
type Labelled<'a> = (Vec<(&'a str, &'a str)>, Option<f64>);

/// A metric being written.
struct Page {
    text: String,
}

impl Page {
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "{name}{labels} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, values: &[Labelled<'_>]) {
        self.metric(name, "gauge", help);
        for (labels, value) in values {
            if let Some(value) = value {
                self.value(name, labels, *value);
            }
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

/// All figures now.
pub fn render(app: &App) -> Result<String> {
    let mut page = Page { text: String::with_capacity(8192) };
    let figures = Figures::read(app)?;
    page.gauge(
        "strongroom_build_info",
        "Always 1; the version is a label.",
        &[(vec![("version", env!("CARGO_PKG_VERSION"))], Some(1.0))],
    );
    backups(&mut page, &figures);
    let schedules = Schedules::read(app)?;
    scheduler(&mut page, app, &schedules);
    service(&mut page, app, &figures)?;
    http(&mut page, app);
    process(&mut page, app);
    Ok(page.text)
}

fn backups(page: &mut Page, figures: &Figures) {
    let mut each = |name: &str, help: &str, value: &dyn Fn(&crate::figures::PlanFigures) -> Option<f64>| {
        let values = figures
            .plans
            .iter()
            .map(|one| (vec![("plan", one.plan.as_str()), ("tier", one.tier.name())], value(one)))
            .collect::<Vec<_>>();
        page.gauge(name, help, &values);
    };
    each("strongroom_backups", "Backups on record.", &|one| Some(one.count as f64));
    each("strongroom_backups_succeeded", "Succeeded backups on record.", &|one| Some(one.succeeded as f64));
    each("strongroom_backups_failed", "Failed backups on record.", &|one| Some(one.failed as f64));
    each("strongroom_backups_stored_bytes", "Bytes that backups take in their stores.", &|one| Some(one.bytes as f64));
    each("strongroom_backup_last_success_timestamp_seconds", "Start of the newest succeeded backup.", &|one| {
        one.last_success_at.map(seconds)
    });
    each("strongroom_backup_last_failure_timestamp_seconds", "Start of the newest failed backup.", &|one| {
        one.last_failure_at.map(seconds)
    });
    each("strongroom_backup_last_duration_seconds", "How long the newest succeeded backup took.", &|one| {
        one.last_duration_ms.map(|milliseconds| milliseconds as f64 / 1000.0)
    });
    each("strongroom_backup_last_size_bytes", "Bytes of the newest succeeded backup in its store.", &|one| {
        one.last_bytes.map(|bytes| bytes as f64)
    });
    each(
        "strongroom_backup_newest_proven_timestamp_seconds",
        "Start of the newest backup that a drill proved to restore.",
        &|one| one.newest_proven_at.map(seconds),
    );
    let mut trust = Vec::new();
    for one in &figures.plans {
        for (step, time) in [
            ("stored", one.trust.stored),
            ("read", one.trust.re_read),
            ("opened", one.trust.opened),
            ("restored", one.trust.restored),
        ] {
            let labels = vec![("plan", one.plan.as_str()), ("tier", one.tier.name()), ("step", step)];
            trust.push((labels, time.map(seconds)));
        }
    }
    let help = "When the newest succeeded backup was last proven this far.";
    page.gauge("strongroom_backup_trust_timestamp_seconds", help, &trust);
}

fn scheduler(page: &mut Page, app: &App, schedules: &Schedules) {
    let running = f64::from(u8::from(schedules.running));
    page.gauge("strongroom_scheduler_running", "1 when schedules run.", &[(vec![], Some(running))]);
    let now = app.clock.now();
    let next = schedules.tasks.iter().filter(|_| schedules.running).map(|task| {
        let labels = vec![("plan", task.key.plan.as_deref().unwrap_or("")), ("task", task.key.task.as_str())];
        (labels, task.schedule.as_ref().and_then(|schedule| schedule.next_after(now)).map(|slot| seconds(slot.at)))
    });
    let help = "When a schedule runs next.";
    page.gauge("strongroom_schedule_next_run_timestamp_seconds", help, &next.collect::<Vec<_>>());
}

fn service(page: &mut Page, app: &App, figures: &Figures) -> Result<()> {
    let config = app.strongroom.config();
    let disk = app.strongroom.disk()?;
    if let Some(disk) = disk {
        page.gauge("strongroom_disk_free_bytes", "Free where backups lie.", &[(vec![], Some(disk.free_bytes as f64))]);
        page.gauge("strongroom_disk_total_bytes", "Size of that disk.", &[(vec![], Some(disk.total_bytes as f64))]);
    }
    let outbox = app.catalog.outbox_count()?;
    let messages = [("pending", outbox.pending), ("sent", outbox.sent), ("given_up", outbox.given_up)];
    let messages = messages.map(|(state, count)| (vec![("state", state)], Some(count as f64)));
    page.gauge("strongroom_outbox_messages", "Messages on record by state.", &messages);
    let jobs = app.catalog.jobs_count()?;
    let jobs: Vec<_> = jobs.iter().map(|(state, count)| (vec![("state", state.name())], Some(*count as f64))).collect();
    page.gauge("strongroom_jobs", "Jobs on record by state.", &jobs);
    let alarms = crate::watch::alarms(app, &config, figures, disk)?;
    let names = [
        engine::config::Event::Stale,
        engine::config::Event::Unproven,
        engine::config::Event::LowDisk,
        engine::config::Event::Critical,
    ];
    let alarms = names.map(|event| {
        let count = alarms.iter().filter(|alarm| alarm.event == event).count();
        (vec![("alarm", engine::notify::event_name(event))], Some(count as f64))
    });
    page.gauge("strongroom_alarms", "What is wrong now, by kind.", &alarms);
    Ok(())
}

fn http(page: &mut Page, app: &App) {
    let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
    page.metric("strongroom_http_requests_total", "counter", "Requests answered, by class of status.");
    let mut total = 0;
    for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(&app.http.by_class) {
        total += load(count);
        page.value("strongroom_http_requests_total", &[("status", class)], load(count) as f64);
    }
    let name = "strongroom_http_request_duration_seconds";
    page.metric(name, "histogram", "Time until the answer's head.");
    for (bound, count) in BUCKETS_SECONDS.iter().zip(&app.http.buckets) {
        page.value(&format!("{name}_bucket"), &[("le", &bound.to_string())], load(count) as f64);
    }
    page.value(&format!("{name}_bucket"), &[("le", "+Inf")], total as f64);
    page.value(&format!("{name}_sum"), &[], load(&app.http.microseconds) as f64 / 1e6);
    page.value(&format!("{name}_count"), &[], total as f64);
}

fn process(page: &mut Page, app: &App) {
    let start = [(vec![], Some(seconds(app.started_at)))];
    page.gauge("process_start_time_seconds", "When the service started.", &start);
    let memory = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()
    });
    let memory = [(vec![], memory.map(|kibibytes| kibibytes * 1024.0))];
    page.gauge("process_resident_memory_bytes", "Memory of the service.", &memory);
}
