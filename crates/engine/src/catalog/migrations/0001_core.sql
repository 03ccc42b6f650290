-- Backups, restores and the audit log. Times are milliseconds since 1970 in UTC; flags are 0 or 1.

CREATE TABLE backups (
    id                      TEXT PRIMARY KEY,
    plan                    TEXT NOT NULL,
    tier                    TEXT NOT NULL,
    description             TEXT,
    state                   TEXT NOT NULL,      -- running, succeeded, partial, failed, cancelled
    started_at              BIGINT NOT NULL,
    finished_at             BIGINT,
    duration_ms             BIGINT,
    location                TEXT,
    bytes                   BIGINT,
    sha256                  TEXT,
    components              TEXT NOT NULL,      -- JSON, the summaries of lists
    key_fingerprint         TEXT,
    stored_at               BIGINT,             -- the four steps of trust
    re_read_at              BIGINT,
    opened_at               BIGINT,
    restored_at             BIGINT,
    pinned                  BIGINT NOT NULL,
    late                    BIGINT NOT NULL,
    collapse                TEXT,               -- in what it collapsed against its predecessor
    collapse_acknowledged   BIGINT NOT NULL,
    error                   TEXT                -- JSON {code, message, hint}
);
CREATE INDEX backups_by_time ON backups (started_at, id);
CREATE INDEX backups_by_tier ON backups (tier, started_at, id);
CREATE INDEX backups_by_state ON backups (state, started_at, id);
CREATE INDEX backups_by_plan ON backups (plan, tier, state, started_at, id);

-- Apart from the backups, so that lists stay small and fast.
CREATE TABLE manifests (
    backup_id               TEXT PRIMARY KEY REFERENCES backups (id) ON DELETE CASCADE,
    manifest                TEXT NOT NULL       -- JSON
);

CREATE TABLE restores (
    id                      TEXT PRIMARY KEY,
    backup_id               TEXT NOT NULL,      -- may have been deleted since
    pre_restore_id          TEXT,
    components              TEXT NOT NULL,      -- JSON, names
    state                   TEXT NOT NULL,      -- prepared, swapped, undone, expired, failed
    started_at              BIGINT NOT NULL,
    swapped_at              BIGINT,
    finished_at             BIGINT,
    journal                 TEXT,               -- path
    undo_until              BIGINT,
    error                   TEXT
);
CREATE INDEX restores_by_time ON restores (started_at, id);
CREATE INDEX restores_by_state ON restores (state, started_at, id);

CREATE TABLE audit (
    seq                     BIGINT PRIMARY KEY, -- 1, 2, 3, … without gaps
    at                      BIGINT NOT NULL,
    actor                   TEXT NOT NULL,
    origin                  TEXT NOT NULL,
    action                  TEXT NOT NULL,
    subject                 TEXT,
    outcome                 TEXT NOT NULL,      -- success, failure, refused
    details                 TEXT NOT NULL,      -- JSON
    hash                    TEXT NOT NULL       -- SHA-256 of the predecessor's hash and this entry
);
CREATE INDEX audit_by_action ON audit (action, seq);
CREATE INDEX audit_by_subject ON audit (subject, seq);
CREATE INDEX audit_by_actor ON audit (actor, seq);

-- INSERT OR REPLACE would delete without asking the trigger for deletions.
CREATE TRIGGER audit_is_never_replaced BEFORE INSERT ON audit
WHEN NEW.seq <= (SELECT coalesce(max(seq), 0) FROM audit)
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
