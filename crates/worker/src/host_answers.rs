//! Answers to a guest in its own words, and what it says in ours.

use serde_json::{Map, Value};
use tradewind_guest::{
    AssetEventInfo, AssetInfo, ConnectionInfo, DagInfo, DagRunInfo, HostError, HumanQuestion, LogLevel, LogLine,
    TaskInstanceFilter, TaskInstanceInfo, XComSlice,
};
use tradewind_proto::{instant_opt, v1};
use tradewind_types::{
    ApiError, Asset, AssetEvent, AssetKey, AssetRef, Connection, DagRun, ErrorCode, HumanInput, TaskInstance, TaskSpec,
    TaskState, Timestamp,
};

use crate::logs::Line;

pub(crate) type Answer<T> = Result<T, HostError>;

pub(crate) fn refused(message: String) -> HostError {
    HostError::Refused { message }
}

pub(crate) fn answer(error: ApiError) -> HostError {
    let message = error.message;
    match error.code {
        ErrorCode::NotFound => HostError::NotFound { message },
        ErrorCode::AlreadyExists => HostError::AlreadyExists { message },
        ErrorCode::Unavailable | ErrorCode::NotLeader | ErrorCode::Internal => HostError::Unavailable { message },
        ErrorCode::Invalid
        | ErrorCode::Conflict
        | ErrorCode::StaleAttempt
        | ErrorCode::Unauthenticated
        | ErrorCode::Forbidden
        | ErrorCode::TooLarge => HostError::Refused { message },
    }
}

/// The states of a filter; the SDK says "no state yet" with `None` or `null` where we have a name.
pub(crate) fn states(filter: &TaskInstanceFilter) -> Vec<String> {
    filter
        .states
        .iter()
        .flatten()
        .map(|state| match state.to_ascii_lowercase().as_str() {
            "none" | "null" => "no_status".to_owned(),
            _ => state.clone(),
        })
        .collect()
}

pub(crate) fn run_info(run: DagRun) -> DagRunInfo {
    DagRunInfo {
        dag_id: run.dag_id.to_string(),
        run_id: run.run_id.to_string(),
        logical_date: run.logical_date,
        data_interval_start: run.data_interval_start,
        data_interval_end: run.data_interval_end,
        run_after: run.run_after,
        start_date: run.start_date,
        end_date: run.end_date,
        run_type: run.run_type.to_string(),
        state: run.state.to_string(),
        conf: run.conf,
    }
}

pub(crate) fn connection_info(connection: Connection) -> ConnectionInfo {
    ConnectionInfo {
        conn_id: connection.conn_id,
        conn_type: connection.conn_type,
        host: connection.host,
        schema: connection.schema,
        login: connection.login,
        password: connection.password,
        port: connection.port.map(i32::from),
        extra: connection.extra,
    }
}

pub(crate) fn line(line: LogLine) -> Line {
    Line {
        at: line.at,
        level: match line.level {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warning => "warning",
            LogLevel::Error => "error",
            LogLevel::Critical => "critical",
        },
        logger: line.logger,
        message: line.message,
        fields: line.fields,
    }
}

/// A slice of a list, the way Python does it.
pub(crate) fn slice<T: Clone>(values: Vec<T>, slice: XComSlice) -> Answer<Vec<T>> {
    let length = i64::try_from(values.len()).unwrap_or(i64::MAX);
    let step = slice.step.unwrap_or(1);
    if step == 0 {
        return Err(refused("slice step cannot be zero".to_owned()));
    }
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let bound = |index: Option<i64>, default: i64| match index {
        None => default,
        Some(index) if index < 0 => index.saturating_add(length).clamp(low, high),
        Some(index) => index.clamp(low, high),
    };
    let (first, last) = if step > 0 { (low, high) } else { (high, low) };
    let (mut at, stop) = (bound(slice.start, first), bound(slice.stop, last));
    let mut picked = Vec::new();
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        if let Some(value) = usize::try_from(at).ok().and_then(|at| values.get(at)) {
            picked.push(value.clone());
        }
        at = at.saturating_add(step);
    }
    Ok(picked)
}

/// The assets that a task names as inlets and outlets.
pub(crate) fn assets_of(task: &TaskSpec) -> Vec<AssetKey> {
    let named = task.inlets.iter().chain(&task.outlets);
    named
        .filter_map(|asset| match asset {
            AssetRef::Asset(key) => Some(key.clone()),
            _ => None,
        })
        .collect()
}

