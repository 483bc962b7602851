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
    -- Asset events that its schedule has not used yet, and how long its last runs took: JSON; null when there are none.
    pending_assets TEXT,
    runtimes TEXT,
    schedule_error TEXT,
    last_scheduled_start INTEGER,
    last_scheduled_end INTEGER,
    FOREIGN KEY (dag_id, version) REFERENCES dag_version (dag_id, hash)
) STRICT;

CREATE TABLE backfill (
    no INTEGER PRIMARY KEY CHECK (no >= 0),
    dag_id TEXT NOT NULL REFERENCES dag (dag_id),
    from_date INTEGER NOT NULL,
    to_date INTEGER NOT NULL,
    max_active_runs INTEGER NOT NULL CHECK (max_active_runs >= 0),
    reprocess TEXT NOT NULL CHECK (reprocess IN ('none', 'failed', 'completed')),
    backwards INTEGER NOT NULL,
    conf TEXT NOT NULL,
    is_paused INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    completed_at INTEGER,
    made_by TEXT NOT NULL,
    CONSTRAINT backfill_range CHECK (from_date <= to_date)
) STRICT;
CREATE INDEX backfill_by_dag ON backfill (dag_id, no);
CREATE INDEX backfill_not_completed ON backfill (no) WHERE completed_at IS NULL;

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
    backfill INTEGER REFERENCES backfill (no),
    backfill_ordinal INTEGER CHECK (backfill_ordinal > 0),
    -- Bits, by place of the deadline in the DAG.
    missed_deadlines INTEGER NOT NULL CHECK (missed_deadlines >= 0),
    UNIQUE (dag_id, run_id),
    UNIQUE (dag_id, logical_date),
    FOREIGN KEY (dag_id, version) REFERENCES dag_version (dag_id, hash),
    CONSTRAINT run_over_has_end CHECK ((state IN ('success', 'failed')) = (end_date IS NOT NULL)),
    CONSTRAINT place_in_backfill CHECK ((backfill IS NULL) = (backfill_ordinal IS NULL))
) STRICT;
CREATE INDEX dag_run_by_dag_date ON dag_run (dag_id, COALESCE(logical_date, run_after), run_no);
CREATE INDEX dag_run_by_date ON dag_run (COALESCE(logical_date, run_after), run_no);
CREATE INDEX dag_run_not_over ON dag_run (run_no) WHERE state IN ('queued', 'running');

CREATE TABLE backfill_item (
    backfill INTEGER NOT NULL REFERENCES backfill (no),
    ordinal INTEGER NOT NULL CHECK (ordinal > 0),
    logical_date INTEGER NOT NULL,
    run_no INTEGER REFERENCES dag_run (run_no),
    skipped TEXT,
    PRIMARY KEY (backfill, ordinal)
) STRICT;

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
    -- What it waits for without a slot, or just has waited for, as JSON.
    deferral TEXT,
    reschedules INTEGER NOT NULL CHECK (reschedules >= 0),
    rendered_map_index TEXT,
    xcom_length INTEGER CHECK (xcom_length >= 0),
    UNIQUE (run_no, task_id, map_index),
    CONSTRAINT running_is_claimed CHECK (state <> 'running' OR (token IS NOT NULL AND worker IS NOT NULL AND attempt > 0)),
    CONSTRAINT queued_is_numbered CHECK (state <> 'queued' OR attempt > 0),
    CONSTRAINT waiting_says_for_what CHECK (state NOT IN ('deferred', 'awaiting_input') OR deferral IS NOT NULL),
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
    include_deferred INTEGER NOT NULL,
    -- At most so many starts in so many seconds; null for no limit.
    rate_starts INTEGER CHECK (rate_starts > 0),
    rate_seconds INTEGER CHECK (rate_seconds > 0),
    CONSTRAINT rate_is_whole CHECK ((rate_starts IS NULL) = (rate_seconds IS NULL))
) STRICT;
INSERT INTO pool (name, slots, description, include_deferred)
VALUES ('default_pool', 128, 'Default pool', 0);

-- Names and URIs of assets and aliases may be longer than an index takes. The ids are hashes of them.
CREATE TABLE asset (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    uri TEXT NOT NULL,
    asset_group TEXT NOT NULL,
    extra TEXT NOT NULL
) STRICT;

-- The assets that events of an alias were attached to.
CREATE TABLE asset_alias (
    id BLOB NOT NULL,
    asset BLOB NOT NULL,
    alias TEXT NOT NULL,
    name TEXT NOT NULL,
    uri TEXT NOT NULL,
    PRIMARY KEY (id, asset)
) STRICT;

