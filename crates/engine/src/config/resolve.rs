//! From the settings as written to a configuration that holds together: names that exist, paths that are absolute,
//! schedules, zones, keys and addresses that were parsed. Every error names the variable or the key and its place.

use super::cidr::Cidr;
use super::layers::{self, Origin, Origins, suggest};
use super::variables::is_off;
use super::{ComponentConfig, ComponentSettings};
use super::{
    Compression, Config, ConfigInputs, DEFAULT_PLAN, Encryption, EncryptionPolicy, Found, Plan, PlanSchedules,
    PlanSettings, Server, ServiceSchedules, Settings, show,
};
use crate::manifest::{Format, Tier};
use crate::schedule::Schedule;
use crate::{Error, ErrorKind, Result};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
use vault::Key;

impl Config {
    /// Lays the layers over each other and checks the result. `look` finds the components when the file names none: it
    /// gets the folder and a function that knows the variables; see [`detect`](crate::detect).
    pub fn load(
        inputs: &ConfigInputs,
        look: impl FnOnce(&Path, &dyn Fn(&str) -> Option<String>) -> Result<Found>,
    ) -> Result<Self> {
        let (mut settings, mut origins) = layers::merge(inputs)?;
        let mut notes = Vec::new();
        let components_detected = settings.components.is_empty();
        if components_detected {
            let found = look(&inputs.folder, &|name| inputs.variable(name))?;
            notes.extend(found.notes);
            for component in found.components {
                origins.set(format!("components.{}", component.name), Origin::Found);
                settings.components.insert(component.name, component.settings);
            }
        }
        let resolver = Resolver { folder: &inputs.folder, settings: &settings, origins: &origins };
        let backup_dir = resolver.path(&settings.backup_dir);
        let timezone = resolver.timezone()?;
        let components = resolver.components(&backup_dir, &mut notes)?;
        Ok(Self {
            folder: inputs.folder.clone(),
            file: inputs.toml.as_ref().map(|(path, _)| path.clone()),
            state_dir: backup_dir.join(".strongroom"),
            backup_dir,
            encryption: resolver.encryption(&mut notes)?,
            plans: resolver.plans(&components, &timezone)?,
            schedule: resolver.service_schedules(&timezone)?,
            timezone,
            components_detected,
            retention: settings.retention,
            restore: settings.restore,
            collapse: resolver.collapse()?,
            assertions: resolver.assertions(&components)?,
            checks: resolver.checks(&components)?,
            hooks: settings.hooks.clone(),
            log: super::LogSettings { folder: resolver.path(&settings.log.folder), ..settings.log.clone() },
            notify: resolver.notify(&mut notes)?,
            server: resolver.server()?,
            values: show::values(&settings, &origins)?,
            components,
            notes,
        })
    }
}

struct Resolver<'a> {
    folder: &'a Path,
    settings: &'a Settings,
    origins: &'a Origins,
}

