//! The parts of a commit on Postgres that write DAGs, runs, task instances, XComs, pools and the audit trail.

use tradewind_ports::StoreError;
use tradewind_types::{DagId, DagRun, PoolName, RunId, TaskId, TaskInstance, WriteSet};
use uuid::Uuid;

use super::statement::{Statement, column, text_opt};
use crate::{
    commit::{json_opt, json_unless_empty, last_xcoms},
    dags::kind_name,
    db::{at, to_json},
    sql::{clean, int},
};

const VERSIONS: &str = "INSERT INTO dag_version (dag_id, hash, number, bundle, created_at, spec)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (dag_id, hash) DO NOTHING RETURNING 1";

const DAGS: &str = "INSERT INTO dag
        (dag_id, version, version_number, is_paused, is_stale, source_kind, rel_path, parsed_at, failed_runs,
         pending_assets, runtimes, schedule_error, last_scheduled_start, last_scheduled_end)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (dag_id) DO UPDATE SET version = excluded.version, version_number = excluded.version_number,
        is_paused = excluded.is_paused, is_stale = excluded.is_stale, source_kind = excluded.source_kind,
        rel_path = excluded.rel_path, parsed_at = excluded.parsed_at, failed_runs = excluded.failed_runs,
        pending_assets = excluded.pending_assets, runtimes = excluded.runtimes,
        schedule_error = excluded.schedule_error, last_scheduled_start = excluded.last_scheduled_start,
        last_scheduled_end = excluded.last_scheduled_end
    RETURNING 1";

const NEW_RUNS: &str = "INSERT INTO dag_run AS t
        (run_no, dag_id, run_id, logical_date, data_interval_start, data_interval_end, run_after, triggered_by,
         run_type, conf, state, version, queued_at, start_date, end_date, clear_number, note, backfill,
         backfill_ordinal, missed_deadlines)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
        $20) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (run_no) DO UPDATE SET run_type = excluded.run_type, conf = excluded.conf, state = excluded.state,
        version = excluded.version, queued_at = excluded.queued_at, start_date = excluded.start_date,
        end_date = excluded.end_date, clear_number = excluded.clear_number, note = excluded.note,
        backfill = excluded.backfill, backfill_ordinal = excluded.backfill_ordinal,
        missed_deadlines = excluded.missed_deadlines
    WHERE t.dag_id = excluded.dag_id AND t.run_id = excluded.run_id
    RETURNING 1";

const RUNS: &str = "UPDATE dag_run AS t SET run_type = u.run_type, conf = u.conf, state = u.state,
        version = u.version, queued_at = u.queued_at, start_date = u.start_date, end_date = u.end_date,
        clear_number = u.clear_number, note = u.note, backfill = u.backfill, backfill_ordinal = u.backfill_ordinal,
        missed_deadlines = u.missed_deadlines
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        AS u (run_no, run_type, conf, state, version, queued_at, start_date, end_date, clear_number, note, backfill,
              backfill_ordinal, missed_deadlines)
    WHERE t.run_no = u.run_no AND EXISTS (SELECT FROM guard)
    RETURNING 1";

const NEW_INSTANCES: &str = "INSERT INTO task_instance AS t
        (id, run_no, task_id, operator, pool, pool_slots, queue, priority_weight, map_index, state, try_number,
         max_tries, attempt, worker_losses, scheduled_at, queued_at, start_date, end_date, next_at, first_poke_at,
         worker, token, note, skips, deferral, reschedules, rendered_map_index, xcom_length)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
        $21, $22, $23, $24, $25, $26, $27, $28) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (id) DO UPDATE SET map_index = excluded.map_index, state = excluded.state,
        try_number = excluded.try_number, max_tries = excluded.max_tries, attempt = excluded.attempt,
        worker_losses = excluded.worker_losses, scheduled_at = excluded.scheduled_at, queued_at = excluded.queued_at,
        start_date = excluded.start_date, end_date = excluded.end_date, next_at = excluded.next_at,
        first_poke_at = excluded.first_poke_at, worker = excluded.worker, token = excluded.token,
        note = excluded.note, skips = excluded.skips, deferral = excluded.deferral,
        reschedules = excluded.reschedules, rendered_map_index = excluded.rendered_map_index,
        xcom_length = excluded.xcom_length, operator = excluded.operator, pool = excluded.pool,
        pool_slots = excluded.pool_slots, queue = excluded.queue, priority_weight = excluded.priority_weight
    WHERE t.run_no = excluded.run_no AND t.task_id = excluded.task_id
    RETURNING 1";

