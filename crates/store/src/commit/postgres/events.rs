//! The parts of a commit on Postgres that write assets, asset events, backfills, callbacks and questions to people.

use tradewind_ports::StoreError;
use tradewind_types::{Asset, AssetEvent, AssetSource, Backfill, Callback, HumanInput, WriteSet};

use super::statement::{Statement, column, text_opt};
use crate::{
    assets::{asset_id, text_id},
    commit::{json_opt, json_unless_empty, last_items},
    db::{at, to_json},
    sql::{clean, int},
};

const ASSETS: &str = "INSERT INTO asset (id, name, uri, asset_group, extra)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (id) DO UPDATE SET asset_group = excluded.asset_group, extra = excluded.extra RETURNING 1";

const ALIASES: &str = "INSERT INTO asset_alias (id, asset, alias, name, uri)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (id, asset) DO NOTHING RETURNING 1";

const EVENTS: &str = "INSERT INTO asset_event
        (no, name, uri, name_id, uri_id, at, extra, aliases,
         source_dag_id, source_run_no, source_run_id, source_task_id, source_map_index)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (no) DO NOTHING RETURNING 1";

/// All parts see the store as it was before the statement, so this leaves events alone that were there already.
const EVENT_ALIASES: &str = "INSERT INTO asset_event_alias (alias, at, event_no)
    SELECT u.* FROM unnest($1, $2, $3) AS u (alias, at, event_no)
    WHERE EXISTS (SELECT FROM guard) AND NOT EXISTS (SELECT FROM asset_event e WHERE e.no = u.event_no)
    ON CONFLICT (alias, at, event_no) DO NOTHING RETURNING 1";

const CONSUMED: &str = "INSERT INTO consumed_event (run_no, event_no)
    SELECT u.* FROM unnest($1, $2) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (run_no, event_no) DO NOTHING RETURNING 1";

const BACKFILLS: &str = "INSERT INTO backfill AS t
        (no, dag_id, from_date, to_date, max_active_runs, reprocess, backwards, conf, is_paused, created_at,
         completed_at, made_by)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (no) DO UPDATE SET from_date = excluded.from_date, to_date = excluded.to_date,
        max_active_runs = excluded.max_active_runs, reprocess = excluded.reprocess, backwards = excluded.backwards,
        conf = excluded.conf, is_paused = excluded.is_paused, created_at = excluded.created_at,
        completed_at = excluded.completed_at, made_by = excluded.made_by
    WHERE t.dag_id = excluded.dag_id
    RETURNING 1";

const BACKFILL_ITEMS: &str = "INSERT INTO backfill_item (backfill, ordinal, logical_date, run_no, skipped)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (backfill, ordinal) DO UPDATE SET logical_date = excluded.logical_date, run_no = excluded.run_no,
        skipped = excluded.skipped
    RETURNING 1";

const CALLBACKS: &str = "INSERT INTO callback AS t
        (id, run_no, dag_id, run_id, kind, task_id, map_index, try_number, reason, spec, queue, state, attempt, worker,
         token, created_at, start_date, end_date, note)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, task_id = excluded.task_id, map_index = excluded.map_index,
        try_number = excluded.try_number, reason = excluded.reason, spec = excluded.spec, queue = excluded.queue,
        state = excluded.state, attempt = excluded.attempt, worker = excluded.worker, token = excluded.token,
        created_at = excluded.created_at, start_date = excluded.start_date, end_date = excluded.end_date,
        note = excluded.note
    WHERE t.run_no = excluded.run_no
    RETURNING 1";

const HUMAN_INPUTS: &str = "INSERT INTO human_input
        (ti, dag_id, run_id, task_id, map_index, subject, body, options, defaults, multiple, params, assignees,
         created_at, responded_at, responded_by, chosen_options, params_input)
    SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) AS u
    WHERE EXISTS (SELECT FROM guard)
    ON CONFLICT (ti) DO UPDATE SET map_index = excluded.map_index, subject = excluded.subject, body = excluded.body,
        options = excluded.options, defaults = excluded.defaults, multiple = excluded.multiple,
        params = excluded.params, assignees = excluded.assignees, created_at = excluded.created_at,
        responded_at = excluded.responded_at, responded_by = excluded.responded_by,
        chosen_options = excluded.chosen_options, params_input = excluded.params_input
    RETURNING 1";

fn owned(text: &str) -> String {
    clean(text).into_owned()
}

