//! Changes single variables in an application's `.env` and leaves every other byte as it is.
//!
//! The file becomes 0600 and keeps its owner: the application must still read it. Written beside, synced, renamed.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;
use vault::Result;
use vault::error::IoContext;

/// Sets variables: an assignment that is there is replaced, a new one is added at the end.
pub fn set(path: &Path, assignments: &[(&str, &str)]) -> Result<()> {
    let old = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(cause) => return Err(vault::Error::io(format!("reading {}", path.display()), cause)),
    };
    write_private(path, changed(&old, assignments).as_bytes())
}

fn changed(old: &str, assignments: &[(&str, &str)]) -> String {
    let mut text = old.to_owned();
    for (name, value) in assignments {
        let assigns = |line: &str| {
            let line = line.trim_start();
            let line = line.strip_prefix("export ").unwrap_or(line);
            line.split_once('=').is_some_and(|(left, _)| left.trim() == *name)
        };
        let line = format!("{name}={value}");
        if text.lines().any(assigns) {
            let changed = |old: &str| {
                let end = old.trim_end_matches(['\r', '\n']).len();
                if assigns(old) { format!("{line}{}", &old[end..]) } else { old.to_owned() }
            };
            text = text.split_inclusive('\n').map(changed).collect();
        } else {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

/// Writes a file that only its owner reads, durably; an existing one keeps its owner.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let what = || format!("writing {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.strongroom-new"));
    let _ = fs::remove_file(&temporary);
    let written = (|| {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
        if let Ok(metadata) = fs::metadata(path) {
            let same = (metadata.uid(), metadata.gid()) == file.metadata().map(|own| (own.uid(), own.gid()))?;
            if !same {
                fchown(&file, Some(metadata.uid()), Some(metadata.gid()))?;
            }
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.doing(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_variable_changes() {
        let old = "A=1\n# BACKUP_ENCRYPTION_KEY=no\nexport KEY = \"old\" # why\nB=\"x\n y\"";
        assert_eq!(changed(old, &[("KEY", "new")]), "A=1\n# BACKUP_ENCRYPTION_KEY=no\nKEY=new\nB=\"x\n y\"");
        assert_eq!(changed("A=1\r\nKEY=old\r\n", &[("KEY", "new")]), "A=1\r\nKEY=new\r\n");
        assert_eq!(changed("A=1", &[("KEY", "new")]), "A=1\nKEY=new\n");
        assert_eq!(changed("", &[("KEY", "new")]), "KEY=new\n");
    }
}