const INSTANCES: &str = "UPDATE task_instance AS t SET map_index = u.map_index, state = u.state,
        try_number = u.try_number, max_tries = u.max_tries, attempt = u.attempt, worker_losses = u.worker_losses,
        scheduled_at = u.scheduled_at, queued_at = u.queued_at, start_date = u.start_date, end_date = u.end_date,
        next_at = u.next_at, first_poke_at = u.first_poke_at, worker = u.worker, token = u.token, note = u.note,
        skips = u.skips, deferral = u.deferral, reschedules = u.reschedules,
        rendered_map_index = u.rendered_map_index, xcom_length = u.xcom_length
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
        AS u (id, map_index, state, try_number, max_tries, attempt, worker_losses, scheduled_at, queued_at,
              start_date, end_date, next_at, first_poke_at, worker, token, note, skips, deferral, reschedules,
              rendered_map_index, xcom_length)
    WHERE t.id = u.id AND EXISTS (SELECT FROM guard)
    RETURNING 1";

const TRIES: &str = "INSERT INTO task_try
        (ti, attempt, run_no, try_number, state, queued_at, start_date, end_date, worker, note)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (ti, attempt) DO NOTHING RETURNING 1";

/// All parts see the store as it was before the statement, so this leaves alone what `XCOMS` is about to replace.
const CLEARED_XCOMS: &str = "DELETE FROM xcom AS t
    WHERE t.ti = ANY ($1) AND EXISTS (SELECT FROM guard)
        AND NOT EXISTS (SELECT FROM unnest($2, $3) AS u (ti, key) WHERE u.ti = t.ti AND u.key = t.key)
    RETURNING 1";

const XCOMS: &str =
    "INSERT INTO xcom (ti, key, run_no, task_id, map_index, value, created_at, object_url, object_size, object_sha256)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (ti, key) DO UPDATE SET run_no = excluded.run_no, task_id = excluded.task_id,
        map_index = excluded.map_index, value = excluded.value, created_at = excluded.created_at,
        object_url = excluded.object_url, object_size = excluded.object_size, object_sha256 = excluded.object_sha256
    RETURNING 1";

const POOLS: &str = "INSERT INTO pool (name, slots, description, include_deferred, rate_starts, rate_seconds)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (name) DO UPDATE SET slots = excluded.slots, description = excluded.description,
        include_deferred = excluded.include_deferred, rate_starts = excluded.rate_starts,
        rate_seconds = excluded.rate_seconds
    RETURNING 1";

const DELETED_POOLS: &str = "DELETE FROM pool AS t
    WHERE t.name = ANY ($1) AND EXISTS (SELECT FROM guard) RETURNING 1";

const AUDIT: &str = "INSERT INTO audit (batch, position, at, event, actor, dag_id, run_id, task_id, detail)
    SELECT $1, u.* FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (batch, position) DO NOTHING RETURNING 1";

pub(super) fn add_dags(s: &mut Statement, rows: &WriteSet) -> Result<(), StoreError> {
    if !rows.versions.is_empty() {
        let versions = &rows.versions;
        let specs = versions.iter().map(|version| to_json(&version.spec)).collect::<Result<Vec<_>, _>>()?;
        s.part("new_versions", VERSIONS);
        column!(s, versions, |v| v.spec.dag_id.as_str());
        column!(s, versions, |v| v.hash.as_str());
        column!(s, versions, |v| i64::from(v.number));
        column!(s, versions, |v| v.bundle.as_ref().map(|b| b.as_str()));
        column!(s, versions, |v| at(v.created_at));
        s.bind(specs);
    }
    if !rows.dags.is_empty() {
        let dags: Vec<_> = rows.dags.values().collect();
        let pending = dags.iter().map(|dag| json_unless_empty(&dag.pending_assets)).collect::<Result<Vec<_>, _>>()?;
        let runtimes = dags.iter().map(|dag| json_unless_empty(&dag.runtimes)).collect::<Result<Vec<_>, _>>()?;
        s.part("dags", DAGS);
        column!(s, dags, |d| d.dag_id.as_str());
        column!(s, dags, |d| d.version.as_str());
        column!(s, dags, |d| i64::from(d.version_number));
        column!(s, dags, |d| d.is_paused);
        column!(s, dags, |d| d.is_stale);
        column!(s, dags, |d| kind_name(d.source.kind));
        column!(s, dags, |d| clean(&d.source.rel_path).into_owned());
        column!(s, dags, |d| at(d.parsed_at));
        column!(s, dags, |d| i64::from(d.failed_runs));
        s.bind(pending);
        s.bind(runtimes);
        column!(s, dags, |d| text_opt(d.schedule_error.as_deref()));
        column!(s, dags, |d| d.last_scheduled.map(|(start, _)| at(start)));
        column!(s, dags, |d| d.last_scheduled.map(|(_, end)| at(end)));
    }
    Ok(())
}

