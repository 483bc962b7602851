-- Instants are microseconds since 1970 in UTC; ids are 16 bytes; truth values are 0 or 1.

-- Who leads each shard. A row is never deleted; an owner of NULL means that the lease is free.
CREATE TABLE lease (
    shard INTEGER PRIMARY KEY,
    term INTEGER NOT NULL CHECK (term >= 0),
    owner TEXT,
    incarnation BLOB,
    address TEXT,
    expires_at INTEGER NOT NULL
) STRICT;
INSERT INTO lease (shard, term, expires_at) VALUES (0, 0, 0);

CREATE TABLE dag_version (
    dag_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number >= 0),
    bundle TEXT,
    created_at INTEGER NOT NULL,
    spec TEXT NOT NULL,
    PRIMARY KEY (dag_id, hash)
) STRICT;

CREATE TABLE dag (
    dag_id TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    version_number INTEGER NOT NULL CHECK (version_number >= 0),
    is_paused INTEGER NOT NULL,
    is_stale INTEGER NOT NULL,
    source_kind TEXT NOT NULL CHECK (source_kind IN ('python', 'yaml')),
    rel_path TEXT NOT NULL,
    parsed_at INTEGER NOT NULL,
    failed_runs INTEGER NOT NULL CHECK (failed_runs >= 0),
    FOREIGN KEY (dag_id, version) REFERENCES dag_version (dag_id, hash)
) STRICT;

CREATE TABLE dag_run (
    run_no INTEGER PRIMARY KEY CHECK (run_no BETWEEN 0 AND 281474976710655),
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    run_type TEXT NOT NULL CHECK (run_type IN
        ('backfill', 'scheduled', 'manual', 'operator_triggered', 'asset_triggered', 'asset_materialization')),
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'success', 'failed')),
    version TEXT NOT NULL,
    logical_date INTEGER,
    data_interval_start INTEGER,
    data_interval_end INTEGER,
    run_after INTEGER NOT NULL,
    conf TEXT NOT NULL,
    queued_at INTEGER NOT NULL,
    start_date INTEGER,
    end_date INTEGER,
    clear_number INTEGER NOT NULL CHECK (clear_number >= 0),
    triggered_by TEXT,
    note TEXT,
    UNIQUE (dag_id, run_id),
    UNIQUE (dag_id, logical_date),
    FOREIGN KEY (dag_id, version) REFERENCES dag_version (dag_id, hash),
    CONSTRAINT run_over_has_end CHECK ((state IN ('success', 'failed')) = (end_date IS NOT NULL))
) STRICT;
CREATE INDEX dag_run_by_dag_date ON dag_run (dag_id, COALESCE(logical_date, run_after), run_no);
CREATE INDEX dag_run_by_date ON dag_run (COALESCE(logical_date, run_after), run_no);
CREATE INDEX dag_run_not_over ON dag_run (run_no) WHERE state IN ('queued', 'running');

CREATE TABLE task_instance (
    -- Order of creation within a run.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    run_no INTEGER NOT NULL REFERENCES dag_run (run_no),
    task_id TEXT NOT NULL,
    map_index INTEGER NOT NULL CHECK (map_index >= -1),
    operator TEXT NOT NULL,
    pool TEXT NOT NULL,
    pool_slots INTEGER NOT NULL CHECK (pool_slots >= 0),
    queue TEXT NOT NULL,
    priority_weight INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN
        ('no_status', 'removed', 'scheduled', 'queued', 'running', 'success', 'restarting', 'failed', 'up_for_retry',
         'up_for_reschedule', 'upstream_failed', 'skipped', 'deferred', 'awaiting_input')),
    try_number INTEGER NOT NULL CHECK (try_number >= 0),
    max_tries INTEGER NOT NULL CHECK (max_tries >= 0),
    attempt INTEGER NOT NULL CHECK (attempt >= 0),
    worker_losses INTEGER NOT NULL CHECK (worker_losses >= 0),
    scheduled_at INTEGER,
    queued_at INTEGER,
    start_date INTEGER,
    end_date INTEGER,
    next_at INTEGER,
    first_poke_at INTEGER,
    worker TEXT,
    token BLOB,
    note TEXT,
    -- The tasks that its last success skipped, as JSON; null when there are none.
    skips TEXT,
    UNIQUE (run_no, task_id, map_index),
    CONSTRAINT running_is_claimed CHECK (state <> 'running' OR (token IS NOT NULL AND worker IS NOT NULL AND attempt > 0)),
    CONSTRAINT queued_is_numbered CHECK (state <> 'queued' OR attempt > 0),
    CONSTRAINT success_or_failure_has_end CHECK (state NOT IN ('success', 'failed') OR end_date IS NOT NULL)
) STRICT;

CREATE TABLE task_try (
    ti BLOB NOT NULL,
    attempt INTEGER NOT NULL CHECK (attempt >= 0),
    run_no INTEGER NOT NULL,
    try_number INTEGER NOT NULL CHECK (try_number >= 0),
    state TEXT NOT NULL,
    queued_at INTEGER,
    start_date INTEGER,
    end_date INTEGER,
    worker TEXT,
    note TEXT,
    PRIMARY KEY (ti, attempt)
) STRICT;

CREATE TABLE xcom (
    ti BLOB NOT NULL,
    key TEXT NOT NULL,
    run_no INTEGER NOT NULL,
    task_id TEXT NOT NULL,
    map_index INTEGER NOT NULL,
    value TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (ti, key)
) STRICT;
CREATE INDEX xcom_by_task ON xcom (run_no, task_id, map_index);

CREATE TABLE rendered (
    ti BLOB PRIMARY KEY,
    fields TEXT NOT NULL
) STRICT;

CREATE TABLE pool (
    name TEXT PRIMARY KEY,
    slots INTEGER NOT NULL CHECK (slots >= -1),
    description TEXT NOT NULL,
    include_deferred INTEGER NOT NULL
) STRICT;
INSERT INTO pool (name, slots, description, include_deferred)
VALUES ('default_pool', 128, 'Default pool', 0);

CREATE TABLE variable (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    description TEXT
) STRICT;

CREATE TABLE connection (
    conn_id TEXT PRIMARY KEY,
    conn_type TEXT NOT NULL,
    description TEXT,
    host TEXT,
    schema TEXT,
    login TEXT,
    password TEXT,
    port INTEGER CHECK (port BETWEEN 0 AND 65535),
    extra TEXT
) STRICT;

CREATE TABLE import_error (
    rel_path TEXT NOT NULL,
    position INTEGER NOT NULL,
    message TEXT NOT NULL,
    line INTEGER,
    col INTEGER,
    traceback TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (rel_path, position)
) STRICT;

CREATE TABLE blob (
    hash TEXT PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

CREATE TABLE bundle (
    hash TEXT PRIMARY KEY,
    files TEXT NOT NULL
) STRICT;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- One drawn id a call and the line's place in it: a repeated call adds nothing.
    batch BLOB NOT NULL,
    position INTEGER NOT NULL,
    at INTEGER NOT NULL,
    event TEXT NOT NULL,
    actor TEXT NOT NULL,
    dag_id TEXT,
    run_id TEXT,
    task_id TEXT,
    detail TEXT,
    UNIQUE (batch, position)
) STRICT;