pub(super) fn add_assets(s: &mut Statement, rows: &WriteSet) -> Result<(), StoreError> {
    let assets: Vec<&Asset> = rows.assets.values().collect();
    if !assets.is_empty() {
        let extras = assets.iter().map(|asset| to_json(&asset.extra)).collect::<Result<Vec<_>, _>>()?;
        s.part("assets", ASSETS);
        column!(s, assets, |a| asset_id(&a.key));
        column!(s, assets, |a| owned(&a.key.name));
        column!(s, assets, |a| owned(&a.key.uri));
        column!(s, assets, |a| owned(&a.group));
        s.bind(extras);
    }
    let aliases = &rows.asset_aliases;
    if !aliases.is_empty() {
        s.part("asset_aliases", ALIASES);
        column!(s, aliases, |(alias, _)| text_id(alias));
        column!(s, aliases, |(_, key)| asset_id(key));
        column!(s, aliases, |(alias, _)| owned(alias));
        column!(s, aliases, |(_, key)| owned(&key.name));
        column!(s, aliases, |(_, key)| owned(&key.uri));
    }
    Ok(())
}

pub(super) fn add_events(s: &mut Statement, rows: &WriteSet) -> Result<(), StoreError> {
    let events = &rows.asset_events;
    if !events.is_empty() {
        let extras = events.iter().map(|event| to_json(&event.extra)).collect::<Result<Vec<_>, _>>()?;
        let aliases = events.iter().map(|event| json_unless_empty(&event.aliases)).collect::<Result<Vec<_>, _>>()?;
        s.part("asset_events", EVENTS);
        column!(s, events, |e| int(e.no));
        column!(s, events, |e| owned(&e.asset.name));
        column!(s, events, |e| owned(&e.asset.uri));
        column!(s, events, |e| text_id(&e.asset.name));
        column!(s, events, |e| text_id(&e.asset.uri));
        column!(s, events, |e| at(e.at));
        s.bind(extras);
        s.bind(aliases);
        let source = |e: &'_ AssetEvent, part: fn(&AssetSource) -> &str| e.source.as_ref().map(|s| owned(part(s)));
        column!(s, events, |e| source(e, |s| s.dag_id.as_str()));
        column!(s, events, |e| e.source.as_ref().map(|s| int(s.run_no.0)));
        column!(s, events, |e| source(e, |s| s.run_id.as_str()));
        column!(s, events, |e| source(e, |s| s.task_id.as_str()));
        column!(s, events, |e| e.source.as_ref().map(|s| i64::from(s.map_index)));
    }
    let links: Vec<(&str, &AssetEvent)> =
        events.iter().flat_map(|event| event.aliases.iter().map(move |alias| (alias.as_str(), event))).collect();
    if !links.is_empty() {
        s.part("asset_event_aliases", EVENT_ALIASES);
        column!(s, links, |(alias, _)| text_id(alias));
        column!(s, links, |(_, event)| at(event.at));
        column!(s, links, |(_, event)| int(event.no));
    }
    let consumed = &rows.consumed_events;
    if !consumed.is_empty() {
        s.part("consumed_events", CONSUMED);
        column!(s, consumed, |(run, _)| int(run.0));
        column!(s, consumed, |(_, event)| int(*event));
    }
    Ok(())
}

pub(super) fn add_backfills(s: &mut Statement, rows: &WriteSet) -> Result<(), StoreError> {
    let backfills: Vec<&Backfill> = rows.backfills.values().collect();
    if !backfills.is_empty() {
        let confs = backfills.iter().map(|backfill| to_json(&backfill.conf)).collect::<Result<Vec<_>, _>>()?;
        s.part("backfills", BACKFILLS);
        column!(s, backfills, |b| int(b.no));
        column!(s, backfills, |b| b.dag_id.as_str());
        column!(s, backfills, |b| at(b.from));
        column!(s, backfills, |b| at(b.to));
        column!(s, backfills, |b| i64::from(b.max_active_runs));
        column!(s, backfills, |b| b.reprocess.as_str());
        column!(s, backfills, |b| b.backwards);
        s.bind(confs);
        column!(s, backfills, |b| b.is_paused);
        column!(s, backfills, |b| at(b.created_at));
        column!(s, backfills, |b| b.completed_at.map(at));
        column!(s, backfills, |b| owned(&b.by));
        s.must_touch("backfills", backfills.len(), "a backfill");
    }
    let items = last_items(rows);
    if !items.is_empty() {
        s.part("backfill_items", BACKFILL_ITEMS);
        column!(s, items, |i| int(i.backfill));
        column!(s, items, |i| i64::from(i.ordinal));
        column!(s, items, |i| at(i.logical_date));
        column!(s, items, |i| i.run_no.map(|run| int(run.0)));
        column!(s, items, |i| text_opt(i.skipped.as_deref()));
    }
    Ok(())
}

