//! Assets and their events, callbacks, backfills, questions to people.

use tradewind_types as t;
use tradewind_types::ApiError;

use super::{from_json, instant, instant_opt, json, micros, parse, to_json, uuid};
use crate::v1;

impl From<&t::Asset> for v1::Asset {
    fn from(asset: &t::Asset) -> Self {
        Self {
            name: asset.key.name.clone(),
            uri: asset.key.uri.clone(),
            group: asset.group.clone(),
            extra_json: asset.extra.to_string(),
        }
    }
}

impl TryFrom<v1::Asset> for t::Asset {
    type Error = ApiError;

    fn try_from(asset: v1::Asset) -> Result<Self, ApiError> {
        Ok(Self {
            extra: json("extra of the asset", &asset.extra_json)?,
            key: t::AssetKey { name: asset.name, uri: asset.uri },
            group: asset.group,
        })
    }
}

impl From<&t::AssetEvent> for v1::AssetEvent {
    fn from(event: &t::AssetEvent) -> Self {
        let source = event.source.as_ref();
        Self {
            no: event.no,
            name: event.asset.name.clone(),
            uri: event.asset.uri.clone(),
            at: micros(event.at),
            extra_json: event.extra.to_string(),
            source_dag_id: source.map(|source| source.dag_id.to_string()),
            source_run_id: source.map(|source| source.run_id.to_string()),
            source_task_id: source.map(|source| source.task_id.to_string()),
            source_map_index: source.map_or(t::UNMAPPED, |source| source.map_index),
            aliases: event.aliases.clone(),
            source_run_no: source.map_or(0, |source| source.run_no.0),
        }
    }
}

impl TryFrom<v1::AssetEvent> for t::AssetEvent {
    type Error = ApiError;

    fn try_from(event: v1::AssetEvent) -> Result<Self, ApiError> {
        let source = match (event.source_dag_id, event.source_run_id, event.source_task_id) {
            (None, None, None) => None,
            (Some(dag_id), Some(run_id), Some(task_id)) => Some(t::AssetSource {
                dag_id: dag_id.into(),
                run_no: t::RunNo(event.source_run_no),
                run_id: run_id.into(),
                task_id: task_id.into(),
                map_index: event.source_map_index,
            }),
            _ => {
                return Err(ApiError::invalid(format!(
                    "asset event {}: its source needs DAG, run and task, or none of them",
                    event.no
                )));
            }
        };
        Ok(Self {
            no: event.no,
            asset: t::AssetKey { name: event.name, uri: event.uri },
            at: instant("at", event.at)?,
            extra: json("extra of the asset event", &event.extra_json)?,
            source,
            aliases: event.aliases,
        })
    }
}

impl From<&t::Callback> for v1::Callback {
    /// The lease token stays behind: it travels only in grants.
    fn from(callback: &t::Callback) -> Self {
        let task = callback.task.as_ref();
        Self {
            id: callback.id.to_string(),
            dag_id: callback.dag_id.to_string(),
            run_id: callback.run_id.to_string(),
            kind: callback.kind.to_string(),
            task_id: task.map(|(task_id, _, _)| task_id.to_string()),
            map_index: task.map_or(t::UNMAPPED, |(_, map_index, _)| *map_index),
            try_number: task.map_or(0, |(_, _, try_number)| *try_number),
            reason: callback.reason.clone(),
            spec_json: callback.spec.to_string(),
            queue: callback.queue.to_string(),
            state: callback.state.to_string(),
            attempt: callback.attempt,
            worker: callback.worker.as_ref().map(ToString::to_string),
            created_at: micros(callback.created_at),
            start_date: callback.start_date.map(micros),
            end_date: callback.end_date.map(micros),
            note: callback.note.clone(),
            run_no: callback.run_no.0,
        }
    }
}

impl TryFrom<v1::Callback> for t::Callback {
    type Error = ApiError;

    fn try_from(callback: v1::Callback) -> Result<Self, ApiError> {
        Ok(Self {
            id: t::TiId(uuid("id", &callback.id)?),
            run_no: t::RunNo(callback.run_no),
            dag_id: callback.dag_id.into(),
            run_id: callback.run_id.into(),
            kind: parse("kind", &callback.kind)?,
            task: callback.task_id.map(|task_id| (task_id.into(), callback.map_index, callback.try_number)),
            reason: callback.reason,
            spec: json("spec", &callback.spec_json)?,
            queue: callback.queue.into(),
            state: parse("state", &callback.state)?,
            attempt: callback.attempt,
            worker: callback.worker.map(Into::into),
            token: None,
            created_at: instant("created_at", callback.created_at)?,
            start_date: instant_opt("start_date", callback.start_date)?,
            end_date: instant_opt("end_date", callback.end_date)?,
            note: callback.note,
        })
    }
}

impl From<&t::HumanInput> for v1::HumanInput {
    fn from(input: &t::HumanInput) -> Self {
        Self { json: to_json(input) }
    }
}

impl TryFrom<v1::HumanInput> for t::HumanInput {
    type Error = ApiError;

    fn try_from(input: v1::HumanInput) -> Result<Self, ApiError> {
        from_json("human input", &input.json)
    }
}

impl From<&t::Backfill> for v1::Backfill {
    fn from(backfill: &t::Backfill) -> Self {
        Self {
            no: backfill.no,
            dag_id: backfill.dag_id.to_string(),
            from: micros(backfill.from),
            to: micros(backfill.to),
            max_active_runs: backfill.max_active_runs,
            reprocess: backfill.reprocess.to_string(),
            backwards: backfill.backwards,
            conf_json: backfill.conf.to_string(),
            is_paused: backfill.is_paused,
            created_at: micros(backfill.created_at),
            completed_at: backfill.completed_at.map(micros),
            by: backfill.by.clone(),
        }
    }
}

impl TryFrom<v1::Backfill> for t::Backfill {
    type Error = ApiError;

    fn try_from(backfill: v1::Backfill) -> Result<Self, ApiError> {
        Ok(Self {
            no: backfill.no,
            dag_id: backfill.dag_id.into(),
            from: instant("from", backfill.from)?,
            to: instant("to", backfill.to)?,
            max_active_runs: backfill.max_active_runs,
            reprocess: parse("reprocess", &backfill.reprocess)?,
            backwards: backfill.backwards,
            conf: json("conf", &backfill.conf_json)?,
            is_paused: backfill.is_paused,
            created_at: instant("created_at", backfill.created_at)?,
            completed_at: instant_opt("completed_at", backfill.completed_at)?,
            by: backfill.by,
        })
    }
}

impl v1::BackfillItem {
    /// What a backfill does about one date, with the run that it made, if the caller knows it.
    pub fn new(item: &t::BackfillItem, run: Option<&t::DagRun>) -> Self {
        Self {
            ordinal: item.ordinal,
            logical_date: micros(item.logical_date),
            run_id: run.map(|run| run.run_id.to_string()),
            state: run.map(|run| run.state.to_string()),
            skipped: item.skipped.clone(),
        }
    }
}
