//! A real MariaDB server in a temporary folder, on a private socket and port.
//!
//! Initialising a data folder takes seconds, so one is kept, by version, in the system's temporary folder and copied. Every
//! server ends with the process that started it, however that ends: a shell holds the other end of a pipe and kills the server
//! when it closes.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Small logs: a data folder is copied for every server.
const SIZES: &[&str] = &["--innodb-log-file-size=16M", "--innodb-buffer-pool-size=64M", "--aria-log-file-size=8M"];

/// A running server. The account `root` has no password and may connect from 127.0.0.1 and the socket.
pub struct Server {
    folder: PathBuf,
    port: u16,
    arguments: Vec<String>,
    keeper: Option<Child>,
}

impl Server {
    /// One server for all tests of a process that do not mind each other: each makes databases of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&["--event-scheduler=ON"]))
    }

    /// A server of one's own, to be killed or given further arguments.
    pub fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("mariadb-").tempdir().unwrap().keep();
        // A starting server removes temporary tables it does not know: servers must not share the folder.
        fs::create_dir(folder.join("tmp")).unwrap();
        run(Command::new("cp").arg("-a").arg(template().join("data")).arg(&folder));
        if is_root() {
            run(Command::new("chown").args(["-R", "mysql:"]).arg(&folder));
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut server = Self { folder, port, arguments, keeper: None };
        server.boot();
        server
    }

    /// Starts the server again after [`Self::kill`].
    pub fn boot(&mut self) {
        let folder = self.folder.display();
        let user = if is_root() { "--user=mysql" } else { "" };
        let script = format!(
            "mariadbd --no-defaults {user} --datadir={folder}/data --socket={folder}/s --port={} --bind-address=127.0.0.1 \
             --pid-file={folder}/pid --tmpdir={folder}/tmp --innodb-flush-log-at-trx-commit=0 --local-infile=1 --skip-name-resolve \
             --character-set-server=utf8mb4 {} {} >>{folder}/log 2>&1 & p=$!; cat >/dev/null; kill -9 $p 2>/dev/null; wait $p; \
             [ -e {folder}/keep ] || rm -rf {folder}",
            self.port,
            SIZES.join(" "),
            self.arguments.join(" "),
        );
        fs::write(self.folder.join("keep"), "").unwrap();
        self.keeper = Some(
            Command::new("sh")
                .arg("-c")
                .arg(script)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        self.wait_until_ready();
        // From here on a death of ours removes the folder.
        fs::remove_file(self.folder.join("keep")).unwrap();
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !self.client("").arg("-e").arg("SELECT 1").output().unwrap().status.success() {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "MariaDB does not start:\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the server as a power cut would: no shutdown, no checkpoint. The data stay for [`Self::boot`].
    pub fn kill(&mut self) {
        fs::write(self.folder.join("keep"), "").unwrap();
        self.end();
    }

    fn end(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            keeper.wait().unwrap();
        }
    }

    /// Kills the server process at once, from any thread; [`Self::kill`] must follow before [`Self::boot`].
    pub fn kill_process(&self) {
        let pid = fs::read_to_string(self.folder.join("pid")).unwrap();
        run(Command::new("kill").args(["-9", pid.trim()]));
    }

    /// `mysql://root@127.0.0.1:port/database`.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{database}", self.port)
    }

    /// Of another account.
    pub fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        format!("mysql://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Through the Unix socket.
    pub fn socket_url(&self, database: &str) -> String {
        format!("mysql://root@localhost/{database}?socket={}", self.folder.join("s").display())
    }

    /// Its folder: `data`, `s` (socket), `log`, `pid`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The server's own client, connected to a database.
    pub fn client(&self, database: &str) -> Command {
        let mut client = Command::new("mariadb");
        client.args([
            "--no-defaults",
            "-uroot",
            "--default-character-set=utf8mb4",
            "--batch",
            "--skip-column-names",
            "--raw",
            "-S",
        ]);
        client.arg(self.folder.join("s"));
        if !database.is_empty() {
            client.arg(database);
        }
        client
    }

    /// Runs SQL in a database (`""` for none) and answers what the client prints; a failure ends the test.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        use std::io::Write;
        let mut client =
            self.client(database).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = client.stdin.take().unwrap();
        let sql = sql.to_owned();
        let feeder = std::thread::spawn(move || {
            let _ = input.write_all(sql.as_bytes());
        });
        let output = client.wait_with_output().unwrap();
        feeder.join().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Drops the database if it is there and makes it anew.
    pub fn fresh(&self, database: &str) {
        self.sql("", &format!("DROP DATABASE IF EXISTS `{database}`; CREATE DATABASE `{database}`"));
    }

    /// The whole database as the server's own dump program sees it: the judge of a round trip.
    pub fn dump(&self, database: &str) -> String {
        let output = Command::new("mariadb-dump")
            .args([
                "--no-defaults",
                "-uroot",
                "--hex-blob",
                "--order-by-primary",
                "--skip-dump-date",
                "--skip-extended-insert",
            ])
            .args([
                "--routines",
                "--events",
                "--triggers",
                "--skip-comments",
                "--tz-utc",
                "--default-character-set=utf8mb4",
                "-S",
            ])
            .arg(self.folder.join("s"))
            .arg(database)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// An initialised data folder, made once for each version of the server.
fn template() -> PathBuf {
    static MADE: Mutex<()> = Mutex::new(());
    let _one_at_a_time = MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let version = Command::new("mariadbd").args(["--no-defaults", "--version"]).output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).replace(|c: char| !c.is_ascii_alphanumeric(), "");
    let user = if is_root() { "root" } else { "user" };
    let folder = std::env::temp_dir().join(format!("strongroom-mariadb-{user}-{version}"));
    if !folder.join("data").exists() {
        let fresh = tempfile::Builder::new().prefix("mariadb-template-").tempdir().unwrap().keep();
        if is_root() {
            run(Command::new("chown").arg("mysql:").arg(&fresh));
        }
        let mut install = Command::new("mariadb-install-db");
        install.args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ]);
        if is_root() {
            install.arg("--user=mysql");
        }
        run(install.args(SIZES).arg(format!("--datadir={}", fresh.join("data").display())));
        // Another process may have been faster: theirs is as good.
        if fs::rename(&fresh, &folder).is_err() {
            let _ = fs::remove_dir_all(&fresh);
        }
    }
    folder
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|cause| panic!("{command:?}: {cause}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0)
}
