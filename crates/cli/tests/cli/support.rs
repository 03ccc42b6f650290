//! An application in a temporary folder, and the binary.

use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// An application's state: path to what is there.
pub type Snapshot = BTreeMap<String, String>;

/// Fails with the paths that differ, not with everything there is.
#[track_caller]
pub fn assert_same(now: &Snapshot, wanted: &Snapshot) {
    let paths = now.keys().chain(wanted.keys()).filter(|path| now.get(*path) != wanted.get(*path));
    let show = |side: &Snapshot, path: &String| {
        side.get(path).map_or("nothing".to_owned(), |text| text.chars().take(90).collect())
    };
    let lines: Vec<_> =
        paths.map(|path| format!("{path}: {} instead of {}", show(now, path), show(wanted, path))).collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

/// Definitions as pg_dump sees them: an opinion that is not ours.
pub fn definitions(server: &testkit::postgres::Server, database: &str) -> String {
    let output = server.client("pg_dump").args(["-s", database]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| !line.starts_with('\\')).collect::<Vec<_>>().join("\n")
}

/// The key that test applications use.
pub const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A sample application with a key in its `.env`.
pub struct App {
    folder: tempfile::TempDir,
}

impl App {
    /// An application that is a database on a server, with a key.
    pub fn of_database(url: &str) -> Self {
        let app = Self::empty();
        std::fs::write(app.path().join(".env"), format!("DATABASE_URL=\"{url}\"\nBACKUP_ENCRYPTION_KEY={KEY}\n"))
            .unwrap();
        app
    }

    /// The sample CRM, with a key.
    pub fn new() -> Self {
        let app = Self { folder: tempfile::tempdir().unwrap() };
        engine::sample::SampleApp::create(app.path()).unwrap();
        let env = app.path().join(".env");
        let text = std::fs::read_to_string(&env).unwrap();
        std::fs::write(&env, format!("{text}\nBACKUP_ENCRYPTION_KEY={KEY}\n")).unwrap();
        app
    }

    /// An empty folder: another machine.
    pub fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The application's folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The live database.
    pub fn database(&self) -> PathBuf {
        self.path().join("prisma/dev.db")
    }

    /// Writes `strongroom.toml`.
    pub fn configure(&self, toml: &str) {
        std::fs::write(self.path().join("strongroom.toml"), toml).unwrap();
    }

    /// The binary in the application's folder, with a clean environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command.current_dir(self.path()).args(arguments).env_clear();
        for name in ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    /// A backup that waits at a step until `meanwhile` has ended.
    pub fn backup_waiting_at(&self, step: &str, meanwhile: impl FnOnce()) {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there");
        let mut command = self.command(&["backup", "--json"]);
        command.env("STRONGROOM_WAIT_AT", step).env("STRONGROOM_WAIT_FILE", &there);
        let mut backup = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while !there.exists() {
            assert!(backup.try_wait().unwrap().is_none(), "it ended before {step}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        meanwhile();
        std::fs::remove_file(&there).unwrap();
        let ended = backup.wait_with_output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }

    /// Gives everything to `nobody` and runs the binary as that user: root may read everything.
    pub fn run_as_nobody(&self, arguments: &[&str]) -> Outcome {
        let binary = self.path().join("strongroom-binary");
        std::fs::copy(env!("CARGO_BIN_EXE_strongroom"), &binary).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(binary).args(arguments);
        Outcome::of(command.current_dir(self.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap()))
    }

    /// Runs it.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(arguments))
    }

    /// Runs it with `--json`, expects exit code 0, and returns the document.
    pub fn ok(&self, arguments: &[&str]) -> Value {
        let outcome = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(outcome.exit, 0, "{arguments:?}: {outcome:?}");
        outcome.json()
    }

    /// Runs it with `--json`, expects a failure with this exit code, and returns the error's code.
    pub fn fails(&self, exit: i32, arguments: &[&str]) -> String {
        let outcome = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(outcome.exit, exit, "{arguments:?}: {outcome:?}");
        outcome.error_code()
    }

    /// Takes a backup and returns its record.
    pub fn backup(&self, arguments: &[&str]) -> Value {
        self.ok(&[&["backup"], arguments].concat())
    }

    /// Where a backup's archive lies.
    pub fn archive(&self, record: &Value) -> PathBuf {
        self.path().join("backups").join(record["location"].as_str().unwrap())
    }

    /// What one query yields in the live database.
    pub fn query(&self, sql: &str) -> String {
        query(&self.database(), sql)
    }

    /// Changes the live database.
    pub fn execute(&self, sql: &str) {
        rusqlite::Connection::open(self.database()).unwrap().execute_batch(sql).unwrap();
    }

    /// Everything in the application but backups, logs and Strongroom's own files: path to content, mode or link target.
    pub fn snapshot(&self) -> Snapshot {
        let mut found = Snapshot::new();
        for part in ["uploads", "package.json", "package-lock.json", "prisma/schema.prisma", ".env", ".env.example"] {
            describe(self.path(), &self.path().join(part), &mut found);
        }
        found.insert("database".to_owned(), dump(&self.database()));
        found
    }
}

/// A file system of its own, until it is dropped. Needs root for `mount`, which containers and CI have.
pub struct Mounted(pub PathBuf);

impl Mounted {
    /// A tmpfs of this size (`6m`).
    pub fn tmpfs(path: PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(status.success(), "mounting a tmpfs needs root");
        Self(path)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; 128 + the signal where one ended it.
    pub exit: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        Self {
            exit: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// The one document on standard output.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|cause| panic!("{cause}: {self:?}"))
    }

    /// The code of the error document on standard error.
    pub fn error_code(&self) -> String {
        let document: Value = serde_json::from_str(&self.stderr).unwrap_or_else(|cause| panic!("{cause}: {self:?}"));
        assert_eq!(document["success"], false);
        for field in ["message", "hint"] {
            assert!(document["error"][field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {document}");
        }
        document["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// What one query yields.
pub fn query(database: &Path, sql: &str) -> String {
    let connection = rusqlite::Connection::open(database).unwrap();
    connection
        .query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0))
        .map(|value| match value {
            rusqlite::types::Value::Integer(value) => value.to_string(),
            rusqlite::types::Value::Text(value) => value,
            other => format!("{other:?}"),
        })
        .unwrap()
}

/// Everything in a SQLite database as text, by the `sqlite3` shell: an opinion that is not ours.
pub fn dump(database: &Path) -> String {
    let output = Command::new("sqlite3").arg(database).arg(".dump").output().expect("the sqlite3 shell is installed");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn describe(root: &Path, path: &Path, found: &mut Snapshot) {
    let Ok(metadata) = path.symlink_metadata() else { return };
    let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
    let common = format!("{:o} {}.{:09}", metadata.permissions().mode(), metadata.mtime(), metadata.mtime_nsec());
    if metadata.is_symlink() {
        found.insert(name, format!("-> {}", std::fs::read_link(path).unwrap().display()));
    } else if metadata.is_dir() {
        // A component's own folder is made anew where it is gone: its time is that of the restore.
        let own = name == "uploads";
        found.insert(name, if own { "folder".to_owned() } else { common });
        for entry in std::fs::read_dir(path).unwrap() {
            describe(root, &entry.unwrap().path(), found);
        }
    } else {
        let content = std::fs::read(path).unwrap();
        found.insert(name, format!("{common} {} {}", content.len(), fingerprint(&content)));
    }
}

fn fingerprint(bytes: &[u8]) -> String {
    // Any good hash serves; the standard library's would depend on its version.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}
