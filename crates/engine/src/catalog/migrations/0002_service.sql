-- Users, tokens, sessions, jobs, outbox, settings. Times are milliseconds since 1970 in UTC.

CREATE TABLE users (
    name            TEXT PRIMARY KEY,
    role            TEXT NOT NULL,
    password_hash   TEXT,           -- argon2id in PHC form; absent for people who sign in elsewhere
    email           TEXT,
    subject         TEXT UNIQUE,    -- '<issuer>#<sub>' of an OpenID Connect provider
    created_at      BIGINT NOT NULL,
    signed_in_at    BIGINT
);

CREATE TABLE tokens (
    id              TEXT PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    secret_hash     TEXT NOT NULL UNIQUE,   -- SHA-256 of the token: 256 random bits need no slow hash
    scopes          TEXT NOT NULL,          -- comma-separated
    created_by      TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT,
    used_at         BIGINT
);

CREATE TABLE sessions (
    secret_hash     TEXT PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    user_name       TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    address         TEXT NOT NULL,
    agent           TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    seen_at         BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL
);

CREATE TABLE jobs (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL,
    queue           TEXT NOT NULL,          -- jobs of one queue never overlap
    state           TEXT NOT NULL,          -- queued, running, succeeded, partial, failed, cancelled
    request         TEXT NOT NULL,          -- JSON, by kind
    actor           TEXT NOT NULL,
    origin          TEXT NOT NULL,          -- from where: an address, 'scheduler'
    idempotency_key TEXT UNIQUE,
    attempt         BIGINT NOT NULL,
    owner           TEXT,                   -- the process that runs it
    lease_until     BIGINT,
    created_at      BIGINT NOT NULL,
    started_at      BIGINT,
    finished_at     BIGINT,
    result          TEXT,                   -- JSON, by kind
    error           TEXT                    -- JSON {code, message, hint}
);
CREATE INDEX jobs_by_state ON jobs (state, created_at);
CREATE INDEX jobs_by_time ON jobs (created_at);

CREATE TABLE outbox (
    id              TEXT PRIMARY KEY,       -- also the Message-ID, so that a receiver can tell a repetition
    channel         TEXT NOT NULL,
    event           TEXT NOT NULL,
    message         TEXT NOT NULL,          -- JSON
    state           TEXT NOT NULL,          -- pending, sent, given-up
    attempts        BIGINT NOT NULL,
    due_at          BIGINT NOT NULL,
    lease_until     BIGINT,
    created_at      BIGINT NOT NULL,
    sent_at         BIGINT,
    last_error      TEXT
);
CREATE INDEX outbox_by_due ON outbox (state, due_at);

CREATE TABLE settings (
    name            TEXT PRIMARY KEY,
    value           TEXT NOT NULL,
    changed_at      BIGINT NOT NULL,
    changed_by      TEXT NOT NULL
);
