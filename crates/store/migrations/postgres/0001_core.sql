-- Who leads each shard. A row is never deleted; an owner of NULL means that the lease is free.
CREATE TABLE lease (
    shard INTEGER PRIMARY KEY,
    term BIGINT NOT NULL CHECK (term >= 0),
    owner TEXT,
    incarnation UUID,
    address TEXT,
    -- The session that the leader commits on, so that a taker can end a transaction that is frozen in it.
    backend_pid INTEGER,
    backend_start TIMESTAMPTZ,
    expires_at TIMESTAMPTZ NOT NULL
);
INSERT INTO lease (shard, term, expires_at) VALUES (0, 0, '1970-01-01T00:00:00Z');

CREATE TABLE dag_version (
    dag_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    number BIGINT NOT NULL CHECK (number >= 0),
    bundle TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    spec TEXT NOT NULL,
    PRIMARY KEY (dag_id, hash)
);

CREATE TABLE dag (
    dag_id TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    version_number BIGINT NOT NULL CHECK (version_number >= 0),
    is_paused BOOLEAN NOT NULL,
    is_stale BOOLEAN NOT NULL,
    source_kind TEXT NOT NULL CHECK (source_kind IN ('python', 'yaml')),
    rel_path TEXT NOT NULL,
    parsed_at TIMESTAMPTZ NOT NULL,
    failed_runs BIGINT NOT NULL CHECK (failed_runs >= 0),
    FOREIGN KEY (dag_id, version) REFERENCES dag_version (dag_id, hash)
);

