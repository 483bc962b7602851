//! The parts of a commit on SQLite that write assets, asset events, backfills, callbacks and questions to people.

use sqlx::sqlite::SqliteConnection;
use tradewind_ports::StoreError;
use tradewind_types::{AssetEvent, AssetSource, Backfill, Callback, HumanInput, WorkerName, WriteSet};

use crate::{
    assets::{asset_id, text_id},
    commit::{json_opt, json_unless_empty, last_items, lost_rows},
    db::{execute_sqlite, to_json},
    sql::{Arg, Sql, args, int},
};

const ASSET: &str = "INSERT INTO asset (id, name, uri, asset_group, extra) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (id) DO UPDATE SET asset_group = excluded.asset_group, extra = excluded.extra";

const ALIAS: &str = "INSERT INTO asset_alias (id, asset, alias, name, uri) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (id, asset) DO NOTHING";

const EVENT: &str = "INSERT INTO asset_event
        (no, name, uri, name_id, uri_id, at, extra, aliases,
         source_dag_id, source_run_no, source_run_id, source_task_id, source_map_index)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (no) DO NOTHING";

const EVENT_ALIAS: &str = "INSERT INTO asset_event_alias (alias, at, event_no) VALUES ($1, $2, $3)
    ON CONFLICT (alias, at, event_no) DO NOTHING";

const CONSUMED: &str =
    "INSERT INTO consumed_event (run_no, event_no) VALUES ($1, $2) ON CONFLICT (run_no, event_no) DO NOTHING";

