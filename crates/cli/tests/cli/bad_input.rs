//! A table of bad inputs: each gives its own error, the right exit code, and costs nothing.

use crate::support::{App, KEY, Outcome};
use std::path::{Path, PathBuf};
use std::process::Command;

struct Case {
    app: App,
    archive: PathBuf,
}

impl Case {
    fn new() -> Self {
        let app = App::new();
        let archive = app.archive(&app.backup(&[]));
        Self { app, archive }
    }

    /// Puts `bytes` where the archive was and tries to restore it over the application.
    fn try_restore(&self, bytes: &[u8]) -> (i32, String) {
        std::fs::write(&self.archive, bytes).unwrap();
        let before = self.app.snapshot();
        let verified = self.app.run(&["verify", "latest", "--json"]);
        let outcome = self.app.run(&["restore", "latest", "--confirm", "CONFIRM_RESTORE", "--json"]);
        assert_ne!(outcome.exit, 0, "{outcome:?}");
        assert_eq!(self.app.snapshot(), before, "the application was touched");
        assert_ne!(verified.exit, 0, "{verified:?}");
        (outcome.exit, outcome.error_code())
    }

    /// The same for a file that no catalog knows.
    fn try_foreign(&self, name: &str, bytes: &[u8]) -> (i32, String) {
        let path = self.app.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let before = self.app.snapshot();
        let outcome = self.app.run(&["restore", &format!("./{name}"), "--confirm", "CONFIRM_RESTORE", "--json"]);
        assert_ne!(outcome.exit, 0, "{outcome:?}");
        assert_eq!(self.app.snapshot(), before, "the application was touched");
        (outcome.exit, outcome.error_code())
    }
}

#[test]
fn an_archive_cut_at_twenty_places_is_truncated() {
    let case = Case::new();
    let whole = std::fs::read(&case.archive).unwrap();
    for n in 0..20 {
        let length = whole.len() * n / 20;
        assert_eq!(case.try_restore(&whole[..length]), (6, "truncated".to_owned()), "cut at {length}");
    }
}

#[test]
fn two_hundred_flipped_bits_are_all_found() {
    let case = Case::new();
    let whole = std::fs::read(&case.archive).unwrap();
    let before = case.app.snapshot();
    for n in 0..200 {
        let mut bytes = whole.clone();
        let at = if n < 40 { n } else { (whole.len() - 1) * n / 199 };
        bytes[at] ^= 1 << (n % 8);
        std::fs::write(&case.archive, &bytes).unwrap();
        let outcome = case.app.run(&["restore", "latest", "--confirm", "CONFIRM_RESTORE", "--json"]);
        assert_eq!((outcome.exit, outcome.error_code().as_str()), (6, "damaged"), "bit {} of byte {at}", n % 8);
    }
    assert_eq!(case.app.snapshot(), before);
}