CREATE TABLE dag_run (
    run_no BIGINT PRIMARY KEY CHECK (run_no BETWEEN 0 AND 281474976710655),
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    run_type TEXT NOT NULL CHECK (run_type IN
        ('backfill', 'scheduled', 'manual', 'operator_triggered', 'asset_triggered', 'asset_materialization')),
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'success', 'failed')),
    version TEXT NOT NULL,
    logical_date TIMESTAMPTZ,
    data_interval_start TIMESTAMPTZ,
    data_interval_end TIMESTAMPTZ,
    run_after TIMESTAMPTZ NOT NULL,
    conf TEXT NOT NULL,
    queued_at TIMESTAMPTZ NOT NULL,
    start_date TIMESTAMPTZ,
    end_date TIMESTAMPTZ,
    clear_number BIGINT NOT NULL CHECK (clear_number >= 0),
    triggered_by TEXT,
    note TEXT,
    UNIQUE (dag_id, run_id),
    UNIQUE (dag_id, logical_date),
    FOREIGN KEY (dag_id, version) REFERENCES dag_version (dag_id, hash),
    CONSTRAINT run_over_has_end CHECK ((state IN ('success', 'failed')) = (end_date IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX dag_run_by_dag_date ON dag_run (dag_id, (COALESCE(logical_date, run_after)), run_no);
CREATE INDEX dag_run_by_date ON dag_run ((COALESCE(logical_date, run_after)), run_no);
CREATE INDEX dag_run_not_over ON dag_run (run_no) WHERE state IN ('queued', 'running');

-- No index covers a column that a transition changes: updates stay in their page (heap-only tuples).
CREATE TABLE task_instance (
    id UUID PRIMARY KEY,
    -- Order of creation within a run.
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    run_no BIGINT NOT NULL REFERENCES dag_run (run_no),
    task_id TEXT NOT NULL,
    map_index BIGINT NOT NULL CHECK (map_index >= -1),
    operator TEXT NOT NULL,
    pool TEXT NOT NULL,
    pool_slots BIGINT NOT NULL CHECK (pool_slots >= 0),
    queue TEXT NOT NULL,
    priority_weight BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN
        ('no_status', 'removed', 'scheduled', 'queued', 'running', 'success', 'restarting', 'failed', 'up_for_retry',
         'up_for_reschedule', 'upstream_failed', 'skipped', 'deferred', 'awaiting_input')),
    try_number BIGINT NOT NULL CHECK (try_number >= 0),
    max_tries BIGINT NOT NULL CHECK (max_tries >= 0),
    attempt BIGINT NOT NULL CHECK (attempt >= 0),
    worker_losses BIGINT NOT NULL CHECK (worker_losses >= 0),
    scheduled_at TIMESTAMPTZ,
    queued_at TIMESTAMPTZ,
    start_date TIMESTAMPTZ,
    end_date TIMESTAMPTZ,
    next_at TIMESTAMPTZ,
    first_poke_at TIMESTAMPTZ,
    worker TEXT,
    token UUID,
    note TEXT,
    -- The tasks that its last success skipped, as JSON; null when there are none.
    skips TEXT,
    UNIQUE (run_no, task_id, map_index),
    CONSTRAINT running_is_claimed CHECK (state <> 'running' OR (token IS NOT NULL AND worker IS NOT NULL AND attempt > 0)),
    CONSTRAINT queued_is_numbered CHECK (state <> 'queued' OR attempt > 0),
    CONSTRAINT success_or_failure_has_end CHECK (state NOT IN ('success', 'failed') OR end_date IS NOT NULL)
) WITH (fillfactor = 70);

CREATE TABLE task_try (
    ti UUID NOT NULL,
    attempt BIGINT NOT NULL CHECK (attempt >= 0),
    run_no BIGINT NOT NULL,
    try_number BIGINT NOT NULL CHECK (try_number >= 0),
    state TEXT NOT NULL,
    queued_at TIMESTAMPTZ,
    start_date TIMESTAMPTZ,
    end_date TIMESTAMPTZ,
    worker TEXT,
    note TEXT,
    PRIMARY KEY (ti, attempt)
);

CREATE TABLE xcom (
    ti UUID NOT NULL,
    key TEXT NOT NULL,
    run_no BIGINT NOT NULL,
    task_id TEXT NOT NULL,
    map_index BIGINT NOT NULL,
    value TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (ti, key)
);
CREATE INDEX xcom_by_task ON xcom (run_no, task_id, map_index);

CREATE TABLE rendered (
    ti UUID PRIMARY KEY,
    fields TEXT NOT NULL
);

CREATE TABLE pool (
    name TEXT PRIMARY KEY,
    slots BIGINT NOT NULL CHECK (slots >= -1),
    description TEXT NOT NULL,
    include_deferred BOOLEAN NOT NULL
);
INSERT INTO pool (name, slots, description, include_deferred)
VALUES ('default_pool', 128, 'Default pool', FALSE);

CREATE TABLE variable (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    description TEXT
);

CREATE TABLE connection (
    conn_id TEXT PRIMARY KEY,
    conn_type TEXT NOT NULL,
    description TEXT,
    host TEXT,
    schema TEXT,
    login TEXT,
    password TEXT,
    port BIGINT CHECK (port BETWEEN 0 AND 65535),
    extra TEXT
);

CREATE TABLE import_error (
    rel_path TEXT NOT NULL,
    position BIGINT NOT NULL,
    message TEXT NOT NULL,
    line BIGINT,
    col BIGINT,
    traceback TEXT,
    at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (rel_path, position)
);

CREATE TABLE blob (
    hash TEXT PRIMARY KEY,
    data BYTEA NOT NULL
);

CREATE TABLE bundle (
    hash TEXT PRIMARY KEY,
    files TEXT NOT NULL
);

CREATE TABLE audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- One drawn id a call and the line's place in it: a repeated call adds nothing.
    batch UUID NOT NULL,
    position BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    event TEXT NOT NULL,
    actor TEXT NOT NULL,
    dag_id TEXT,
    run_id TEXT,
    task_id TEXT,
    detail TEXT,
    UNIQUE (batch, position)
);

CREATE TABLE task_log (
    ti UUID NOT NULL,
    attempt BIGINT NOT NULL,
    -- Byte offset of the chunk in the attempt's log.
    start BIGINT NOT NULL CHECK (start >= 0),
    data BYTEA NOT NULL,
    PRIMARY KEY (ti, attempt, start)
);

-- Lets one statement that writes in several places refuse as a whole.
CREATE FUNCTION tradewind_fail(message TEXT) RETURNS BOOLEAN LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE = message, ERRCODE = 'TW001';
END
$$;
