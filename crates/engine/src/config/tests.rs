use super::*;
use crate::manifest::ComponentKind;
use crate::{Error, ErrorKind, Result};
use proptest::prelude::*;

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn inputs(toml: &str, dotenv: &str, env: &[(&str, &str)]) -> ConfigInputs {
    ConfigInputs {
        folder: "/srv/app".into(),
        toml: (!toml.is_empty()).then(|| ("/srv/app/strongroom.toml".into(), toml.to_owned())),
        dotenv: (!dotenv.is_empty()).then(|| ("/srv/app/.env".into(), dotenv.to_owned())),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        overrides: Vec::new(),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that `Config::load` asks for")]
fn look(_: &std::path::Path, _: &dyn Fn(&str) -> Option<String>) -> Result<Found> {
    let component = |name: &str, settings: &str| ComponentConfig {
        name: name.to_owned(),
        settings: toml::from_str(settings).unwrap(),
    };
    Ok(Found {
        components: vec![
            component("database", "kind = \"sqlite\"\npath = \"prisma/dev.db\""),
            component("uploads", "kind = \"files\"\npath = \"/srv/app/uploads\""),
        ],
        notes: vec!["looked".to_owned()],
    })
}

fn load(toml: &str, dotenv: &str, env: &[(&str, &str)]) -> Config {
    Config::load(&inputs(toml, dotenv, env), look).unwrap()
}

fn refused(toml: &str, dotenv: &str, env: &[(&str, &str)]) -> Error {
    let error = Config::load(&inputs(toml, dotenv, env), look).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    error
}

fn origin<'c>(config: &'c Config, key: &str) -> (&'c str, &'c str) {
    let value = config.values.iter().find(|value| value.key == key).unwrap();
    (&value.value, &value.origin)
}

#[test]
fn without_any_setting_there_is_one_plan_with_everything_found() {
    let config = load("", "", &[]);
    assert_eq!(config.backup_dir, PathBuf::from("/srv/app/backups"));
    assert_eq!(config.state_dir, PathBuf::from("/srv/app/backups/.strongroom"));
    let plan = config.plan("default").unwrap();
    assert_eq!(plan.components, ["database", "uploads"]);
    assert_eq!((plan.format, plan.compression, plan.level), (Format::Tar, Compression::Gzip, 6));
    let schedules: Vec<_> = plan.schedules.iter().map(|(tier, s)| (*tier, s.expression().to_owned())).collect();
    assert_eq!(
        schedules,
        [
            (Tier::Daily, "0 2 * * *".to_owned()),
            (Tier::Weekly, "0 1 * * 0".to_owned()),
            (Tier::Monthly, "0 0 1 * *".to_owned())
        ]
    );
    assert!(config.components_detected && config.notes.contains(&"looked".to_owned()));
    let ComponentSettings::Sqlite(sqlite) = &config.component("database").unwrap().settings else { panic!() };
    assert_eq!(sqlite.path, PathBuf::from("/srv/app/prisma/dev.db"));
    assert_eq!(origin(&config, "components.uploads.path").1, "found by looking");
}

#[test]
fn each_layer_wins_over_those_below_and_says_so() {
    let toml = "timezone = \"Europe/Berlin\"\n[retention]\ndaily = 1\nweekly = 2\nmonthly = 3\n";
    let dotenv = "BACKUP_RETENTION_WEEKLY=20\nBACKUP_RETENTION_MONTHLY=30 # many\n";
    let mut inputs = inputs(toml, dotenv, &[("BACKUP_RETENTION_MONTHLY", "300"), ("TZ", "")]);
    inputs.overrides =
        vec![("server.listen".to_owned(), "0.0.0.0:80".to_owned()), ("restore.undo_days".to_owned(), "9".to_owned())];
    let config = Config::load(&inputs, look).unwrap();
    assert_eq!((config.retention.daily, config.retention.weekly, config.retention.monthly), (1, 20, 300));
    assert_eq!(origin(&config, "retention.daily"), ("1", "strongroom.toml line 3"));
    assert_eq!(origin(&config, "retention.weekly"), ("20", "BACKUP_RETENTION_WEEKLY in .env line 1"));
    assert_eq!(origin(&config, "retention.monthly"), ("300", "BACKUP_RETENTION_MONTHLY in the environment"));
    assert_eq!(origin(&config, "retention.failed_days"), ("30", "default"));
    assert_eq!(origin(&config, "timezone"), ("Europe/Berlin", "strongroom.toml line 1"));
    assert_eq!(origin(&config, "server.listen"), ("0.0.0.0:80", "command line"));
    assert_eq!(config.restore.undo_days, 9);
}

#[test]
fn both_documents_samples_work_as_they_stand() {
    let erp = format!(
        "# Enable or disable scheduled backups (default: true)\nENABLE_SCHEDULED_BACKUPS=true\n\
         BACKUP_DIR=/path/to/backups\nBACKUP_ENCRYPTION_KEY={KEY}\nTZ=America/New_York\n"
    );
    let config = load("", &erp, &[]);
    assert_eq!(config.backup_dir, PathBuf::from("/path/to/backups"));
    assert_eq!(config.timezone.iana_name(), Some("America/New_York"));
    assert!(matches!(config.encryption, EncryptionPolicy::Key { .. }));
    let crm = "BACKUP_DIR=./backups\nBACKUP_RETENTION_DAILY=30\n\
               BACKUP_DAILY_SCHEDULE=\"0 2 * * *\"      # 2 AM daily\nBACKUP_WEEKLY_SCHEDULE=\"0 1 * * 0\"     # 1 AM Sunday\n\
               BACKUP_EMAIL_ENABLED=true\nSMTP_HOST=smtp.gmail.com\nSMTP_PORT=587\nSMTP_SECURE=false\n\
               SMTP_USER=your-email@gmail.com\nSMTP_PASSWORD=your-app-password\nBACKUP_EMAIL_FROM=your-email@gmail.com\n\
               BACKUP_EMAIL_TO=admin@yourcompany.com, second@yourcompany.com\nTZ=UTC\n";
    let config = load("", crm, &[]);
    assert_eq!(config.notify.smtp.port, Some(587));
    assert_eq!(config.notify.smtp.to, ["admin@yourcompany.com", "second@yourcompany.com"]);
    assert!(config.notify.email_enabled && !config.notify.smtp.secure);
    assert_eq!(config.plan("default").unwrap().schedules[0].1.sentence(), "Daily at 2:00 AM");
}

#[test]
fn unknown_keys_are_errors_with_their_line_and_a_suggestion() {
    for (toml, line, hint) in [
        ("backup_dri = \"x\"", 1, "Did you mean `backup_dir`?"),
        ("\n[retension]\ndaily = 3", 2, "Did you mean `retention`?"),
        ("[retention]\ndialy = 3", 2, "Did you mean `daily`?"),
        ("[plans.default]\nformat = \"tar\"\ncompresion = \"gzip\"", 3, "Did you mean `compression`?"),
        ("[plans.default]\n\nformat = \"tra\"", 3, "Did you mean `tar`?"),
        ("[components.uploads]\nkind = \"files\"\npath = \"x\"\nexlude = []", 4, "Did you mean `exclude`?"),
        ("[components.uploads]\nkind = \"file\"\npath = \"x\"", 2, "Did you mean `files`?"),
        ("[[notify.webhook]]\nurl = \"https://x\"\ntemplat = \"slack\"", 3, "Did you mean `template`?"),
        ("[hooks.before_backup]\ncommand = \"x\"\non_eror = \"fail\"", 3, "Did you mean `on_error`?"),
        ("[server.jwt]\nsecert = \"x\"", 2, "Did you mean `secret`?"),
        ("zzz = 1", 1, "docs/configuration.md lists every key."),
    ] {
        let error = refused(toml, "", &[]);
        assert!(error.message().starts_with(&format!("/srv/app/strongroom.toml line {line}: ")), "{toml}: {error}");
        assert_eq!(error.hint(), hint, "{toml}: {error}");
    }
}

#[test]
fn wrong_values_in_the_file_are_errors_that_say_where() {
    for (toml, said) in [
        ("[retention]\ndaily = \"many\"", "line 2"),
        ("[retention]\ndaily = -1", "line 2"),
        ("backup_dir = 3", "line 1"),
        ("backup_dir = ", "line 1"),
        ("timezone = \"Mars/Olympus\"", "timezone (strongroom.toml line 1): \"Mars/Olympus\" is not a known time zone"),
        ("[schedule]\ndaily = \"0 99 * * *\"", "schedule.daily (strongroom.toml line 2)"),
        ("[plans.a.schedules]\ndaily = \"x\"", "plans.a.schedules.daily (strongroom.toml line 2)"),
        ("[plans.a]\ncomponents = [\"upload\"]", "there is no component \"upload\""),
        ("[plans.a]\nformat = \"json\"\ncomponents = [\"uploads\"]", "databases only"),
        ("[plans.a]\nlevel = 13", "13 is no level"),
        ("[plans.\"a/b\"]", "\"a/b\" cannot be a name"),
        ("[collapse]\nratio = 1.5", "collapse.ratio"),
        ("[server]\nlisten = \"8080\"", "server.listen"),
        ("[server]\nallow = [\"10.0.0.0/99\"]", "10.0.0.0/99"),
        ("[server]\ntls_key = \"x\"", "TLS needs both"),
        ("[server.jwt]\nalgorithm = \"HS256\"\nsecret = \"short\"", "32 characters"),
        ("[server.jwt]\nalgorithm = \"HS256\"\npublic_key = \"x\"", "never a public key"),
        ("[server.jwt]\nalgorithm = \"none\"", "`none` is none of HS256, RS256, ES256"),
        ("[server.jwt]\nsecret = \"x\"", "no algorithm"),
        ("[[assert]]\ncomponent = \"uploads\"\nsql = \"\"\nexpect = 1", "is no database"),
        ("[[check]]\ncomponent = \"database\"\nsql = \"\"\nexists_in = \"database\"", "no component of kind `files`"),
        ("[[notify.webhook]]\nurl = \"slack\"", "does not begin with https://"),
        ("[notify.ping]\nstart = \"${NO_SUCH_VARIABLE}\"", "refers to the variable NO_SUCH_VARIABLE"),
        ("encryption_key = \"x\"", "keys do not belong into this file"),
        ("[components.own]\nkind = \"files\"\npath = \"backups\"", "own folder cannot be a component"),
    ] {
        let error = refused(toml, "", &[]);
        assert!(error.message().contains(said), "{toml}: {error}");
        assert!(!error.hint().is_empty(), "{toml}");
    }
}

#[test]
fn a_malformed_variable_is_an_error_that_names_it_and_hides_secrets() {
    let malformed = [
        ("ENABLE_SCHEDULED_BACKUPS", "maybe"),
        ("BACKUP_ENCRYPTION_KEY", "hunter2hunter2"),
        ("BACKUP_PREVIOUS_KEYS", "hunter2hunter2"),
        ("BACKUP_ENCRYPTION", "rot13"),
        ("TZ", "Mars/Olympus"),
        ("BACKUP_DAILY_SCHEDULE", "0 2 * *"),
        ("BACKUP_WEEKLY_SCHEDULE", "weekly"),
        ("BACKUP_MONTHLY_SCHEDULE", "0 0 32 * *"),
        ("BACKUP_CLEANUP_SCHEDULE", "60 * * * *"),
        ("BACKUP_VERIFY_SCHEDULE", "x"),
        ("BACKUP_DRILL_SCHEDULE", "x"),
        ("BACKUP_RETENTION_DAILY", "-1"),
        ("BACKUP_RETENTION_WEEKLY", "1.5"),
        ("BACKUP_RETENTION_MONTHLY", "twelve"),
        ("BACKUP_EMAIL_ENABLED", "ja"),
        ("SMTP_PORT", "0"),
        ("SMTP_SECURE", "tls"),
        ("STRONGROOM_LISTEN", "localhost"),
        ("STRONGROOM_ALLOW", "10.0.0.0/8;1"),
        ("STRONGROOM_TRUSTED_PROXIES", "proxy"),
        ("STRONGROOM_ALLOW_PLAIN_HTTP", "2"),
        ("STRONGROOM_LOG_LEVEL", "loud"),
        ("STRONGROOM_LOG_FORMAT", "xml"),
    ];
    for (name, value) in malformed {
        for error in [refused("", "", &[(name, value)]), refused("", &format!("\n{name}='{value}'"), &[])] {
            assert!(error.message().starts_with(name), "{error}");
            assert!(!error.message().contains("hunter2"), "{error}");
        }
    }
    let error = refused("", "\nSMTP_PORT=many", &[]);
    assert_eq!(error.message(), "SMTP_PORT in .env line 2 is \"many\"; expected is a whole number from 1 to 65535");
    let error = refused("", "BACKUP_DIR=\"/b\n", &[]);
    assert!(error.message().contains("never ends"), "{error}");
    load("", "OTHER=\"unclosed\n", &[]);
}

#[test]
fn every_variable_sets_its_key() {
    for variable in VARIABLES {
        let Some(key) = variable.key else { continue };
        let sample = [KEY, "true", "7", "UTC", "0 7 * * *", "none", "127.0.0.1:7", "10.0.0.7", "debug", "text"];
        let sample = sample.iter().find(|sample| variable.read(sample).is_some()).unwrap();
        let config = Config::load(&inputs("", "", &[(variable.name, sample)]), look);
        let config = match config {
            Ok(config) => config,
            // A half of a pair, refused for want of the other: it has arrived.
            Err(error) => {
                assert!(
                    error.message().contains("TLS needs both") || error.message().contains("no algorithm"),
                    "{error}"
                );
                continue;
            }
        };
        assert_eq!(origin(&config, key).1, format!("{} in the environment", variable.name));
    }
}

#[test]
fn encryption_follows_the_rule_of_the_documents() {
    let missing = load("", "", &[]).encryption;
    assert_eq!(missing.key_for_writing().unwrap_err().kind(), ErrorKind::NoKey);
    let key = load("", "", &[("BACKUP_ENCRYPTION_KEY", KEY), ("BACKUP_PREVIOUS_KEYS", &"ab".repeat(32))]).encryption;
    let fingerprint = key.key_for_writing().unwrap().unwrap().fingerprint();
    assert_eq!(key.keys().len(), 2);
    assert_eq!(key.key_with_fingerprint(&fingerprint).unwrap().fingerprint(), fingerprint);
    for plain in
        [load("", "BACKUP_ENCRYPTION=none", &[]), load("encryption = \"none\"", "", &[("NODE_ENV", "production")])]
    {
        assert!(plain.encryption.key_for_writing().unwrap().is_none());
        assert!(plain.encryption.warning().is_none());
    }
    let development = load("", "NODE_ENV=development", &[]).encryption;
    assert!(development.key_for_writing().unwrap().is_none() && development.warning().is_some());
    let development = load("", "NODE_ENV=development", &[("BACKUP_ENCRYPTION_KEY", KEY)]).encryption;
    assert!(development.key_for_writing().unwrap().is_some(), "a key is used wherever there is one");
    assert_eq!(load("", "", &[("BACKUP_ENCRYPTION_KEY", "")]).encryption.keys().len(), 0, "empty is not set");
}

#[test]
fn references_to_variables_are_replaced_outside_commands_and_statements() {
    let toml = "[components.database]\nkind = \"postgres\"\nurl = \"${DATABASE_URL}\"\n\
                [hooks.before_backup]\ncommand = \"echo ${HOME}\"\n\
                [[assert]]\ncomponent = \"database\"\nsql = \"SELECT '${x}'\"\nexpect = \"${x}\"\n";
    let dotenv =
        "DB_PASSWORD=secret\nDATABASE_URL=\"postgresql://app:${DB_PASSWORD}@db/app\"\nLITERAL='${DB_PASSWORD}'\n";
    let config = load(toml, dotenv, &[]);
    let ComponentSettings::Postgres(server) = &config.component("database").unwrap().settings else { panic!() };
    assert_eq!(server.url, "postgresql://app:secret@db/app");
    assert_eq!(config.hooks.before_backup.as_ref().unwrap().command, "echo ${HOME}");
    assert_eq!(config.assertions[0].expected_text(), "${x}");
    let inputs = inputs(toml, dotenv, &[]);
    assert_eq!(inputs.variable("LITERAL").unwrap(), "${DB_PASSWORD}");
    assert_eq!(inputs.variable("NOTHING"), None);
}

#[test]
fn no_secret_is_shown() {
    let toml = "[components.database]\nkind = \"mysql\"\nurl = \"mysql://app:hunter2@db/app?sslpassword=hunter2&x=1\"\n\
                drill_url = \"mysql://root:hun@ter2@db\"\n\
                [[notify.webhook]]\nurl = \"https://hooks.slack.com/services/hunter2\"\nsecret = \"hunter2\"\n\
                [notify.ping]\nsuccess = \"https://hc-ping.com/hunter2\"\n\
                [server.jwt]\nalgorithm = \"HS256\"\nsecret = \"hunter2hunter2hunter2hunter2hunter2\"\n";
    let config =
        load(toml, "SMTP_PASSWORD=hunter2\n", &[("BACKUP_ENCRYPTION_KEY", KEY), ("BACKUP_PREVIOUS_KEYS", KEY)]);
    for value in &config.values {
        assert!(
            !value.value.contains("hunter2") && !value.value.contains("ter2@") && !value.value.contains(KEY),
            "{value:?}"
        );
    }
    assert_eq!(origin(&config, "components.database.url").0, "mysql://app:…@db/app?sslpassword=…&x=1");
    assert_eq!(origin(&config, "notify.webhook[0].url").0, "https://hooks.slack.com/…");
    assert_eq!(origin(&config, "notify.webhook[0].url").1, "strongroom.toml line 5");
    assert_eq!(origin(&config, "encryption_key").0, "(set, not shown)");
    assert_eq!(origin(&load("", "", &[]), "encryption_key").0, "");
    assert!(!format!("{:?}", config.encryption).contains(KEY));
}

#[test]
fn a_component_that_holds_the_backups_leaves_them_out() {
    let config = load("[components.app]\nkind = \"files\"\npath = \".\"", "", &[]);
    let ComponentSettings::Files(files) = &config.component("app").unwrap().settings else { panic!() };
    assert_eq!((files.path.clone(), files.exclude.clone()), (PathBuf::from("/srv/app"), vec!["/backups/".to_owned()]));
    assert!(!config.components_detected);
}

#[test]
fn schedules_can_be_switched_off_and_plans_have_their_own() {
    let config = load(
        "[plans.default]\n[plans.hourly]\ncomponents = [\"database\"]\nformat = \"json\"\nschedules.daily = \"0 * * * *\"",
        "BACKUP_WEEKLY_SCHEDULE=off\nBACKUP_DRILL_SCHEDULE=off",
        &[],
    );
    let tiers = |name: &str| config.plan(name).unwrap().schedules.iter().map(|(tier, _)| *tier).collect::<Vec<_>>();
    assert_eq!(tiers("default"), [Tier::Daily, Tier::Monthly]);
    assert_eq!(tiers("hourly"), [Tier::Daily]);
    assert!(config.schedule.drill.is_none() && config.schedule.verify.is_some());
}

#[test]
fn the_file_that_init_writes_is_valid_and_so_is_each_of_its_comments() {
    let components = look(std::path::Path::new("/srv/app"), &|_| None).unwrap().components;
    let text = render_template(std::path::Path::new("/srv/app"), &components);
    let config = load(&text, "", &[]);
    assert_eq!(config.components.len(), 2);
    assert_eq!(config.component("uploads").unwrap().settings.kind(), ComponentKind::Files);
    let uncommented: Vec<&str> = text
        .lines()
        .map(|line| {
            line.strip_prefix("# ").filter(|rest| rest.starts_with('[') || rest.contains(" = ")).unwrap_or(line)
        })
        .collect();
    let config = load(&uncommented.join("\n"), "SLACK_WEBHOOK_URL=https://hooks.slack.com/x", &[]);
    assert_eq!((config.assertions.len(), config.checks.len(), config.notify.webhook.len()), (1, 1, 1));
    load(&render_template(std::path::Path::new("/srv/app"), &[]), "", &[]);
    let server: ComponentSettings = toml::from_str("kind = \"postgres\"\nurl = \"postgres://a:hunter2@db/x\"").unwrap();
    let server = ComponentConfig { name: "database".to_owned(), settings: server };
    assert!(!render_template(std::path::Path::new("/srv/app"), &[server]).contains("hunter2"));
}

/// One of everything, so that every key exists.
const EVERYTHING: &str = r#"
[components.a]
kind = "files"
path = "a"
[components.b]
kind = "sqlite"
path = "b.db"
[components.c]
kind = "postgres"
url = "postgres://c"
[components.d]
kind = "logs"
path = "d"
[components.e]
kind = "config"
path = "e"
[plans.p]
[[assert]]
component = "b"
sql = "SELECT 1"
expect = 1
[[check]]
component = "b"
sql = "SELECT 1"
exists_in = "a"
[hooks.before_backup]
command = "true"
[hooks.after_backup]
command = "true"
[hooks.before_restore]
command = "true"
[hooks.after_restore]
command = "true"
[[notify.webhook]]
url = "https://x"
"#;

#[test]
fn the_document_describes_every_key_and_variable_with_its_default() {
    let document = include_str!("../../../../docs/configuration.md");
    for variable in VARIABLES {
        assert!(
            document.contains(&format!("`{}`", variable.name)),
            "{} is not in docs/configuration.md",
            variable.name
        );
    }
    let mut missing = Vec::new();
    for value in load(EVERYTHING, "", &[]).values {
        let key = value.key.replace("[0]", "");
        let named: Vec<&str> = key.split('.').collect();
        let row = match named[..] {
            ["components", _, "kind"] => continue,
            ["components", name, key] => {
                let kind = ["files", "sqlite", "postgres", "logs", "config"][usize::from(name.as_bytes()[0] - b'a')];
                format!("| `{kind}.{key}` |")
            }
            ["plans", _, .., key] => format!("| `{}{key}` |", if named.len() == 4 { "schedules." } else { "" }),
            ["hooks", _, key] => format!("| `{key}` |"),
            _ => format!("| `{key}` |"),
        };
        let found = document.lines().find(|line| line.starts_with(&row));
        let default_is_right = value.origin != "default"
            || found.is_some_and(|line| value.value.is_empty() || line.contains(&format!("| `{}`", value.value)));
        if found.is_none() || (!default_is_right && !key.ends_with("events")) {
            missing.push(format!("{row} default {:?}: {found:?}", value.value));
        }
    }
    assert!(missing.is_empty(), "docs/configuration.md differs from the code:\n{}", missing.join("\n"));
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(text in "(?s)[a-z\\[\\]=\"'{}$.# \n0-9]{0,120}") {
        let _ = Config::load(&inputs(&text, "", &[]), look);
    }

    #[test]
    fn any_backup_dir_survives_the_way_through_dotenv(folder in "/[a-zA-Z0-9 #='é]{1,30}[a-z]") {
        let config = load("", &format!("BACKUP_DIR=\"{folder}\"\n"), &[]);
        prop_assert_eq!(config.backup_dir, PathBuf::from(folder.trim()));
    }
}