pub(super) fn add_runs(s: &mut Statement, rows: &WriteSet) -> Result<(), StoreError> {
    let changed = |new: bool| -> Vec<&DagRun> {
        rows.runs.values().filter(|run| run.is_new == new).map(|run| &run.row).collect()
    };
    let runs = changed(true);
    if !runs.is_empty() {
        s.part("new_runs", NEW_RUNS);
        column!(s, runs, |r| int(r.run_no.0));
        column!(s, runs, |r| r.dag_id.as_str());
        column!(s, runs, |r| r.run_id.as_str());
        column!(s, runs, |r| r.logical_date.map(at));
        column!(s, runs, |r| r.data_interval_start.map(at));
        column!(s, runs, |r| r.data_interval_end.map(at));
        column!(s, runs, |r| at(r.run_after));
        column!(s, runs, |r| text_opt(r.triggered_by.as_deref()));
        bind_mutable_run(s, &runs)?;
        s.must_touch("new_runs", runs.len(), "a new run");
    }
    let runs = changed(false);
    if !runs.is_empty() {
        s.part("runs", RUNS);
        column!(s, runs, |r| int(r.run_no.0));
        bind_mutable_run(s, &runs)?;
        s.must_touch("runs", runs.len(), "a run");
    }
    Ok(())
}

fn bind_mutable_run(s: &mut Statement, runs: &[&DagRun]) -> Result<(), StoreError> {
    let confs = runs.iter().map(|run| to_json(&run.conf)).collect::<Result<Vec<_>, _>>()?;
    column!(s, runs, |r| r.run_type.as_str());
    s.bind(confs);
    column!(s, runs, |r| r.state.as_str());
    column!(s, runs, |r| r.version.as_str());
    column!(s, runs, |r| at(r.queued_at));
    column!(s, runs, |r| r.start_date.map(at));
    column!(s, runs, |r| r.end_date.map(at));
    column!(s, runs, |r| i64::from(r.clear_number));
    column!(s, runs, |r| text_opt(r.note.as_deref()));
    column!(s, runs, |r| r.backfill.map(|backfill| int(backfill.no)));
    column!(s, runs, |r| r.backfill.map(|backfill| i64::from(backfill.ordinal)));
    column!(s, runs, |r| i64::from(r.missed_deadlines));
    Ok(())
}

pub(super) fn add_instances(s: &mut Statement, rows: &WriteSet) -> Result<(), StoreError> {
    let changed = |new: bool| -> Vec<&TaskInstance> {
        rows.task_instances.values().filter(|ti| ti.is_new == new).map(|ti| &ti.row).collect()
    };
    let instances = changed(true);
    if !instances.is_empty() {
        s.part("new_instances", NEW_INSTANCES);
        column!(s, instances, |t| t.id.0);
        column!(s, instances, |t| int(t.run_no.0));
        column!(s, instances, |t| t.task_id.as_str());
        column!(s, instances, |t| clean(&t.operator).into_owned());
        column!(s, instances, |t| t.pool.as_str());
        column!(s, instances, |t| i64::from(t.pool_slots));
        column!(s, instances, |t| t.queue.as_str());
        column!(s, instances, |t| t.priority_weight);
        bind_mutable_instance(s, &instances)?;
        s.must_touch("new_instances", instances.len(), "a new task instance");
    }
    let instances = changed(false);
    if !instances.is_empty() {
        s.part("instances", INSTANCES);
        column!(s, instances, |t| t.id.0);
        bind_mutable_instance(s, &instances)?;
        s.must_touch("instances", instances.len(), "a task instance");
    }
    Ok(())
}

fn bind_mutable_instance(s: &mut Statement, instances: &[&TaskInstance]) -> Result<(), StoreError> {
    let skips = instances.iter().map(|ti| json_unless_empty(&ti.skips)).collect::<Result<Vec<_>, _>>()?;
    let deferrals = instances.iter().map(|ti| json_opt(ti.deferral.as_ref())).collect::<Result<Vec<_>, _>>()?;
    column!(s, instances, |t| i64::from(t.map_index));
    column!(s, instances, |t| t.state.as_str());
    column!(s, instances, |t| i64::from(t.try_number));
    column!(s, instances, |t| i64::from(t.max_tries));
    column!(s, instances, |t| i64::from(t.attempt));
    column!(s, instances, |t| i64::from(t.worker_losses));
    column!(s, instances, |t| t.scheduled_at.map(at));
    column!(s, instances, |t| t.queued_at.map(at));
    column!(s, instances, |t| t.start_date.map(at));
    column!(s, instances, |t| t.end_date.map(at));
    column!(s, instances, |t| t.next_at.map(at));
    column!(s, instances, |t| t.first_poke_at.map(at));
    column!(s, instances, |t| text_opt(t.worker.as_ref().map(|w| w.as_str())));
    column!(s, instances, |t| t.token.map(|token| token.0));
    column!(s, instances, |t| text_opt(t.note.as_deref()));
    s.bind(skips);
    s.bind(deferrals);
    column!(s, instances, |t| i64::from(t.reschedules));
    column!(s, instances, |t| text_opt(t.rendered_map_index.as_deref()));
    column!(s, instances, |t| t.xcom_length.map(i64::from));
    Ok(())
}