fn object(value: &Value) -> Value {
    if value.is_object() { value.clone() } else { Value::Object(Map::new()) }
}

pub(crate) fn asset_info(asset: Asset) -> AssetInfo {
    AssetInfo { name: asset.key.name, uri: asset.key.uri, group: asset.group, extra: object(&asset.extra) }
}

/// An asset event, consumed or asked for. What the asset itself says beside its key does not travel with events.
pub(crate) fn consumed(event: &AssetEvent) -> AssetEventInfo {
    AssetEventInfo {
        id: event.no,
        at: event.at,
        asset: AssetInfo {
            name: event.asset.name.clone(),
            uri: event.asset.uri.clone(),
            group: "asset".to_owned(),
            extra: Value::Object(Map::new()),
        },
        extra: object(&event.extra),
        source: event.source.as_ref().map(|source| {
            (source.dag_id.to_string(), source.run_id.to_string(), source.task_id.to_string(), source.map_index)
        }),
        aliases: event.aliases.clone(),
    }
}

pub(crate) fn ti_info(ti: &TaskInstance, logical_date: Option<Timestamp>) -> TaskInstanceInfo {
    TaskInstanceInfo {
        dag_id: ti.dag_id.to_string(),
        run_id: ti.run_id.to_string(),
        task_id: ti.task_id.to_string(),
        map_index: ti.map_index,
        operator: ti.operator.clone(),
        state: (ti.state != TaskState::NoStatus).then(|| ti.state.to_string()),
        try_number: ti.try_number,
        logical_date,
        start_date: ti.start_date,
        end_date: ti.end_date,
    }
}

pub(crate) fn dag_info(dag: v1::DescribeDagResponse) -> Result<DagInfo, ApiError> {
    Ok(DagInfo {
        dag_id: dag.dag_id,
        is_paused: dag.is_paused,
        rel_path: dag.rel_path,
        version: dag.version,
        owners: dag.owners,
        tags: dag.tags,
        next_logical_date: instant_opt("next_logical_date", dag.next_logical_date)?,
    })
}

/// A task instance's question to a person. The leader sets the instants.
pub(crate) fn human_input(ti: &TaskInstance, question: &HumanQuestion) -> HumanInput {
    HumanInput {
        ti: ti.id,
        dag_id: ti.dag_id.clone(),
        run_id: ti.run_id.clone(),
        task_id: ti.task_id.clone(),
        map_index: ti.map_index,
        subject: question.subject.clone(),
        body: question.body.clone(),
        options: question.options.clone(),
        defaults: question.defaults.clone(),
        multiple: question.multiple,
        params: object(&question.params),
        assignees: question.assignees.clone(),
        created_at: Timestamp::now(),
        responded_at: None,
        responded_by: None,
        chosen_options: None,
        params_input: Value::Object(Map::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_pythons() {
        let of = |start, stop, step| {
            let values: Vec<Value> = (0..5).map(Value::from).collect();
            let part = XComSlice { start, stop, step, include_prior_dates: false };
            let picked = slice(values, part).unwrap();
            picked.iter().filter_map(Value::as_i64).collect::<Vec<_>>()
        };
        assert_eq!(of(None, None, None), [0, 1, 2, 3, 4]);
        assert_eq!(of(Some(1), Some(-1), None), [1, 2, 3]);
        assert_eq!(of(None, None, Some(-1)), [4, 3, 2, 1, 0]);
        assert_eq!(of(Some(-2), None, None), [3, 4]);
        assert_eq!(of(Some(4), Some(0), Some(-2)), [4, 2]);
        assert_eq!(of(Some(-100), Some(100), Some(2)), [0, 2, 4]);
        assert_eq!(of(Some(3), Some(1), None), [0; 0]);
        assert_eq!(of(None, Some(-100), Some(-1)), [4, 3, 2, 1, 0]);
        let zero = XComSlice { step: Some(0), ..XComSlice::default() };
        assert!(slice::<Value>(vec![], zero).is_err());
    }

    #[test]
    fn no_state_has_a_name_here() {
        let filter = TaskInstanceFilter {
            states: Some(vec!["None".to_owned(), "success".to_owned()]),
            ..TaskInstanceFilter::default()
        };
        assert_eq!(states(&filter), ["no_status", "success"]);
    }
}
