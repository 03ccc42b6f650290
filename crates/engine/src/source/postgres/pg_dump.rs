//! `pg_dump`, of the server's own version, for the schema's text.
//!
//! The password goes by the environment, which only the same user can see, never on the command line. What `pg_dump` says is
//! not believed: the figures are compared after a restore.

use super::address::Address;
use super::address::ClientSettings;
use crate::{Error, ErrorKind, Result};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use vault::error::IoContext;

/// A `pg_dump` that can read the server.
#[derive(Debug, Clone)]
pub struct PgDump {
    program: PathBuf,
}

/// Half of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Everything up to the empty tables.
    PreData,
    /// Indexes, constraints, triggers, policies, and the refreshing of materialized views.
    PostData,
}

impl PgDump {
    /// Looks in `tools_folder`, on the PATH and where Debian and Red Hat keep each major version. The first of the server's
    /// own major version is taken, else the newest that is not older than the server.
    pub fn find(server_version_number: i32, tools_folder: Option<&Path>, client: &ClientSettings) -> Result<Self> {
        let wanted = server_version_number / 10_000;
        let usual = [format!("/usr/lib/postgresql/{wanted}/bin"), format!("/usr/pgsql-{wanted}/bin")];
        let folders: Vec<PathBuf> = match tools_folder {
            Some(folder) => vec![folder.to_owned()],
            None => usual.iter().map(PathBuf::from).chain(client.tool_folders.iter().cloned()).collect(),
        };
        let mut found: Vec<(i32, Self)> = Vec::new();
        for program in folders.iter().map(|folder| folder.join("pg_dump")).filter(|program| program.is_file()) {
            // Asking takes its time: on Debian the one on the PATH is a script that looks for the others.
            match major_version_of(&program) {
                Some(major) if major == wanted => return Ok(Self { program }),
                Some(major) => found.push((major, Self { program })),
                None => {}
            }
        }
        let newest = found.iter().map(|(major, _)| *major).max();
        match found.into_iter().filter(|(major, _)| *major > wanted).max_by_key(|(major, _)| *major) {
            Some((_, newer)) => Ok(newer),
            None => Err(missing(wanted, newest, tools_folder)),
        }
    }

    /// Dumps one section of the schema, in the exported snapshot where there is one. Lines that are `psql`'s own or differ
    /// between two runs are left out.
    pub fn schema(&self, address: &Address, section: Section, snapshot: Option<&str>) -> Result<String> {
        let name = if section == Section::PreData { "pre-data" } else { "post-data" };
        let mut command = Command::new(&self.program);
        command.args(["--no-password", "--no-blobs", "--no-subscriptions", "--encoding=UTF8", "--section", name]);
        if let Some(snapshot) = snapshot {
            command.arg("--snapshot").arg(snapshot);
        }
        set_environment(&mut command, address);
        let what = || format!("{} --section={name} of {address}", self.program.display());
        let output = command.stdin(Stdio::null()).output().doing(|| format!("starting {}", self.program.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Error::new(
                if said.contains("permission denied") { ErrorKind::PermissionDenied } else { ErrorKind::External },
                format!("{} failed ({}): {}", what(), output.status, said.trim()),
                "`strongroom doctor` prints the GRANTs that are missing; the server's log says more.",
            ));
        }
        let text = String::from_utf8(output.stdout).map_err(|_| {
            Error::new(
                ErrorKind::Unsupported,
                format!("the schema of {address} holds text that is not UTF-8 (its encoding is SQL_ASCII)"),
                "Rename or comment the objects in UTF-8, or convert the database to a real encoding.",
            )
        })?;
        Ok(without_psql_lines(&text))
    }
}

/// `\restrict` and `\unrestrict` carry a random word in each run and are only for `psql`. They stand at the very start and
/// end, outside every statement: a line of a function body that looks the same stays.
fn without_psql_lines(text: &str) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let volatile = |line: &str| line.starts_with("\\restrict ") || line.starts_with("\\unrestrict ");
    if let Some(at) = lines.iter().take(10).position(|line| volatile(line)) {
        lines.remove(at);
    }
    let tail = lines.len().saturating_sub(5);
    if let Some(at) = lines[tail..].iter().position(|line| volatile(line)) {
        lines.remove(tail + at);
    }
    lines.concat()
}

/// Hands the connection to a libpq program by its environment alone.
pub fn set_environment(command: &mut Command, address: &Address) {
    let hosts: Vec<_> = address.hosts.iter().map(|(host, _)| host.as_str()).collect();
    let ports: Vec<_> = address.hosts.iter().map(|(_, port)| port.to_string()).collect();
    command.env_clear().env("LC_ALL", "C").env("PGAPPNAME", "strongroom").env("PGHOST", hosts.join(","));
    command.env("PGPORT", ports.join(",")).env("PGUSER", &address.user).env("PGDATABASE", &address.database);
    command.env("PGSSLMODE", address.tls.word()).env("PGPASSFILE", "/dev/null");
    command.env("PGCONNECT_TIMEOUT", address.connect_timeout_s.to_string());
    let mut file = |name: &str, value: Option<&OsStr>| {
        if let Some(value) = value {
            command.env(name, value);
        }
    };
    file("PGSSLROOTCERT", address.root_certificate.as_deref().map(Path::as_os_str));
    file("PGSSLCERT", address.client_certificate.as_deref().map(Path::as_os_str));
    file("PGSSLKEY", address.client_key.as_deref().map(Path::as_os_str));
    file("PGOPTIONS", address.options.as_deref().map(OsStr::new));
    file("PGPASSWORD", address.password.as_ref().map(|password| OsStr::new(password.as_str())));
}

fn major_version_of(program: &Path) -> Option<i32> {
    let output = Command::new(program).arg("--version").env("LC_ALL", "C").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.strip_prefix("pg_dump (PostgreSQL) ")?;
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

fn missing(wanted: i32, newest: Option<i32>, tools_folder: Option<&Path>) -> Error {
    let place = tools_folder.map_or_else(String::new, |folder| format!(" in {}", folder.display()));
    let message = match newest {
        Some(newest) => {
            format!("the server is PostgreSQL {wanted}, but the pg_dump found{place} is of version {newest}")
        }
        None => format!("the server is PostgreSQL {wanted}, and no pg_dump was found{place}"),
    };
    Error::new(
        ErrorKind::Unsupported,
        message,
        format!("Install postgresql-client-{wanted}, or name its folder in the component's `tools_folder`."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_outer_psql_lines_go() {
        let text = format!("--\n\\restrict abc\nA\n\\restrict in a body\n{}\\unrestrict abc\n", "x\n".repeat(20));
        let kept = without_psql_lines(&text);
        assert!(!kept.contains("abc") && kept.contains("\\restrict in a body"), "{kept}");
    }

    #[test]
    fn a_missing_client_is_named_with_its_package() {
        let error = PgDump::find(150_000, Some(Path::new("/nonexistent")), &ClientSettings::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.hint().contains("postgresql-client-15"), "{}", error.hint());
    }
}