pub(super) fn add_callbacks(s: &mut Statement, rows: &WriteSet) -> Result<(), StoreError> {
    let callbacks: Vec<&Callback> = rows.callbacks.values().collect();
    if callbacks.is_empty() {
        return Ok(());
    }
    let specs = callbacks.iter().map(|callback| to_json(&callback.spec)).collect::<Result<Vec<_>, _>>()?;
    s.part("callbacks", CALLBACKS);
    column!(s, callbacks, |c| c.id.0);
    column!(s, callbacks, |c| int(c.run_no.0));
    column!(s, callbacks, |c| c.dag_id.as_str());
    column!(s, callbacks, |c| c.run_id.as_str());
    column!(s, callbacks, |c| c.kind.as_str());
    column!(s, callbacks, |c| c.task.as_ref().map(|(task_id, _, _)| task_id.to_string()));
    column!(s, callbacks, |c| c.task.as_ref().map(|(_, map_index, _)| i64::from(*map_index)));
    column!(s, callbacks, |c| c.task.as_ref().map(|(_, _, try_number)| i64::from(*try_number)));
    column!(s, callbacks, |c| text_opt(c.reason.as_deref()));
    s.bind(specs);
    column!(s, callbacks, |c| c.queue.as_str());
    column!(s, callbacks, |c| c.state.as_str());
    column!(s, callbacks, |c| i64::from(c.attempt));
    column!(s, callbacks, |c| text_opt(c.worker.as_ref().map(|worker| worker.as_str())));
    column!(s, callbacks, |c| c.token.map(|token| token.0));
    column!(s, callbacks, |c| at(c.created_at));
    column!(s, callbacks, |c| c.start_date.map(at));
    column!(s, callbacks, |c| c.end_date.map(at));
    column!(s, callbacks, |c| text_opt(c.note.as_deref()));
    s.must_touch("callbacks", callbacks.len(), "a callback");
    Ok(())
}

pub(super) fn add_human_inputs(s: &mut Statement, rows: &WriteSet) -> Result<(), StoreError> {
    let inputs: Vec<&HumanInput> = rows.human_inputs.values().collect();
    if inputs.is_empty() {
        return Ok(());
    }
    let options = inputs.iter().map(|input| to_json(&input.options)).collect::<Result<Vec<_>, _>>()?;
    let defaults = inputs.iter().map(|input| json_opt(input.defaults.as_ref())).collect::<Result<Vec<_>, _>>()?;
    let params = inputs.iter().map(|input| to_json(&input.params)).collect::<Result<Vec<_>, _>>()?;
    let assignees = inputs.iter().map(|input| to_json(&input.assignees)).collect::<Result<Vec<_>, _>>()?;
    let chosen = inputs.iter().map(|input| json_opt(input.chosen_options.as_ref())).collect::<Result<Vec<_>, _>>()?;
    let filled_in = inputs.iter().map(|input| to_json(&input.params_input)).collect::<Result<Vec<_>, _>>()?;
    s.part("human_inputs", HUMAN_INPUTS);
    column!(s, inputs, |i| i.ti.0);
    column!(s, inputs, |i| i.dag_id.as_str());
    column!(s, inputs, |i| i.run_id.as_str());
    column!(s, inputs, |i| i.task_id.as_str());
    column!(s, inputs, |i| i64::from(i.map_index));
    column!(s, inputs, |i| owned(&i.subject));
    column!(s, inputs, |i| text_opt(i.body.as_deref()));
    s.bind(options);
    s.bind(defaults);
    column!(s, inputs, |i| i.multiple);
    s.bind(params);
    s.bind(assignees);
    column!(s, inputs, |i| at(i.created_at));
    column!(s, inputs, |i| i.responded_at.map(at));
    column!(s, inputs, |i| text_opt(i.responded_by.as_deref()));
    s.bind(chosen);
    s.bind(filled_in);
    Ok(())
}