CREATE TABLE asset_event (
    no INTEGER PRIMARY KEY CHECK (no >= 0),
    name TEXT NOT NULL,
    uri TEXT NOT NULL,
    name_id BLOB NOT NULL,
    uri_id BLOB NOT NULL,
    at INTEGER NOT NULL,
    extra TEXT NOT NULL,
    source_dag_id TEXT,
    source_run_no INTEGER,
    source_run_id TEXT,
    source_task_id TEXT,
    source_map_index INTEGER,
    -- The aliases it came through, as JSON; null when there are none.
    aliases TEXT,
    CONSTRAINT source_is_whole CHECK (
        (source_dag_id IS NULL) = (source_run_no IS NULL) AND (source_dag_id IS NULL) = (source_run_id IS NULL)
        AND (source_dag_id IS NULL) = (source_task_id IS NULL) AND (source_dag_id IS NULL) = (source_map_index IS NULL))
) STRICT;
CREATE INDEX asset_event_by_date ON asset_event (at, no);
CREATE INDEX asset_event_by_name ON asset_event (name_id, at, no);
CREATE INDEX asset_event_by_uri ON asset_event (uri_id, at, no);
CREATE INDEX asset_event_by_source ON asset_event (source_dag_id, at, no) WHERE source_dag_id IS NOT NULL;
CREATE INDEX asset_event_by_run ON asset_event (source_run_id, source_dag_id) WHERE source_run_id IS NOT NULL;

-- The aliases of events once more, to search by.
CREATE TABLE asset_event_alias (
    alias BLOB NOT NULL,
    at INTEGER NOT NULL,
    event_no INTEGER NOT NULL REFERENCES asset_event (no),
    PRIMARY KEY (alias, at, event_no)
) STRICT;

CREATE TABLE consumed_event (
    run_no INTEGER NOT NULL REFERENCES dag_run (run_no),
    event_no INTEGER NOT NULL REFERENCES asset_event (no),
    PRIMARY KEY (run_no, event_no)
) STRICT;

CREATE TABLE callback (
    -- Order of creation.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    run_no INTEGER NOT NULL REFERENCES dag_run (run_no),
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('dag_success', 'dag_failure', 'task_failure', 'task_retry', 'deadline')),
    task_id TEXT,
    map_index INTEGER CHECK (map_index >= -1),
    try_number INTEGER CHECK (try_number >= 0),
    reason TEXT,
    spec TEXT NOT NULL,
    queue TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'success', 'failed')),
    attempt INTEGER NOT NULL CHECK (attempt > 0),
    worker TEXT,
    token BLOB,
    created_at INTEGER NOT NULL,
    start_date INTEGER,
    end_date INTEGER,
    note TEXT,
    CONSTRAINT callback_task_is_whole CHECK (
        (task_id IS NULL) = (map_index IS NULL) AND (task_id IS NULL) = (try_number IS NULL)),
    CONSTRAINT callback_running_is_claimed CHECK (state <> 'running' OR (token IS NOT NULL AND worker IS NOT NULL)),
    CONSTRAINT callback_over_has_end CHECK (state NOT IN ('success', 'failed') OR end_date IS NOT NULL)
) STRICT;
CREATE INDEX callback_by_dag ON callback (dag_id, seq);
CREATE INDEX callback_by_run ON callback (run_id, dag_id, seq);
CREATE INDEX callback_not_over ON callback (seq) WHERE state IN ('queued', 'running');

-- Questions to people, and the answers.
CREATE TABLE human_input (
    ti BLOB PRIMARY KEY REFERENCES task_instance (id),
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    map_index INTEGER NOT NULL CHECK (map_index >= -1),
    subject TEXT NOT NULL,
    body TEXT,
    options TEXT NOT NULL,
    defaults TEXT,
    multiple INTEGER NOT NULL,
    params TEXT NOT NULL,
    assignees TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    responded_at INTEGER,
    responded_by TEXT,
    chosen_options TEXT,
    params_input TEXT NOT NULL
) STRICT;
CREATE INDEX human_input_by_date ON human_input (created_at, ti);
CREATE INDEX human_input_by_run ON human_input (dag_id, run_id, created_at, ti);
CREATE INDEX human_input_open ON human_input (created_at, ti) WHERE responded_at IS NULL;

-- What tasks and assets keep between attempts and runs.
CREATE TABLE state_value (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT;

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
