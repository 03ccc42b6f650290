//! A real PostgreSQL server in a temporary folder, on a private socket and port, stopped and removed when dropped.
//!
//! `initdb` and `postgres` refuse to run as root: started by root they run as the system user `postgres`.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server.
pub struct Server {
    folder: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
}

impl Server {
    /// Makes a cluster and starts it.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        let mut server = Self { folder, port: 0, process: None };
        if is_root() {
            assert!(command("chown").arg("postgres:").arg(server.folder.path()).status().unwrap().success());
        }
        let output = server
            .tool("initdb")
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"])
            .arg(server.data())
            .output()
            .unwrap();
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        // Somebody else may take the port between looking and binding.
        let booted = (0..10).any(|_| {
            server.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            server.try_boot()
        });
        assert!(booted, "PostgreSQL does not start: {}", server.log());
        server
    }

    /// Starts the server again after [`Self::kill`].
    pub fn boot(&mut self) {
        assert!(self.try_boot(), "PostgreSQL does not start: {}", self.log());
    }

    fn try_boot(&mut self) -> bool {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let socket = self.folder.path().display().to_string();
        let mut postgres = self.tool("postgres");
        postgres.arg("-D").arg(self.data()).args(["-p", &self.port.to_string(), "-k", &socket, "-h", "127.0.0.1"]);
        for setting in
            ["fsync=off", "full_page_writes=off", "max_connections=60", "shared_buffers=64MB", "wal_level=logical"]
        {
            postgres.arg("-c").arg(setting);
        }
        self.process = Some(postgres.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        self.becomes_ready()
    }

    /// Ends the server as a power cut would: no shutdown, no checkpoint. Returns when no process of it is left.
    pub fn crash(&self) {
        let pids = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        if let Some(pid) = pids.lines().next() {
            let _ = command("kill").args(["-QUIT", pid]).status();
            // SIGQUIT is PostgreSQL's immediate shutdown: recovery from the log follows at the next start.
            while fs::metadata(format!("/proc/{pid}/fd")).is_ok_and(|_| !is_zombie(pid)) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// [`Self::crash`], and reaps the process.
    pub fn kill(&mut self) {
        self.crash();
        if let Some(mut process) = self.process.take() {
            let _ = process.wait();
        }
    }

    /// `postgresql://postgres@127.0.0.1:port/database`.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The same through the Unix socket.
    pub fn socket_url(&self, database: &str) -> String {
        format!("postgresql://postgres@/{database}?host={}&port={}", self.folder.path().display(), self.port)
    }

    /// Port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the cluster's files.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Writes a file into the cluster's folder, readable by the server alone.
    pub fn install(&self, name: &str, content: &[u8]) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.data().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        if is_root() {
            assert!(command("chown").arg("postgres:").arg(&path).status().unwrap().success());
        }
    }

    /// `psql -c`, unaligned, tuples only; panics with what psql said.
    pub fn sql(&self, database: &str, text: &str) -> String {
        self.try_sql(database, text)
            .unwrap_or_else(|said| panic!("psql: {said}\n{}", text.chars().take(400).collect::<String>()))
    }

    /// The same, the failure as a value.
    pub fn try_sql(&self, database: &str, text: &str) -> Result<String, String> {
        use std::io::Write;
        let mut psql = self.client("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"]);
        let mut child = psql
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        let mut stdin = child.stdin.take().ok_or("no stdin")?;
        let text = text.to_owned();
        let feeder = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        let output = child.wait_with_output().map_err(|e| e.to_string())?;
        let _ = feeder.join();
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// A client program of the server's version, connected by its environment.
    pub fn client(&self, name: &str) -> Command {
        let mut client = command(&tools().join(name).display().to_string());
        client.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string()).env("PGUSER", "postgres");
        client
    }

    fn tool(&self, name: &str) -> Command {
        let program = tools().join(name);
        let mut tool = if is_root() {
            let mut tool = command("setpriv");
            tool.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL"]).arg(program);
            tool
        } else {
            command(&program.display().to_string())
        };
        tool.current_dir(self.folder.path());
        tool
    }

    /// Whoever answers on the port must be this server, not another test's.
    fn becomes_ready(&mut self) -> bool {
        let end = Instant::now() + Duration::from_mins(1);
        let data = self.data().display().to_string();
        while Instant::now() < end {
            if self.process.as_mut().is_none_or(|process| process.try_wait().unwrap().is_some()) {
                return false;
            }
            if self.try_sql("postgres", "SHOW data_directory").is_ok_and(|said| said.trim() == data) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The newest server that Debian installed, or what is on the PATH.
fn tools() -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|folder| folder.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    versions.pop().unwrap_or_else(|| Path::new("/usr/bin").to_owned())
}

fn is_zombie(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// PgBouncer before a server, ended when dropped.
pub struct Pooler {
    folder: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl Pooler {
    /// Pools connections to `server` in this mode: `session`, `transaction` or `statement`.
    pub fn start(server: &Server, mode: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("pgbouncer").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = {mode}\ndefault_pool_size = 8\nlogfile = {}/log\n\
             ignore_startup_parameters = extra_float_digits\n[databases]\n* = host=127.0.0.1 port={} user=postgres\n",
            folder.path().display(),
            server.port
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, settings).unwrap();
        let mut pgbouncer = if is_root() {
            assert!(command("chown").args(["-R", "postgres:"]).arg(folder.path()).status().unwrap().success());
            let mut pgbouncer = command("setpriv");
            pgbouncer.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL", "pgbouncer"]);
            pgbouncer
        } else {
            command("pgbouncer")
        };
        let process = pgbouncer.arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pooler = Self { folder, port, process };
        let end = Instant::now() + Duration::from_mins(1);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = || fs::read_to_string(pooler.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "PgBouncer does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        pooler
    }

    /// `postgresql://postgres@127.0.0.1:port/database`.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
