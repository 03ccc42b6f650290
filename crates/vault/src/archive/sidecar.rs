//! What lies beside an archive: `<archive>.manifest.json`.
//!
//! The public part lists the backup without the archive and without a key; the full manifest, which holds names of tables,
//! warnings with paths and a person's words, is sealed with the backup's key where there is one. The catalog is rebuilt
//! from these files.
//!
//! Uncomfortable: the public part is not authenticated. Whoever can write to the store can lie in it; a restore therefore
//! believes the manifest in the archive, and takes the sidecar's word only for refusing.

use super::MANIFEST_BYTES_MAX;
use crate::compress::{Compression, CompressionFormat, CompressionWriter, DecompressionReader, ExpansionLimit};
use crate::envelope;
use crate::error::{Error, ErrorKind, Result, from_io};
use crate::key::{Fingerprint, Key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::io::{Cursor, Read, Write};

/// What an archive's name is followed by.
pub const SUFFIX: &str = ".manifest.json";
/// Largest sidecar that is read.
pub const SIDECAR_BYTES_MAX: u64 = 2 * MANIFEST_BYTES_MAX;

const FORMAT: &str = "strongroom-sidecar";
const VERSION: u32 = 1;

/// What everybody may see of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Public {
    /// The backup's id.
    pub id: String,
    /// The plan that made it.
    pub plan: String,
    /// Why it was made.
    pub tier: String,
    /// How it came out.
    pub state: String,
    /// When the run started, RFC 3339 in UTC.
    pub started_at: String,
    /// When it was finished.
    pub finished_at: String,
    /// `tar` or `json`.
    pub archive: String,
    /// File name of the archive, in the sidecar's own folder.
    pub location: String,
    /// Size of the archive's file.
    pub bytes: u64,
    /// SHA-256 of the archive's file, hexadecimal.
    pub sha256: Option<String>,
    /// The key's fingerprint; `None` when not encrypted.
    pub key_fingerprint: Option<Fingerprint>,
    /// Head of the audit chain when the run started.
    pub audit_head: Option<String>,
    /// Its components.
    pub components: Vec<PublicComponent>,
}

/// What everybody may see of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicComponent {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// How it came out.
    pub state: String,
    /// Entries in the backup.
    pub entries: u64,
    /// Bytes of content.
    pub bytes: u64,
}

/// A sidecar as it was read.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sidecar {
    format: String,
    version: u32,
    /// What everybody may see.
    #[serde(flatten)]
    pub public: Public,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<Box<RawValue>>,
}

/// Makes a sidecar; the manifest is sealed if there is a key, else it stands there plainly.
pub fn encode(public: Public, manifest: &[u8], key: Option<&Key>) -> Result<Vec<u8>> {
    let (sealed, plain) = match key {
        Some(key) => (Some(BASE64.encode(envelope::seal(key, &compressed(manifest)?)?)), None),
        None => (None, Some(raw(manifest)?)),
    };
    let sidecar = Sidecar { format: FORMAT.to_owned(), version: VERSION, public, sealed, manifest: plain };
    let mut json = serde_json::to_vec_pretty(&sidecar).map_err(|cause| Error::internal(cause.to_string()))?;
    json.push(b'\n');
    Ok(json)
}

/// Reads a sidecar's public part.
pub fn decode(bytes: &[u8]) -> Result<Sidecar> {
    /// Read first: a newer version may have any other shape.
    #[derive(Deserialize)]
    struct Head {
        format: String,
        version: u32,
    }
    let head: Head = serde_json::from_slice(bytes).map_err(|cause| damaged("it is no JSON of ours").because(cause))?;
    if head.format != FORMAT {
        return Err(Error::new(
            ErrorKind::NotABackup,
            format!("it is not a sidecar: its format is {:?}", head.format),
            "Check that it is the right file.",
        ));
    }
    if head.version > VERSION {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("the sidecar has version {}, this program knows {VERSION}", head.version),
            "Use the newer Strongroom that wrote it.",
        ));
    }
    serde_json::from_slice(bytes).map_err(|cause| damaged("a member is missing or of the wrong type").because(cause))
}

impl Sidecar {
    /// Whether the manifest can be read only with the key.
    pub const fn is_sealed(&self) -> bool {
        self.sealed.is_some()
    }

    /// The full manifest, opened with whichever of `keys` made it.
    pub fn manifest(&self, keys: &[Key]) -> Result<Vec<u8>> {
        if let Some(manifest) = &self.manifest {
            return Ok(manifest.get().as_bytes().to_vec());
        }
        let sealed = self.sealed.as_ref().ok_or_else(|| damaged("it has neither a sealed nor a plain manifest"))?;
        let sealed = BASE64.decode(sealed).map_err(|cause| damaged("its sealed part is no base64").because(cause))?;
        let expected = self.public.key_fingerprint.as_deref();
        let key = match expected {
            Some(fingerprint) => keys.iter().find(|key| key.fingerprint() == fingerprint),
            None => keys.first(),
        };
        let Some(key) = key else {
            return Err(Error::new(
                if keys.is_empty() { ErrorKind::NoKey } else { ErrorKind::WrongKey },
                format!("the sidecar's manifest was sealed with the key {}", expected.unwrap_or("of its backup")),
                "Give the key that was in use when the backup was made, or list it as a previous key.",
            ));
        };
        expand(envelope::unseal(key, &sealed).map_err(|error| match (error.kind(), expected) {
            (ErrorKind::WrongKeyOrDamaged, Some(_)) => damaged("its sealed part was altered"),
            _ => error,
        })?)
    }
}

fn compressed(manifest: &[u8]) -> Result<Vec<u8>> {
    let mut writer = CompressionWriter::new(Vec::new(), Compression::GZIP_DEFAULT, 1)?;
    writer.write_all(manifest).map_err(|cause| from_io("compressing the manifest", cause))?;
    writer.finish()
}

fn expand(gzip: Vec<u8>) -> Result<Vec<u8>> {
    let limit = ExpansionLimit { bytes_max: Some(MANIFEST_BYTES_MAX), ratio_max: None };
    let mut reader = DecompressionReader::new(Cursor::new(gzip), CompressionFormat::Gzip, 1, limit)?;
    let mut manifest = Vec::new();
    reader.read_to_end(&mut manifest).map_err(|cause| from_io("reading the manifest", cause))?;
    Ok(manifest)
}

fn raw(manifest: &[u8]) -> Result<Box<RawValue>> {
    serde_json::from_slice(manifest).map_err(|cause| Error::internal(format!("the manifest is not JSON: {cause}")))
}

fn damaged(what: &str) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("the sidecar is damaged: {what}"),
        "The archive beside it has the manifest too: `strongroom verify` with the archive's path tells.",
    )
}