pub(super) fn add_xcoms(s: &mut Statement, rows: &WriteSet) -> Result<(), StoreError> {
    let xcoms = last_xcoms(rows);
    if !rows.xcoms_cleared.is_empty() {
        let cleared = &rows.xcoms_cleared;
        s.part("cleared_xcoms", CLEARED_XCOMS);
        column!(s, cleared, |ti| ti.0);
        column!(s, xcoms, |x| x.ti.0);
        column!(s, xcoms, |x| clean(&x.key).into_owned());
    }
    if !xcoms.is_empty() {
        let values = xcoms.iter().map(|xcom| to_json(&xcom.value)).collect::<Result<Vec<_>, _>>()?;
        s.part("xcoms", XCOMS);
        column!(s, xcoms, |x| x.ti.0);
        column!(s, xcoms, |x| clean(&x.key).into_owned());
        column!(s, xcoms, |x| int(x.run_no.0));
        column!(s, xcoms, |x| x.task_id.as_str());
        column!(s, xcoms, |x| i64::from(x.map_index));
        s.bind(values);
        column!(s, xcoms, |x| at(x.created_at));
        column!(s, xcoms, |x| text_opt(x.object.as_ref().map(|object| object.url.as_str())));
        column!(s, xcoms, |x| x.object.as_ref().map(|object| int(object.size)));
        column!(s, xcoms, |x| text_opt(x.object.as_ref().map(|object| object.sha256.as_str())));
    }
    Ok(())
}

pub(super) fn add_pools(s: &mut Statement, rows: &WriteSet) {
    let pools: Vec<_> = rows.pools.values().flatten().collect();
    if !pools.is_empty() {
        s.part("pools", POOLS);
        column!(s, pools, |p| p.name.as_str());
        column!(s, pools, |p| p.slots);
        column!(s, pools, |p| clean(&p.description).into_owned());
        column!(s, pools, |p| p.include_deferred);
        column!(s, pools, |p| p.rate.map(|rate| i64::from(rate.starts)));
        column!(s, pools, |p| p.rate.map(|rate| i64::from(rate.per_secs)));
    }
    let deleted: Vec<&PoolName> = rows.pools.iter().filter(|(_, pool)| pool.is_none()).map(|(name, _)| name).collect();
    if !deleted.is_empty() {
        s.part("deleted_pools", DELETED_POOLS);
        column!(s, deleted, |name| name.as_str());
    }
}

pub(super) fn add_tries(s: &mut Statement, rows: &WriteSet) {
    if !rows.tries.is_empty() {
        let tries = &rows.tries;
        s.part("tries", TRIES);
        column!(s, tries, |t| t.ti.0);
        column!(s, tries, |t| i64::from(t.attempt));
        column!(s, tries, |t| int(t.run_no.0));
        column!(s, tries, |t| i64::from(t.try_number));
        column!(s, tries, |t| t.state.as_str());
        column!(s, tries, |t| t.queued_at.map(at));
        column!(s, tries, |t| t.start_date.map(at));
        column!(s, tries, |t| t.end_date.map(at));
        column!(s, tries, |t| text_opt(t.worker.as_ref().map(|w| w.as_str())));
        column!(s, tries, |t| text_opt(t.note.as_deref()));
    }
}

pub(super) fn add_audit(s: &mut Statement, batch: Uuid, rows: &WriteSet) {
    if !rows.audit.is_empty() {
        let audit = &rows.audit;
        s.part("audit_lines", AUDIT);
        s.bind(batch);
        s.bind((0_i64..).take(audit.len()).collect::<Vec<_>>());
        column!(s, audit, |a| at(a.at));
        column!(s, audit, |a| clean(&a.event).into_owned());
        column!(s, audit, |a| clean(&a.by).into_owned());
        column!(s, audit, |a| text_opt(a.dag_id.as_ref().map(DagId::as_str)));
        column!(s, audit, |a| text_opt(a.run_id.as_ref().map(RunId::as_str)));
        column!(s, audit, |a| text_opt(a.task_id.as_ref().map(TaskId::as_str)));
        column!(s, audit, |a| text_opt(a.detail.as_deref()));
    }
}
