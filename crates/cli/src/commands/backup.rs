//! `strongroom backup`

use super::json;
use crate::args::{Backup, FormatChoice, TierChoice};
use crate::exit;
use crate::output::{Report, backups, units};
use crate::session::Session;
use engine::backup::{self, Request};
use engine::catalog::backups::BackupRecord;
use engine::id::Id;
use engine::manifest::{Format, State, Tier};
use engine::notify::{self, Notice};
use engine::room::Room;
use std::time::{Duration, Instant};
use vault::{Progress, Result};

/// A run does not wait longer for mail servers.
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(30);

/// Takes a backup now.
pub fn run(arguments: &Backup, session: &Session) -> Result<Report> {
    let room = session.room()?;
    let id = Id::generate()?;
    let request = Request {
        id: Some(id.clone()),
        plan: arguments.plan.clone(),
        tier: tier(arguments.tier),
        description: arguments.description.clone(),
        components: arguments.components.clone(),
        format: arguments.format.map(format),
        late: false,
        force_reread: arguments.force_reread,
        actor: session.actor.clone(),
    };
    let result = backup::run(&room, &request, &session.progress());
    session.reporter.finish();
    tell(&room, &id, session);
    let record = result?;
    let exit = if record.state == State::Partial { exit::PARTIAL } else { exit::DONE };
    Ok(Report::done(json(&record)?, summary(&record)).with_exit(exit))
}

/// Tells whoever the configuration names what became of the run: a backup that cron starts must not fail in silence. What
/// cannot be delivered now waits in the outbox for the service, or for the next run.
fn tell(room: &Room, id: &Id, session: &Session) {
    let settings = &room.config.notify;
    if notify::channels(settings).is_empty() {
        return;
    }
    let deadline = Instant::now() + DELIVERY_TIME_MAX;
    let told = room.catalog.backup(id.as_str()).and_then(|record| {
        notify::post(&room.catalog, settings, &Notice::backup(&record, room.now()))?;
        notify::deliver_due(&room.catalog, settings, &|| room.now(), &|| Instant::now() > deadline)
    });
    if let Err(error) = told {
        session.reporter.warning(&format!("nobody could be told of this backup: {error}"));
    }
}

/// What a person wants to know after a backup.
pub fn summary(record: &BackupRecord) -> String {
    let head = match record.state {
        State::Partial => "The backup is PARTIAL: not everything could be read (see the warnings).",
        _ => "Backed up.",
    };
    let mut text = format!(
        "{head}\n\n  {}  {}  in {}\n  {}\n\n{}",
        record.id,
        record.bytes.map(units::bytes).unwrap_or_default(),
        record.duration_ms.map(units::milliseconds).unwrap_or_default(),
        record.location.as_deref().unwrap_or_default(),
        backups::components(record),
    );
    if let Some(collapse) = &record.collapsed {
        text.push_str(&format!(
            "\nMuch smaller than the backup before: {}.\nNothing older is removed until you say that this is right: `strongroom acknowledge {}`.\n",
            collapse.reason, record.id
        ));
    }
    let stored = if record.trust.re_read.is_some() { "Stored, read back and hashed." } else { "Stored." };
    text.push_str(&format!(
        "\n{stored} Not proven yet: `strongroom drill` restores it into a scratch place and compares."
    ));
    text
}

pub(super) const fn tier(choice: TierChoice) -> Tier {
    match choice {
        TierChoice::Daily => Tier::Daily,
        TierChoice::Weekly => Tier::Weekly,
        TierChoice::Monthly => Tier::Monthly,
        TierChoice::Manual => Tier::Manual,
        TierChoice::PreRestore => Tier::PreRestore,
    }
}

const fn format(choice: FormatChoice) -> Format {
    match choice {
        FormatChoice::Json => Format::Json,
        FormatChoice::Tar => Format::Tar,
        FormatChoice::Repository => Format::Repository,
    }
}