#[test]
fn other_files_are_not_backups() {
    let case = Case::new();
    let random: Vec<u8> = (0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    assert_eq!(case.try_foreign("empty.enc", b""), (6, "truncated".to_owned()));
    assert_eq!(case.try_foreign("random.tar.gz.enc", &random), (7, "wrong_key_or_damaged".to_owned()));
    assert_eq!(
        case.try_foreign("photo.jpg", &[b"\xff\xd8\xff\xe0\0\x10JFIF\0", &random[..]].concat()).1,
        "not_a_backup"
    );
    assert_eq!(
        case.try_foreign("letter.txt", "Dear madam, dear sir, this is no backup.\n".repeat(40).as_bytes()).1,
        "not_a_backup"
    );
    assert_eq!(case.app.fails(4, &["restore", "./no-such-file.enc", "--to", "x"]), "not_found");
    assert_eq!(case.app.fails(4, &["restore", "abcdefabcdef", "--to", "x"]), "not_found");
}

/// A tar archive from Python's library, in which every lie is possible.
fn tar_with(folder: &Path, member: &str) -> Vec<u8> {
    let path = folder.join("lie.tar.gz");
    let program = format!(
        "import io, tarfile, sys\nt = tarfile.open(sys.argv[1], 'w:gz')\ndef add(name, data=b'', **more):\n    i = tarfile.TarInfo(name); i.size = len(data)\n    for k, v in more.items(): setattr(i, k, v)\n    t.addfile(i, io.BytesIO(data))\n{member}\nadd('manifest.json', b'{{}}')\nt.close()\n"
    );
    let outcome = Outcome::of(Command::new("python3").arg("-c").arg(program).arg(&path));
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    std::fs::read(path).unwrap()
}

#[test]
fn archives_that_would_write_elsewhere_are_refused() {
    let case = Case::new();
    let folder = tempfile::tempdir().unwrap();
    let lies = [
        ("dotdot.tar.gz", "add('uploads/../../escaped', b'x')"),
        ("absolute.tar.gz", "add('/tmp/escaped-by-strongroom-test', b'x')"),
        (
            "symlink.tar.gz",
            "add('uploads/link', type=tarfile.SYMTYPE, linkname='/tmp')\nadd('uploads/link/escaped-by-strongroom-test', b'x')",
        ),
        ("hardlink.tar.gz", "add('uploads/passwd', type=tarfile.LNKTYPE, linkname='../../../etc/passwd')"),
        ("device.tar.gz", "add('uploads/disk', type=tarfile.BLKTYPE, devmajor=8, devminor=0)"),
    ];
    for (name, member) in lies {
        let bytes = tar_with(folder.path(), member);
        assert_eq!(case.try_foreign(name, &bytes), (6, "unsafe_entry".to_owned()), "{name}");
    }
    assert!(!Path::new("/tmp/escaped-by-strongroom-test").exists());
}

#[test]
fn a_bomb_does_not_go_off() {
    let case = Case::new();
    let folder = tempfile::tempdir().unwrap();
    let program = "import gzip, sys\nwith gzip.open(sys.argv[1], 'wb', 9) as f:\n    z = bytes(1 << 20)\n    for _ in range(2048): f.write(z)\n";
    let path = folder.path().join("bomb.tar.gz");
    assert_eq!(Outcome::of(Command::new("python3").arg("-c").arg(program).arg(&path)).exit, 0);
    let (exit, code) = case.try_foreign("bomb.tar.gz", &std::fs::read(&path).unwrap());
    assert!(exit == 6 && ["too_large", "not_a_backup", "damaged"].contains(&code.as_str()), "{exit} {code}");
}

#[test]
fn a_manifest_that_lies_is_found_out() {
    let app = App::empty();
    engine::sample::SampleApp::create(app.path()).unwrap();
    let plain = |arguments: &[&str]| Outcome::of(app.command(arguments).env("BACKUP_ENCRYPTION", "none"));
    let record = plain(&["backup", "--json"]).json();
    let archive = app.path().join("backups").join(record["location"].as_str().unwrap());
    let before = app.snapshot();
    let program = r"
import io, json, sys, tarfile
source, target = tarfile.open(sys.argv[1]), tarfile.open(sys.argv[2], 'w:gz', format=tarfile.PAX_FORMAT)
for member in source:
    data = source.extractfile(member).read() if member.isreg() else None
    if member.name == 'manifest.json':
        manifest = json.loads(data)
        for component in manifest['components']:
            for table in component['figures'].get('tables', []):
                table['rows'] += 1
        data = json.dumps(manifest).encode()
        member.size = len(data)
        member.pax_headers.pop('size', None)
    target.addfile(member, io.BytesIO(data) if data is not None else None)
target.close()
";
    let lie = app.path().join("lie.tar.gz");
    let made = Outcome::of(Command::new("python3").arg("-c").arg(program).arg(&archive).arg(&lie));
    assert_eq!(made.exit, 0, "{made:?}");
    let outcome = plain(&["restore", "./lie.tar.gz", "--confirm", "CONFIRM_RESTORE", "--json"]);
    assert_eq!((outcome.exit, outcome.error_code().as_str()), (6, "mismatch"), "{outcome:?}");
    assert_eq!(app.snapshot(), before);
}

#[test]
fn a_wrong_key_without_a_sidecar_says_both_possibilities() {
    let case = Case::new();
    let copy = case.app.path().join("copy.tar.gz.enc");
    std::fs::copy(&case.archive, &copy).unwrap();
    let outcome = Outcome::of(
        case.app.command(&["verify", "./copy.tar.gz.enc", "--json"]).env("BACKUP_ENCRYPTION_KEY", "ee".repeat(32)),
    );
    assert_eq!((outcome.exit, outcome.error_code().as_str()), (7, "wrong_key_or_damaged"));
    assert!(!outcome.stderr.contains(KEY));
}
