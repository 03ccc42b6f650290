//! Downloads: whole backups with ranges, single files. Constant memory: a reader on the blocking pool feeds a bounded
//! queue that the client's pace drains.

use crate::answer::Refusal;
use crate::auth::Principal;
use crate::extract::{Path, Query};
use crate::range::{self, Wanted};
use crate::state::App;
use crate::work::{OpenArchive, ReadSeek};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, LAST_MODIFIED,
};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use engine::id::Id;
use serde::Deserialize;
use std::fmt::Write;
use std::io::{self, Read, SeekFrom};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks that wait for a slow client.
const CHUNKS_WAITING_MAX: usize = 4;

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(archive)).routes(routes!(file))
}

/// Download a backup as it lies in its store. Ranges resume; `X-Checksum-Sha256` is the SHA-256 of the whole file.
#[utoipa::path(get, path = "/api/backup/{id}/download", tag = "backups",
    params(("id" = String, Path), ("Range" = Option<String>, Header, description = "`bytes=0-1023`"),
        ("If-Range" = Option<String>, Header, description = "The `ETag` that the range belongs to")),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, content_type = "application/octet-stream", body = Vec<u8>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["restore"])))]
async fn archive(
    State(app): State<App>,
    principal: Principal,
    method: Method,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let subject = id.clone();
    let opened = app
        .blocking(move |app| {
            let backup = app.catalog.backup(&id)?;
            Ok((app.strongroom.open_archive(&backup.id)?, backup.id))
        })
        .await;
    let resumes = headers.contains_key(axum::http::header::RANGE);
    if method == Method::GET && !(resumes && opened.is_ok()) {
        app.audit_outcome(&principal, "backup.download", &subject, &opened).await?;
    }
    let (archive, id) = opened?;
    respond(&headers, &id, archive)
}

fn respond(headers: &HeaderMap, id: &Id, archive: OpenArchive) -> Result<Response, Refusal> {
    let etag = format!("\"{}\"", archive.sha256.as_deref().unwrap_or(id.as_str()));
    let size = archive.size_bytes;
    let (status, start, length) = match range::wanted(headers, &etag, size) {
        Wanted::All => (StatusCode::OK, 0, size),
        Wanted::Part { start, length } => (StatusCode::PARTIAL_CONTENT, start, length),
        Wanted::Impossible => {
            let refusal = Refusal::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range_not_satisfiable",
                format!("the backup has {size} bytes: the range lies outside"),
                "Ask for a range within it, or without one.",
            );
            return Err(refusal.with_header(CONTENT_RANGE, &format!("bytes */{size}")));
        }
    };
    let mut answer = HeaderMap::new();
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.insert(name, value);
        }
    };
    set(CONTENT_TYPE, "application/octet-stream");
    set(CONTENT_LENGTH, &length.to_string());
    set(ACCEPT_RANGES, "bytes");
    set(ETAG, &etag);
    set(CACHE_CONTROL, "private, no-transform");
    set(CONTENT_DISPOSITION, &attachment(&archive.file_name));
    set(LAST_MODIFIED, &archive.modified_at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        set(CONTENT_RANGE, &format!("bytes {start}-{}/{size}", start + length - 1));
    }
    if let Some(sha256) = &archive.sha256 {
        set(HeaderName::from_static("x-checksum-sha256"), sha256);
        if let Ok(bytes) = hex::decode(sha256) {
            let digest = base64::engine::general_purpose::STANDARD.encode(bytes);
            set(HeaderName::from_static("digest"), &format!("sha-256={digest}"));
            set(HeaderName::from_static("repr-digest"), &format!("sha-256=:{digest}:"));
        }
    }
    let body = stream(Positioned { reader: archive.reader, start: Some(start) }, Some(length));
    Ok((status, answer, body).into_response())
}

