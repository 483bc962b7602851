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
    -- Asset events that its schedule has not used yet, and how long its last runs took: JSON; null when there are none.
    pending_assets TEXT,
    runtimes TEXT,
    schedule_error TEXT,
    last_scheduled_start TIMESTAMPTZ,
    last_scheduled_end TIMESTAMPTZ,
    FOREIGN KEY (dag_id, version) REFERENCES dag_version (dag_id, hash)
);

CREATE TABLE backfill (
    no BIGINT PRIMARY KEY CHECK (no >= 0),
    dag_id TEXT NOT NULL REFERENCES dag (dag_id),
    from_date TIMESTAMPTZ NOT NULL,
    to_date TIMESTAMPTZ NOT NULL,
    max_active_runs BIGINT NOT NULL CHECK (max_active_runs >= 0),
    reprocess TEXT NOT NULL CHECK (reprocess IN ('none', 'failed', 'completed')),
    backwards BOOLEAN NOT NULL,
    conf TEXT NOT NULL,
    is_paused BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    completed_at TIMESTAMPTZ,
    made_by TEXT NOT NULL,
    CONSTRAINT backfill_range CHECK (from_date <= to_date)
);
CREATE INDEX backfill_by_dag ON backfill (dag_id, no);
CREATE INDEX backfill_not_completed ON backfill (no) WHERE completed_at IS NULL;

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
    backfill BIGINT REFERENCES backfill (no),
    backfill_ordinal BIGINT CHECK (backfill_ordinal > 0),
    -- Bits, by place of the deadline in the DAG.
    missed_deadlines BIGINT NOT NULL CHECK (missed_deadlines >= 0),
    UNIQUE (dag_id, run_id),
    UNIQUE (dag_id, logical_date),
    FOREIGN KEY (dag_id, version) REFERENCES dag_version (dag_id, hash),
    CONSTRAINT run_over_has_end CHECK ((state IN ('success', 'failed')) = (end_date IS NOT NULL)),
    CONSTRAINT place_in_backfill CHECK ((backfill IS NULL) = (backfill_ordinal IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX dag_run_by_dag_date ON dag_run (dag_id, (COALESCE(logical_date, run_after)), run_no);
CREATE INDEX dag_run_by_date ON dag_run ((COALESCE(logical_date, run_after)), run_no);
CREATE INDEX dag_run_not_over ON dag_run (run_no) WHERE state IN ('queued', 'running');

CREATE TABLE backfill_item (
    backfill BIGINT NOT NULL REFERENCES backfill (no),
    ordinal BIGINT NOT NULL CHECK (ordinal > 0),
    logical_date TIMESTAMPTZ NOT NULL,
    run_no BIGINT REFERENCES dag_run (run_no),
    skipped TEXT,
    PRIMARY KEY (backfill, ordinal)
);

-- No index covers a column that a transition changes: updates stay in their page (heap-only tuples). The map index
-- alone is an exception: it changes at most once, when a mapped task is expanded.
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
    -- What it waits for without a slot, or just has waited for, as JSON.
    deferral TEXT,
    reschedules BIGINT NOT NULL CHECK (reschedules >= 0),
    rendered_map_index TEXT,
    xcom_length BIGINT CHECK (xcom_length >= 0),
    UNIQUE (run_no, task_id, map_index),
    CONSTRAINT running_is_claimed CHECK (state <> 'running' OR (token IS NOT NULL AND worker IS NOT NULL AND attempt > 0)),
    CONSTRAINT queued_is_numbered CHECK (state <> 'queued' OR attempt > 0),
    CONSTRAINT waiting_says_for_what CHECK (state NOT IN ('deferred', 'awaiting_input') OR deferral IS NOT NULL),
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
    include_deferred BOOLEAN NOT NULL,
    -- At most so many starts in so many seconds; null for no limit.
    rate_starts BIGINT CHECK (rate_starts > 0),
    rate_seconds BIGINT CHECK (rate_seconds > 0),
    CONSTRAINT rate_is_whole CHECK ((rate_starts IS NULL) = (rate_seconds IS NULL))
);
INSERT INTO pool (name, slots, description, include_deferred)
VALUES ('default_pool', 128, 'Default pool', FALSE);

-- Names and URIs of assets and aliases may be longer than an index takes. The ids are hashes of them.
CREATE TABLE asset (
    id UUID PRIMARY KEY,
    name TEXT NOT NULL,
    uri TEXT NOT NULL,
    asset_group TEXT NOT NULL,
    extra TEXT NOT NULL
);

-- The assets that events of an alias were attached to.
CREATE TABLE asset_alias (
    id UUID NOT NULL,
    asset UUID NOT NULL,
    alias TEXT NOT NULL,
    name TEXT NOT NULL,
    uri TEXT NOT NULL,
    PRIMARY KEY (id, asset)
);

CREATE TABLE asset_event (
    no BIGINT PRIMARY KEY CHECK (no >= 0),
    name TEXT NOT NULL,
    uri TEXT NOT NULL,
    name_id UUID NOT NULL,
    uri_id UUID NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    extra TEXT NOT NULL,
    source_dag_id TEXT,
    source_run_no BIGINT,
    source_run_id TEXT,
    source_task_id TEXT,
    source_map_index BIGINT,
    -- The aliases it came through, as JSON; null when there are none.
    aliases TEXT,
    CONSTRAINT source_is_whole CHECK (
        (source_dag_id IS NULL) = (source_run_no IS NULL) AND (source_dag_id IS NULL) = (source_run_id IS NULL)
        AND (source_dag_id IS NULL) = (source_task_id IS NULL) AND (source_dag_id IS NULL) = (source_map_index IS NULL))
);
CREATE INDEX asset_event_by_date ON asset_event (at, no);
CREATE INDEX asset_event_by_name ON asset_event (name_id, at, no);
CREATE INDEX asset_event_by_uri ON asset_event (uri_id, at, no);
CREATE INDEX asset_event_by_source ON asset_event (source_dag_id, at, no) WHERE source_dag_id IS NOT NULL;
CREATE INDEX asset_event_by_run ON asset_event (source_run_id, source_dag_id) WHERE source_run_id IS NOT NULL;

-- The aliases of events once more, to search by.
CREATE TABLE asset_event_alias (
    alias UUID NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    event_no BIGINT NOT NULL REFERENCES asset_event (no),
    PRIMARY KEY (alias, at, event_no)
);

CREATE TABLE consumed_event (
    run_no BIGINT NOT NULL REFERENCES dag_run (run_no),
    event_no BIGINT NOT NULL REFERENCES asset_event (no),
    PRIMARY KEY (run_no, event_no)
);

CREATE TABLE callback (
    id UUID PRIMARY KEY,
    -- Order of creation.
    seq BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    run_no BIGINT NOT NULL REFERENCES dag_run (run_no),
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('dag_success', 'dag_failure', 'task_failure', 'task_retry', 'deadline')),
    task_id TEXT,
    map_index BIGINT CHECK (map_index >= -1),
    try_number BIGINT CHECK (try_number >= 0),
    reason TEXT,
    spec TEXT NOT NULL,
    queue TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'success', 'failed')),
    attempt BIGINT NOT NULL CHECK (attempt > 0),
    worker TEXT,
    token UUID,
    created_at TIMESTAMPTZ NOT NULL,
    start_date TIMESTAMPTZ,
    end_date TIMESTAMPTZ,
    note TEXT,
    CONSTRAINT callback_task_is_whole CHECK (
        (task_id IS NULL) = (map_index IS NULL) AND (task_id IS NULL) = (try_number IS NULL)),
    CONSTRAINT callback_running_is_claimed CHECK (state <> 'running' OR (token IS NOT NULL AND worker IS NOT NULL)),
    CONSTRAINT callback_over_has_end CHECK (state NOT IN ('success', 'failed') OR end_date IS NOT NULL)
);
CREATE INDEX callback_by_dag ON callback (dag_id, seq);
CREATE INDEX callback_by_run ON callback (run_id, dag_id, seq);
CREATE INDEX callback_not_over ON callback (seq) WHERE state IN ('queued', 'running');

-- Questions to people, and the answers.
CREATE TABLE human_input (
    ti UUID PRIMARY KEY REFERENCES task_instance (id),
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    map_index BIGINT NOT NULL CHECK (map_index >= -1),
    subject TEXT NOT NULL,
    body TEXT,
    options TEXT NOT NULL,
    defaults TEXT,
    multiple BOOLEAN NOT NULL,
    params TEXT NOT NULL,
    assignees TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    responded_at TIMESTAMPTZ,
    responded_by TEXT,
    chosen_options TEXT,
    params_input TEXT NOT NULL
);
CREATE INDEX human_input_by_date ON human_input (created_at, ti);
CREATE INDEX human_input_by_run ON human_input (dag_id, run_id, created_at, ti);
CREATE INDEX human_input_open ON human_input (created_at, ti) WHERE responded_at IS NULL;

-- What tasks and assets keep between attempts and runs.
CREATE TABLE state_value (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (scope, key)
);

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
