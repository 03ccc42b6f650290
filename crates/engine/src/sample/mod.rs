//! A small but believable application: what `strongroom demo` shows itself on, and what tests back up.
//!
//! A CRM with a SQLite database (several tables with indexes, a trigger, a view, a full-text index, a table without row
//! ids, a generated column), uploads with odd names, configuration and rotated logs. The same every time: nothing in it is
//! random and nothing depends on the clock.

mod database;

use crate::Result;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use vault::error::IoContext;

/// Where the parts of a sample application lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleApp {
    /// The application's folder.
    pub folder: PathBuf,
    /// Its SQLite database, `prisma/dev.db`.
    pub database: PathBuf,
    /// Its uploads.
    pub uploads: PathBuf,
    /// Its logs.
    pub logs: PathBuf,
}

impl SampleApp {
    /// Makes the application in a folder, which is made as well and must not hold one yet.
    pub fn create(folder: &Path) -> Result<Self> {
        let app = Self {
            folder: folder.to_owned(),
            database: folder.join("prisma/dev.db"),
            uploads: folder.join("uploads"),
            logs: folder.join("logs"),
        };
        for path in [&app.folder, &folder.join("prisma"), &app.uploads, &app.logs] {
            std::fs::create_dir_all(path).doing(|| format!("making {}", path.display()))?;
        }
        app.configuration()?;
        database::create(&app.database)?;
        app.fill_uploads()?;
        app.fill_logs()?;
        Ok(app)
    }

    fn configuration(&self) -> Result<()> {
        for (name, text) in [
            ("package.json", PACKAGE),
            ("package-lock.json", PACKAGE_LOCK),
            ("prisma/schema.prisma", SCHEMA),
            (".env.example", "DATABASE_URL=\"file:./dev.db\"\nJWT_SECRET=\"change me\"\n"),
        ] {
            write(&self.folder.join(name), text.as_bytes())?;
        }
        let path = self.folder.join(".env");
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| {
                file.write_all(b"DATABASE_URL=\"file:./dev.db\" # by Prisma\nJWT_SECRET=\"not in any backup\"\n")
            })
            .doing(|| format!("writing {}", path.display()))
    }

    fn fill_uploads(&self) -> Result<()> {
        let mut numbers = Numbers(7);
        for customer in 1..=40_u64 {
            let folder = self.uploads.join(format!("customers/{customer:04}"));
            std::fs::create_dir_all(&folder).doing(|| format!("making {}", folder.display()))?;
            for document in 0..=customer % 3 {
                write(&folder.join(format!("offer-{document}.pdf")), &numbers.pdf(2_000 + customer * 97))?;
            }
        }
        for (name, bytes) in [
            (&b"Angebot M\xc3\xbcller & S\xc3\xb6hne (final) 2.pdf"[..], numbers.pdf(40_000)),
            (b"  leading and trailing blanks  ", b"kept\n".to_vec()),
            (b"new\nline.txt", b"a name may hold one\n".to_vec()),
            (b"latin1-\xe9t\xe9.txt", b"not UTF-8\n".to_vec()),
            (b"-rf", b"looks like an option\n".to_vec()),
            ("\u{1f4f7} photo.jpg".as_bytes(), numbers.bytes(120_000)),
            (b"empty.dat", Vec::new()),
        ] {
            write(&self.uploads.join(OsStr::from_bytes(name)), &bytes)?;
        }
        let doing = || format!("filling {}", self.uploads.display());
        symlink("customers/0001/offer-0.pdf", self.uploads.join("latest-offer.pdf")).doing(doing)?;
        let first = self.uploads.join("customers/0002/offer-0.pdf");
        std::fs::hard_link(first, self.uploads.join("customers/0003/same-offer.pdf")).doing(doing)?;
        std::fs::create_dir(self.uploads.join("empty folder")).doing(doing)?;
        self.sparse().doing(doing)
    }

    /// A file that is mostly a hole: 8 MiB long, a few blocks on disk.
    fn sparse(&self) -> std::io::Result<()> {
        let mut file = File::create_new(self.uploads.join("scan.img"))?;
        file.write_all(b"header")?;
        file.seek(SeekFrom::Start(4 << 20))?;
        file.write_all(b"in the middle")?;
        file.set_len(8 << 20)
    }

    fn fill_logs(&self) -> Result<()> {
        for (name, day, lines) in [("app.log", 3, 400), ("app.log.1", 2, 900), ("access-2026-01-02.log", 2, 700)] {
            let line = |n: u64| {
                format!(
                    "2026-01-{day:02}T{:02}:{:02}:{:02}.000Z info request {} GET /customers/{}\n",
                    n / 60 % 24,
                    n % 60,
                    n * 7 % 60,
                    1000 + n,
                    n % 900 + 1
                )
            };
            write(&self.logs.join(name), (0..lines).map(line).collect::<String>().as_bytes())?;
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        let rotated = gzip
            .write_all("2026-01-01T00:00:00.000Z info rotated away\n".repeat(500).as_bytes())
            .and_then(|()| gzip.finish())
            .doing(|| "compressing a sample log")?;
        write(&self.logs.join("app.log.2.gz"), &rotated)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    File::create_new(path).and_then(|mut file| file.write_all(bytes)).doing(|| format!("writing {}", path.display()))
}

/// Numbers that look random and are the same every time (a linear congruential generator with Knuth's constants).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Half text, half incompressible, as documents are.
    fn pdf(&mut self, length: u64) -> Vec<u8> {
        let mut bytes = b"%PDF-1.4\n".to_vec();
        bytes.extend("1 0 obj << /Type /Page >> endobj\n".repeat(length as usize / 64).bytes());
        bytes.extend(self.bytes(length / 2));
        bytes
    }
}