impl Resolver<'_> {
    fn wrong(&self, key: &str, why: impl std::fmt::Display, hint: impl Into<String>) -> Error {
        Error::new(ErrorKind::Config, format!("{}: {why}", self.origins.name(key)), hint)
    }

    /// Relative paths start at the configuration's folder; `.` and `..` are taken out without looking at the disk.
    fn path(&self, path: &Path) -> PathBuf {
        let mut clean = PathBuf::new();
        for part in self.folder.join(path).components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => drop(clean.pop()),
                part => clean.push(part),
            }
        }
        clean
    }

    fn timezone(&self) -> Result<TimeZone> {
        let name = &self.settings.timezone;
        TimeZone::get(name).map_err(|cause| {
            let hint = "Use a name such as Europe/Berlin, America/New_York or UTC.";
            self.wrong("timezone", format!("{name:?} is not a known time zone"), hint).because(cause)
        })
    }

    fn encryption(&self, notes: &mut Vec<String>) -> Result<EncryptionPolicy> {
        let settings = self.settings;
        let previous = settings
            .previous_keys
            .iter()
            .map(|digits| Key::from_hex(digits, &self.origins.name("previous_keys")))
            .collect::<Result<Vec<_>>>()?;
        let key = settings.encryption_key.as_ref();
        let key = key.map(|digits| Key::from_hex(digits, &self.origins.name("encryption_key"))).transpose()?;
        Ok(match (settings.encryption, key) {
            (Encryption::Aes256Gcm, Some(key)) => EncryptionPolicy::Key { key, previous },
            (Encryption::None, key) => EncryptionPolicy::None { previous: key.into_iter().chain(previous).collect() },
            (Encryption::Aes256Gcm, None) if settings.environment == "development" => {
                let warning = "This backup is not encrypted: there is no BACKUP_ENCRYPTION_KEY, and NODE_ENV is \
                               development. In production it would be refused."
                    .to_owned();
                notes.push(warning.clone());
                EncryptionPolicy::DevelopmentPlain { warning, previous }
            }
            (Encryption::Aes256Gcm, None) => EncryptionPolicy::Missing { previous },
        })
    }

    fn components(&self, backup_dir: &Path, notes: &mut Vec<String>) -> Result<Vec<ComponentConfig>> {
        let mut components = Vec::new();
        for (name, settings) in &self.settings.components {
            self.check_name("components", name)?;
            let mut settings = settings.clone();
            match &mut settings {
                ComponentSettings::Files(files) => {
                    files.path = self.path(&files.path);
                    if let Ok(inside) = backup_dir.strip_prefix(&files.path) {
                        if inside.as_os_str().is_empty() {
                            let why = "the backups' own folder cannot be a component";
                            return Err(self.wrong(&format!("components.{name}.path"), why, "Choose another folder."));
                        }
                        files.exclude.push(format!("/{}/", inside.display()));
                        notes
                            .push(format!("Component {name} leaves out the backups' own folder {}.", inside.display()));
                    }
                }
                ComponentSettings::Config(files) => files.path = self.path(&files.path),
                ComponentSettings::Logs(logs) => logs.path = self.path(&logs.path),
                ComponentSettings::Sqlite(sqlite) => sqlite.path = self.path(&sqlite.path),
                ComponentSettings::Postgres(server) | ComponentSettings::Mysql(server) => {
                    if let Some(folder) = &mut server.tools_folder {
                        *folder = self.path(folder);
                    }
                }
            }
            components.push(ComponentConfig { name: name.clone(), settings });
        }
        Ok(components)
    }

    /// Names become folders in archives and file names of locks.
    fn check_name(&self, section: &str, name: &str) -> Result<()> {
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(valid) {
            return Ok(());
        }
        let why = format!("{name:?} cannot be a name");
        let hint = "Names are 1 to 64 letters, digits, `-` and `_`, and begin with a letter or digit.";
        Err(self.wrong(&format!("{section}.{name}"), why, hint))
    }

    fn plans(&self, components: &[ComponentConfig], zone: &TimeZone) -> Result<Vec<Plan>> {
        let implicit = BTreeMap::from([(DEFAULT_PLAN.to_owned(), PlanSettings::default())]);
        let plans = if self.settings.plans.is_empty() { &implicit } else { &self.settings.plans };
        plans.iter().map(|(name, plan)| self.plan(name, plan, components, zone)).collect()
    }

    fn plan(&self, name: &str, plan: &PlanSettings, all: &[ComponentConfig], zone: &TimeZone) -> Result<Plan> {
        self.check_name("plans", name)?;
        let key = format!("plans.{name}");
        let json = plan.format == Format::Json;
        let components = match &plan.components {
            None => {
                let fits = |component: &&ComponentConfig| !json || component.settings.kind().is_database();
                all.iter().filter(fits).map(|component| component.name.clone()).collect()
            }
            Some(names) => {
                for component in names {
                    let found = self.existing(&format!("{key}.components"), component, all)?;
                    if json && !found.settings.kind().is_database() {
                        let why = format!("{component} is no database, and `json` archives hold databases only");
                        return Err(self.wrong(&format!("{key}.components"), why, "Use format = \"tar\"."));
                    }
                }
                names.clone()
            }
        };
        Ok(Plan {
            name: name.to_owned(),
            description: plan.description.clone(),
            components,
            format: plan.format,
            compression: plan.compression,
            level: self.level(&key, plan)?,
            schedules: self.plan_schedules(name, &plan.schedules, zone)?,
        })
    }

    fn level(&self, key: &str, plan: &PlanSettings) -> Result<u32> {
        let (usual, max) = match (plan.format, plan.compression) {
            (Format::Repository, _) | (_, Compression::Zstd) => (3, 19),
            (_, Compression::Gzip) => (6, 12),
            (_, Compression::None) => (0, 0),
        };
        let level = plan.level.unwrap_or(usual);
        if level > max || (level == 0 && max > 0) {
            let why = format!("{level} is no level of this compression: 1 to {max} are");
            return Err(self.wrong(&format!("{key}.level"), why, "Leave it out for the usual level."));
        }
        Ok(level)
    }

    /// The plan `default` takes what it does not say itself from `[schedule]` and its variables.
    fn plan_schedules(&self, name: &str, own: &PlanSchedules, zone: &TimeZone) -> Result<Vec<(Tier, Schedule)>> {
        let shared = &self.settings.schedule;
        let mut schedules = Vec::new();
        for (tier, own, shared) in [
            (Tier::Daily, &own.daily, &shared.daily),
            (Tier::Weekly, &own.weekly, &shared.weekly),
            (Tier::Monthly, &own.monthly, &shared.monthly),
        ] {
            let (key, expression) = match own {
                Some(expression) => (format!("plans.{name}.schedules.{}", tier.name()), Some(expression)),
                None => (format!("schedule.{}", tier.name()), (name == DEFAULT_PLAN).then_some(shared)),
            };
            if let Some(schedule) = expression.map(|text| self.schedule(&key, text, zone)).transpose()?.flatten() {
                schedules.push((tier, schedule));
            }
        }
        Ok(schedules)
    }

    fn service_schedules(&self, zone: &TimeZone) -> Result<ServiceSchedules> {
        let settings = &self.settings.schedule;
        Ok(ServiceSchedules {
            enabled: settings.enabled,
            catch_up: settings.catch_up,
            cleanup: self.schedule("schedule.cleanup", &settings.cleanup, zone)?,
            verify: self.schedule("schedule.verify", &settings.verify, zone)?,
            drill: self.schedule("schedule.drill", &settings.drill, zone)?,
        })
    }

    fn schedule(&self, key: &str, expression: &str, zone: &TimeZone) -> Result<Option<Schedule>> {
        if is_off(expression) {
            return Ok(None);
        }
        Schedule::parse(expression, zone.clone(), &self.origins.name(key)).map(Some)
    }

    fn existing<'c>(&self, key: &str, name: &str, all: &'c [ComponentConfig]) -> Result<&'c ComponentConfig> {
        all.iter().find(|component| component.name == name).ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|component| component.name.as_str()).collect();
            let hint = suggest(name, &names).unwrap_or_else(|| format!("There are: {}.", names.join(", ")));
            self.wrong(key, format!("there is no component {name:?}"), hint)
        })
    }

    fn database(&self, key: &str, name: &str, all: &[ComponentConfig]) -> Result<()> {
        if self.existing(key, name, all)?.settings.kind().is_database() {
            return Ok(());
        }
        Err(self.wrong(key, format!("the component {name} is no database"), "Name a database component."))
    }

    fn assertions(&self, all: &[ComponentConfig]) -> Result<Vec<super::Assertion>> {
        for assertion in &self.settings.assert {
            self.database("assert", &assertion.component, all)?;
            if matches!(assertion.expect, toml::Value::Array(_) | toml::Value::Table(_)) {
                let why = "`expect` is a list or table, but a query's single value is compared with it";
                return Err(self.wrong("assert", why, "Give a text, a number, true or false."));
            }
        }
        Ok(self.settings.assert.clone())
    }

    fn checks(&self, all: &[ComponentConfig]) -> Result<Vec<super::ReferenceCheck>> {
        for check in &self.settings.check {
            self.database("check", &check.component, all)?;
            let files = self.existing("check", &check.exists_in, all)?;
            if !matches!(files.settings, ComponentSettings::Files(_)) {
                let why = format!("exists_in = {:?} is no component of kind `files`", check.exists_in);
                return Err(self.wrong("check", why, "Name the component that holds the files."));
            }
        }
        Ok(self.settings.check.clone())
    }

    fn collapse(&self) -> Result<super::CollapseSettings> {
        if (0.0..1.0).contains(&self.settings.collapse.ratio) {
            return Ok(self.settings.collapse);
        }
        let why = format!("{} is no share: 0 (off) to below 1 are", self.settings.collapse.ratio);
        Err(self.wrong("collapse.ratio", why, "0.5 flags a backup of under half its predecessor's size."))
    }

    fn notify(&self, notes: &mut Vec<String>) -> Result<super::NotifySettings> {
        let notify = &self.settings.notify;
        if notify.low_disk_percent > 99 {
            let why = format!("{} is no percentage from 0 to 99", notify.low_disk_percent);
            return Err(self.wrong("notify.low_disk_percent", why, "10 is usual; 0 turns it off."));
        }
        if notify.long_run_factor.is_nan() || notify.long_run_factor < 1.0 {
            let why = format!("{} is less than 1", notify.long_run_factor);
            return Err(self.wrong("notify.long_run_factor", why, "3 is usual."));
        }
        let urls = notify.webhook.iter().map(|hook| ("notify.webhook", hook.url.as_str()));
        let pings = [
            ("notify.ping.start", &notify.ping.start),
            ("notify.ping.success", &notify.ping.success),
            ("notify.ping.failure", &notify.ping.failure),
        ];
        for (key, url) in urls.chain(pings.into_iter().filter_map(|(key, url)| Some((key, url.as_deref()?)))) {
            if !url.starts_with("https://") && !url.starts_with("http://") {
                let why = "the address does not begin with https:// or http://";
                return Err(self.wrong(key, why, "Give the whole address."));
            }
        }
        if notify.email_enabled && (notify.smtp.host.is_none() || notify.smtp.to.is_empty()) {
            let missing = if notify.smtp.host.is_none() { "SMTP_HOST" } else { "BACKUP_EMAIL_TO" };
            notes.push(format!("BACKUP_EMAIL_ENABLED is true, but {missing} is not set: no mail can be sent."));
        }
        Ok(notify.clone())
    }

    fn server(&self) -> Result<Server> {
        let settings = &self.settings.server;
        let listen = settings.listen.parse().map_err(|_| {
            let why = format!("{:?} is no address with a port", settings.listen);
            self.wrong("server.listen", why, "For instance 127.0.0.1:8080 or [::]:443.")
        })?;
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| self.path(path));
        let tls = match (path(&settings.tls_certificate), path(&settings.tls_key)) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                let why = "TLS needs both server.tls_certificate and server.tls_key, only one is set";
                return Err(self.wrong("server.tls_certificate", why, "Set both, or none."));
            }
        };
        Ok(Server {
            listen,
            tls,
            allow_plain_http: settings.allow_plain_http,
            allow: self.blocks("server.allow", &settings.allow)?,
            trusted_proxies: self.blocks("server.trusted_proxies", &settings.trusted_proxies)?,
            session_hours: settings.session_hours.max(1),
            shutdown_timeout: Duration::from_secs(settings.shutdown_timeout_seconds),
            jwt: self.jwt()?,
        })
    }

    fn blocks(&self, key: &str, texts: &[String]) -> Result<Vec<Cidr>> {
        let hint = "Blocks are written 10.0.0.0/8, 2001:db8::/32, or as a single address.";
        texts.iter().map(|text| text.parse().map_err(|why: String| self.wrong(key, why, hint))).collect()
    }

    fn jwt(&self) -> Result<Option<super::JwtSettings>> {
        use super::JwtAlgorithm::{Es256, Hs256, Rs256};
        let jwt = &self.settings.server.jwt;
        let key = "server.jwt";
        let problem = match jwt.algorithm {
            None if jwt.secret.is_some() || jwt.public_key.is_some() || jwt.jwks_url.is_some() => {
                "a key is given, but no algorithm: no token would be accepted"
            }
            None => return Ok(None),
            Some(Hs256) if jwt.public_key.is_some() || jwt.jwks_url.is_some() => {
                "HS256 takes `secret`, never a public key: whoever knows that could sign tokens with it"
            }
            Some(Hs256) if jwt.secret.as_ref().is_none_or(|secret| secret.len() < 32) => {
                "HS256 needs a `secret` of 32 characters or more"
            }
            Some(Rs256 | Es256) if jwt.secret.is_some() => "RS256 and ES256 take no `secret`",
            Some(Rs256 | Es256) if jwt.public_key.is_some() == jwt.jwks_url.is_some() => {
                "RS256 and ES256 need either `public_key` or `jwks_url`"
            }
            Some(_) => {
                let public_key = jwt.public_key.as_ref().map(|path| self.path(path));
                return Ok(Some(super::JwtSettings { public_key, ..jwt.clone() }));
            }
        };
        Err(self.wrong(key, problem, "docs/configuration.md shows one example for each algorithm."))
    }
}