/// Seeks before its first byte is read, on the thread that reads.
struct Positioned {
    reader: Box<dyn ReadSeek>,
    start: Option<u64>,
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(start) = self.start.take()
            && start > 0
        {
            self.reader.seek(SeekFrom::Start(start))?;
        }
        self.reader.read(buffer)
    }
}

/// Which file.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FileQuery {
    /// Its path as `GET /api/backup/{id}/files` shows it.
    #[param(example = "uploads/2026/invoice.pdf")]
    path: String,
}

/// Download one file out of a backup, decrypted.
#[utoipa::path(get, path = "/api/backup/{id}/file", tag = "backups", params(("id" = String, Path), FileQuery),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>)),
    security(("session" = ["ADMIN"]), ("bearer" = ["restore"])))]
async fn file(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    Query(query): Query<FileQuery>,
) -> Result<Response, Refusal> {
    let path = safe_path(query.path, false)?;
    let subject = format!("{id}:{path}");
    let opened = app
        .blocking(move |app| {
            let backup = app.catalog.backup(&id)?;
            app.strongroom.open_file(&backup.id, &path)
        })
        .await;
    app.audit_outcome(&principal, "backup.download-file", &subject, &opened).await?;
    let file = opened?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-transform"));
    if let Ok(value) = HeaderValue::from_str(&attachment(&file.name)) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    if let Some(size) = file.size_bytes {
        headers.insert(CONTENT_LENGTH, size.into());
    }
    Ok((headers, stream(file.reader, file.size_bytes)).into_response())
}

/// The content as a body of `length` bytes, or to its end. A source that ends early breaks the connection off: the
/// client must not take half a backup for a whole one.
fn stream(reader: impl Read + Send + 'static, length: Option<u64>) -> Body {
    let (sender, receiver) = tokio::sync::mpsc::channel(CHUNKS_WAITING_MAX);
    tokio::task::spawn_blocking(move || {
        let mut reader = reader.take(length.unwrap_or(u64::MAX));
        let mut left = length;
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let item = match read_full(&mut reader, &mut chunk) {
                Ok(0) if left.is_some_and(|left| left > 0) => {
                    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the backup ends too early"))
                }
                Ok(0) => return,
                Ok(read) => {
                    chunk.truncate(read);
                    left = left.map(|left| left.saturating_sub(read as u64));
                    Ok(Bytes::from(chunk))
                }
                Err(error) => Err(error),
            };
            let failed = item.as_ref().err().map(ToString::to_string);
            if sender.blocking_send(item).is_err() {
                return;
            }
            if let Some(error) = failed {
                tracing::error!(error, "a download was broken off");
                return;
            }
        }
    });
    Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver))
}

fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// RFC 6266: a plain name for old clients, the true one encoded.
fn attachment(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

/// A path inside a backup; refuses what leads out of it, before anybody looks.
pub fn safe_path(path: String, empty_is_top: bool) -> Result<String, Refusal> {
    let path = path.trim_end_matches('/').to_owned();
    if path.is_empty() && empty_is_top {
        return Ok(path);
    }
    vault::EntryPath::new(path.as_bytes())
        .map(|_| path)
        .map_err(|_| Refusal::bad_request("`path` is relative to the backup, without empty, `.` or `..` parts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_cannot_break_out_of_its_header() {
        let header = attachment("a\"; b\r\nX: y\u{e4}");
        assert!(!header.contains('\r') && !header.contains('\n'));
        assert!(header.contains("filename=\"a___b__X__y_\""));
        assert!(header.ends_with("a%22%3B%20b%0D%0AX%3A%20y%C3%A4"));
    }

    #[test]
    fn paths_that_leave_the_backup_are_refused() {
        for bad in ["../x", "/etc/passwd", "a/../../b", "a\0b", ""] {
            assert!(safe_path(bad.to_owned(), false).is_err(), "{bad:?}");
        }
        assert_eq!(safe_path(String::new(), true).unwrap(), "");
        assert_eq!(safe_path("uploads/".to_owned(), true).unwrap(), "uploads");
    }
}