const PACKAGE: &str = r#"{
  "name": "sample-crm",
  "version": "1.4.2",
  "private": true,
  "scripts": { "start": "node server.js" },
  "dependencies": { "@prisma/client": "^6.0.0", "express": "^5.0.0" }
}
"#;

const PACKAGE_LOCK: &str = r#"{
  "name": "sample-crm",
  "version": "1.4.2",
  "lockfileVersion": 3,
  "packages": { "": { "name": "sample-crm", "version": "1.4.2" } }
}
"#;

const SCHEMA: &str = r#"datasource db {
  provider = "sqlite"
  url      = env("DATABASE_URL")
}

generator client {
  provider = "prisma-client-js"
}

model Customer {
  id      Int     @id @default(autoincrement())
  name    String
  email   String  @unique
  orders  Order[]
}

model Order {
  id         Int      @id @default(autoincrement())
  customer   Customer @relation(fields: [customerId], references: [id])
  customerId Int
  totalCents Int
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_complete_and_its_parts_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let app = SampleApp::create(&folder.path().join("app")).unwrap();
        let url = |name: &str| (name == "DATABASE_URL").then(|| "file:./dev.db".to_owned());
        let detected = crate::detect::detect(&app.folder, &url).unwrap();
        let names: Vec<_> = detected.components.iter().map(|component| component.name.as_str()).collect();
        assert_eq!(names, ["database", "uploads", "config", "logs"]);
        let database = rusqlite::Connection::open(&app.database).unwrap();
        let count = |sql: &str| -> i64 { database.query_row(sql, [], |row| row.get(0)).unwrap() };
        assert_eq!(count("SELECT count(*) FROM orders"), 3000);
        assert_eq!(count("SELECT count(*) FROM notes_search WHERE notes_search MATCH 'discount'"), 150);
        assert!(count("SELECT count(*) FROM audit") > 0, "the trigger ran");
        let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        assert!(SampleApp::create(&app.folder).is_err(), "nothing is overwritten");
    }
}