const BACKFILL: &str = "INSERT INTO backfill AS t
        (no, dag_id, from_date, to_date, max_active_runs, reprocess, backwards, conf, is_paused, created_at,
         completed_at, made_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (no) DO UPDATE SET from_date = excluded.from_date, to_date = excluded.to_date,
        max_active_runs = excluded.max_active_runs, reprocess = excluded.reprocess, backwards = excluded.backwards,
        conf = excluded.conf, is_paused = excluded.is_paused, created_at = excluded.created_at,
        completed_at = excluded.completed_at, made_by = excluded.made_by
    WHERE t.dag_id = excluded.dag_id";

const BACKFILL_ITEM: &str = "INSERT INTO backfill_item (backfill, ordinal, logical_date, run_no, skipped)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (backfill, ordinal) DO UPDATE SET logical_date = excluded.logical_date, run_no = excluded.run_no,
        skipped = excluded.skipped";

const CALLBACK: &str = "INSERT INTO callback AS t
        (id, run_no, dag_id, run_id, kind, task_id, map_index, try_number, reason, spec, queue, state, attempt, worker,
         token, created_at, start_date, end_date, note)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
    ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, task_id = excluded.task_id, map_index = excluded.map_index,
        try_number = excluded.try_number, reason = excluded.reason, spec = excluded.spec, queue = excluded.queue,
        state = excluded.state, attempt = excluded.attempt, worker = excluded.worker, token = excluded.token,
        created_at = excluded.created_at, start_date = excluded.start_date, end_date = excluded.end_date,
        note = excluded.note
    WHERE t.run_no = excluded.run_no";

const HUMAN_INPUT: &str = "INSERT INTO human_input
        (ti, dag_id, run_id, task_id, map_index, subject, body, options, defaults, multiple, params, assignees,
         created_at, responded_at, responded_by, chosen_options, params_input)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
    ON CONFLICT (ti) DO UPDATE SET map_index = excluded.map_index, subject = excluded.subject, body = excluded.body,
        options = excluded.options, defaults = excluded.defaults, multiple = excluded.multiple,
        params = excluded.params, assignees = excluded.assignees, created_at = excluded.created_at,
        responded_at = excluded.responded_at, responded_by = excluded.responded_by,
        chosen_options = excluded.chosen_options, params_input = excluded.params_input";

fn event_args(event: &AssetEvent) -> Result<Vec<Arg>, StoreError> {
    let source = |part: fn(&AssetSource) -> &str| event.source.as_ref().map(part);
    Ok(args![
        event.no,
        event.asset.name.as_str(),
        event.asset.uri.as_str(),
        text_id(&event.asset.name),
        text_id(&event.asset.uri),
        event.at,
        to_json(&event.extra)?.as_str(),
        json_unless_empty(&event.aliases)?.as_deref(),
        source(|source| source.dag_id.as_str()),
        event.source.as_ref().map(|source| int(source.run_no.0)),
        source(|source| source.run_id.as_str()),
        source(|source| source.task_id.as_str()),
        event.source.as_ref().map(|source| i64::from(source.map_index)),
    ])
}

fn backfill_args(backfill: &Backfill) -> Result<Vec<Arg>, StoreError> {
    Ok(args![
        backfill.no,
        backfill.dag_id.as_str(),
        backfill.from,
        backfill.to,
        backfill.max_active_runs,
        backfill.reprocess.as_str(),
        backfill.backwards,
        to_json(&backfill.conf)?.as_str(),
        backfill.is_paused,
        backfill.created_at,
        backfill.completed_at,
        backfill.by.as_str(),
    ])
}

fn callback_args(callback: &Callback) -> Result<Vec<Arg>, StoreError> {
    let task = callback.task.as_ref();
    Ok(args![
        callback.id.0,
        callback.run_no.0,
        callback.dag_id.as_str(),
        callback.run_id.as_str(),
        callback.kind.as_str(),
        task.map(|(task_id, _, _)| task_id.as_str()),
        task.map(|(_, map_index, _)| i64::from(*map_index)),
        task.map(|(_, _, try_number)| i64::from(*try_number)),
        callback.reason.as_deref(),
        to_json(&callback.spec)?.as_str(),
        callback.queue.as_str(),
        callback.state.as_str(),
        callback.attempt,
        callback.worker.as_ref().map(WorkerName::as_str),
        callback.token.map(|token| token.0),
        callback.created_at,
        callback.start_date,
        callback.end_date,
        callback.note.as_deref(),
    ])
}

fn human_input_args(input: &HumanInput) -> Result<Vec<Arg>, StoreError> {
    Ok(args![
        input.ti.0,
        input.dag_id.as_str(),
        input.run_id.as_str(),
        input.task_id.as_str(),
        input.map_index,
        input.subject.as_str(),
        input.body.as_deref(),
        to_json(&input.options)?.as_str(),
        json_opt(input.defaults.as_ref())?.as_deref(),
        input.multiple,
        to_json(&input.params)?.as_str(),
        to_json(&input.assignees)?.as_str(),
        input.created_at,
        input.responded_at,
        input.responded_by.as_deref(),
        json_opt(input.chosen_options.as_ref())?.as_deref(),
        to_json(&input.params_input)?.as_str(),
    ])
}

pub(super) async fn write_assets(connection: &mut SqliteConnection, rows: &WriteSet) -> Result<(), StoreError> {
    for asset in rows.assets.values() {
        let (name, uri) = (asset.key.name.as_str(), asset.key.uri.as_str());
        let extra = to_json(&asset.extra)?;
        let args = args![asset_id(&asset.key), name, uri, asset.group.as_str(), extra.as_str()];
        execute_sqlite(connection, ASSET, args).await?;
    }
    for (alias, key) in &rows.asset_aliases {
        let args = args![text_id(alias), asset_id(key), alias.as_str(), key.name.as_str(), key.uri.as_str()];
        execute_sqlite(connection, ALIAS, args).await?;
    }
    Ok(())
}

/// Before the runs, which name them.
pub(super) async fn write_backfills(connection: &mut SqliteConnection, rows: &WriteSet) -> Result<(), StoreError> {
    for backfill in rows.backfills.values() {
        if execute_sqlite(connection, BACKFILL, backfill_args(backfill)?).await? == 0 {
            return Err(lost_rows("a backfill"));
        }
    }
    Ok(())
}

/// What names runs and task instances.
pub(super) async fn write_events(connection: &mut SqliteConnection, rows: &WriteSet) -> Result<(), StoreError> {
    for item in last_items(rows) {
        let run_no = item.run_no.map(|run| int(run.0));
        let args = args![item.backfill, item.ordinal, item.logical_date, run_no, item.skipped.as_deref()];
        execute_sqlite(connection, BACKFILL_ITEM, args).await?;
    }
    for event in &rows.asset_events {
        if execute_sqlite(connection, EVENT, event_args(event)?).await? == 0 {
            continue;
        }
        for alias in &event.aliases {
            execute_sqlite(connection, EVENT_ALIAS, args![text_id(alias), event.at, event.no]).await?;
        }
    }
    for (run, event) in &rows.consumed_events {
        execute_sqlite(connection, CONSUMED, args![run.0, *event]).await?;
    }
    for callback in rows.callbacks.values() {
        if execute_sqlite(connection, CALLBACK, callback_args(callback)?).await? == 0 {
            return Err(lost_rows("a callback"));
        }
    }
    for input in rows.human_inputs.values() {
        execute_sqlite(connection, HUMAN_INPUT, human_input_args(input)?).await?;
    }
    Ok(())
}

/// For the test that prepares every statement.
pub(crate) const STATEMENTS: &[Sql] = &[
    Sql::both(ASSET),
    Sql::both(ALIAS),
    Sql::both(EVENT),
    Sql::both(EVENT_ALIAS),
    Sql::both(CONSUMED),
    Sql::both(BACKFILL),
    Sql::both(BACKFILL_ITEM),
    Sql::both(CALLBACK),
    Sql::both(HUMAN_INPUT),
];
