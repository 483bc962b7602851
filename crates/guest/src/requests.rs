//! Answers a task's questions: from the SDK's messages to the host's methods and back.

use serde_json::{Map, Value, json};
use tradewind_secrets::Masker;
use uuid::Uuid;

use crate::api::{DagRunInfo, TaskHost, TaskInstanceFilter, TriggerRequest, XComAddress, XComSlice};
use crate::further;
use crate::host::HostError;
use crate::report::{get, instant, optional_instant, optional_text, text};
use crate::startup::dag_run;
use crate::wire::{NOT_FINITE, OVERSIZED};

/// What goes back to the task.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    /// Understood; nothing to say.
    Done,
    /// A message. "There is none" is one too: the SDK wants it as a body, not as an error.
    Body(Value),
    /// An exception in the task.
    Error(Value),
}

/// Why a question got no answer.
pub(crate) enum Refusal {
    Malformed(String),
    Host(HostError),
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::Malformed(reason)
    }
}

impl From<HostError> for Refusal {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

/// Answers one question. Each ends in an answer, be it that we do not support it.
pub(crate) async fn answer(host: &dyn TaskHost, masker: &Masker, kind: &str, body: &mut Map<String, Value>) -> Reply {
    match ask(host, masker, kind, body).await {
        Ok(reply) => reply,
        Err(Refusal::Malformed(reason)) => {
            error_reply("GENERIC_ERROR", json!({"message": format!("malformed {kind}: {reason}")}))
        }
        Err(Refusal::Host(error)) => {
            let message = error.to_string();
            match error {
                HostError::Refused { .. } | HostError::Unsupported { .. } => {
                    error_reply("GENERIC_ERROR", json!({"message": message}))
                }
                HostError::NotFound { .. } => {
                    error_reply("API_SERVER_ERROR", json!({"status_code": 404, "message": message}))
                }
                HostError::AlreadyExists { .. } => {
                    error_reply("API_SERVER_ERROR", json!({"status_code": 409, "message": message}))
                }
                HostError::Unavailable { .. } => {
                    error_reply("API_SERVER_ERROR", json!({"status_code": 503, "message": message}))
                }
            }
        }
    }
}

fn oversized(body: &Map<String, Value>) -> HostError {
    let (bytes, limit) = (get(body, "bytes"), get(body, "limit"));
    HostError::Refused {
        message: format!(
            "a value of {bytes} bytes is too large to be handed over: at most {limit} are taken in one piece (an XCom: \
             xcom.max_bytes, or xcom.inline_max_bytes without xcom.storage_url); write it to a file or object store and push \
             its address"
        ),
    }
}

fn error_reply(error: &str, detail: Value) -> Reply {
    Reply::Error(json!({"type": "ErrorResponse", "error": error, "detail": detail}))
}

pub(crate) fn none_of(error: &str, detail: Value) -> Reply {
    Reply::Body(json!({"type": "ErrorResponse", "error": error, "detail": detail}))
}

async fn ask(
    host: &dyn TaskHost,
    masker: &Masker,
    kind: &str,
    body: &mut Map<String, Value>,
) -> Result<Reply, Refusal> {
    match kind {
        OVERSIZED => Err(oversized(body).into()),
        "GetXCom" | "GetXComSequenceSlice" | "GetXComSequenceItem" | "GetXComCount" | "SetXCom" | "DeleteXCom" => {
            ask_xcom(host, kind, body).await
        }
        "GetVariable" | "GetVariableKeys" | "PutVariable" | "DeleteVariable" | "GetConnection" | "MaskSecret" => {
            ask_settings(host, masker, kind, body).await
        }
        "SetRenderedFields" => {
            host.set_rendered_fields(without_markers(get(body, "rendered_fields"))).await?;
            Ok(Reply::Done)
        }
        "SetRenderedMapIndex" => {
            host.set_rendered_map_index(text(body, "rendered_map_index")?).await?;
            Ok(Reply::Done)
        }
        "GetAssetByName"
        | "GetAssetByUri"
        | "GetAssetsByAlias"
        | "GetAssetEventByAsset"
        | "GetAssetEventByAssetAlias"
        | "ValidateInletsAndOutlets" => further::ask_assets(host, kind, body).await,
        kind if kind.contains("StateStore") => further::ask_state(host, kind, body).await,
        "CreateHITLDetailPayload" | "GetHITLDetailResponse" => further::ask_human(host, kind, body).await,
        "GetDag" | "GetPreviousTI" | "GetTaskBreadcrumbs" => further::ask_dags(host, kind, body).await,
        _ => ask_runs(host, kind, body).await,
    }
}

async fn ask_xcom(host: &dyn TaskHost, kind: &str, body: &mut Map<String, Value>) -> Result<Reply, Refusal> {
    let at = XComAddress {
        dag_id: text(body, "dag_id")?.to_owned(),
        run_id: text(body, "run_id")?.to_owned(),
        task_id: text(body, "task_id")?.to_owned(),
        map_index: optional_map_index(body)?,
        key: text(body, "key")?.to_owned(),
    };
    let include_prior_dates = get(body, "include_prior_dates").as_bool().unwrap_or(false);
    Ok(match kind {
        "GetXCom" => {
            let value = host.get_xcom(&at, include_prior_dates).await?;
            let mut result = json!({"type": "XComResult", "key": at.key});
            // Moved, not copied: it may be large.
            result["value"] = value.unwrap_or_default();
            Reply::Body(result)
        }
        "GetXComSequenceSlice" => {
            let slice = XComSlice {
                start: get(body, "start").as_i64(),
                stop: get(body, "stop").as_i64(),
                step: get(body, "step").as_i64(),
                include_prior_dates,
            };
            let values = host.get_xcom_slice(&at, slice).await?;
            let mut result = json!({"type": "XComSequenceSliceResult"});
            result["root"] = values.into();
            Reply::Body(result)
        }
        "GetXComSequenceItem" => {
            let offset = get(body, "offset").as_i64().ok_or_else(|| "offset is no number".to_owned())?;
            match host.get_xcom_item(&at, offset).await? {
                Some(value) => {
                    let mut result = json!({"type": "XComSequenceIndexResult"});
                    result["root"] = value;
                    Reply::Body(result)
                }
                None => none_of("XCOM_NOT_FOUND", json!({"key": at.key, "task_id": at.task_id, "offset": offset})),
            }
        }
        "GetXComCount" => {
            let count = host.count_xcoms(&at).await?;
            Reply::Body(json!({"type": "XComCountResponse", "len": count}))
        }
        "SetXCom" => {
            let value = body.remove("value").unwrap_or_default();
            if has_marker(&value) {
                let message = format!("XCom {:?} holds NaN or an infinity, which JSON does not have", at.key);
                return Err(HostError::Refused { message }.into());
            }
            host.set_xcom(&at, value, get(body, "mapped_length").as_u64()).await?;
            Reply::Done
        }
        _ => {
            host.delete_xcom(&at).await?;
            Reply::Done
        }
    })
}

async fn ask_settings(
    host: &dyn TaskHost,
    masker: &Masker,
    kind: &str,
    body: &Map<String, Value>,
) -> Result<Reply, Refusal> {
    Ok(match kind {
        "GetVariable" => {
            let key = text(body, "key")?;
            match host.get_variable(key).await? {
                Some(value) => {
                    masker.add_variable(key, &value);
                    Reply::Body(json!({"type": "VariableResult", "key": key, "value": value}))
                }
                None => none_of("VARIABLE_NOT_FOUND", json!({"key": key})),
            }
        }
        "GetVariableKeys" => {
            let limit = get(body, "limit").as_u64().unwrap_or(1000);
            let offset = get(body, "offset").as_u64().unwrap_or(0);
            let (keys, total) = host.list_variables(optional_text(body, "prefix"), limit, offset).await?;
            Reply::Body(json!({"type": "VariableKeysResult", "keys": keys, "total_entries": total}))
        }
        "PutVariable" => {
            let key = text(body, "key")?;
            masker.add_variable(key, optional_text(body, "value").unwrap_or_default());
            host.set_variable(key, optional_text(body, "value"), optional_text(body, "description")).await?;
            Reply::Done
        }
        "DeleteVariable" => {
            host.delete_variable(text(body, "key")?).await?;
            Reply::Body(json!({"type": "OKResponse", "ok": true}))
        }
        "GetConnection" => {
            let conn_id = text(body, "conn_id")?;
            match host.get_connection(conn_id).await? {
                Some(connection) => {
                    masker.add_connection(connection.password.as_deref(), connection.extra.as_deref());
                    let mut result = serde_json::to_value(&connection).map_err(|error| error.to_string())?;
                    result["type"] = "ConnectionResult".into();
                    Reply::Body(result)
                }
                None => none_of("CONNECTION_NOT_FOUND", json!({"conn_id": conn_id})),
            }
        }
        _ => {
            let value = get(body, "value");
            let name = optional_text(body, "name");
            masker.add_value(value, name);
            // The SDK names every variable that it reads; as in Airflow only sensitive names are secrets.
            if let Some(secret) = value.as_str().filter(|_| name.is_none_or(tradewind_secrets::is_sensitive_name)) {
                host.mask_secret(secret).await;
            }
            Reply::Done
        }
    })
}

async fn ask_runs(host: &dyn TaskHost, kind: &str, body: &Map<String, Value>) -> Result<Reply, Refusal> {
    Ok(Reply::Body(match kind {
        "GetDagRun" => {
            let mut run = run_value(&host.get_dag_run(text(body, "dag_id")?, text(body, "run_id")?).await?);
            run["type"] = "DagRunResult".into();
            run
        }
        "GetDagRunState" => {
            let state = host.get_dag_run_state(text(body, "dag_id")?, text(body, "run_id")?).await?;
            json!({"type": "DagRunStateResult", "state": state})
        }
        "GetPreviousDagRun" => {
            let before = instant(body, "logical_date")?;
            let run = host.get_previous_dag_run(text(body, "dag_id")?, before, optional_text(body, "state")).await?;
            json!({"type": "PreviousDagRunResult", "dag_run": run.as_ref().map(run_value)})
        }
        "GetPrevSuccessfulDagRun" => {
            let run = host.get_previous_successful_dag_run(ti_id(body)?).await?;
            let run = run.as_ref();
            json!({
                "type": "PrevSuccessfulDagRunResult",
                "data_interval_start": run.and_then(|run| run.data_interval_start),
                "data_interval_end": run.and_then(|run| run.data_interval_end),
                "start_date": run.and_then(|run| run.start_date),
                "end_date": run.and_then(|run| run.end_date),
            })
        }
        "GetDRCount" => {
            json!({"type": "DRCount", "count": host.count_dag_runs(&filter(body)?).await?})
        }
        "GetTICount" => {
            json!({"type": "TICount", "count": host.count_task_instances(&filter(body)?).await?})
        }
        "GetTaskStates" => {
            let mut runs = Map::new();
            for (run_id, task, state) in host.get_task_states(&filter(body)?).await? {
                let run = runs.entry(run_id).or_insert_with(|| Value::Object(Map::new()));
                run[task] = json!(state);
            }
            json!({"type": "TaskStatesResult", "task_states": runs})
        }
        "GetTaskRescheduleStartDate" => {
            let try_number = get(body, "try_number").as_u64().and_then(|number| u32::try_from(number).ok());
            let date = host.get_first_reschedule_date(ti_id(body)?, try_number.unwrap_or(1)).await?;
            json!({"type": "TaskRescheduleStartDate", "start_date": date})
        }
        "TriggerDagRun" => {
            let request = TriggerRequest {
                dag_id: text(body, "dag_id")?.to_owned(),
                run_id: text(body, "run_id")?.to_owned(),
                conf: get(body, "conf").clone(),
                logical_date: optional_instant(body, "logical_date")?,
                run_after: optional_instant(body, "run_after")?,
                reset: get(body, "reset_dag_run").as_bool().unwrap_or(false),
                note: optional_text(body, "note").map(str::to_owned),
            };
            match host.trigger_dag_run(request).await {
                Ok(()) => json!({"type": "OKResponse", "ok": true}),
                // The operator decides what that means: it can be told to skip.
                Err(HostError::AlreadyExists { message }) => {
                    return Ok(none_of("DAGRUN_ALREADY_EXISTS", json!({"message": message})));
                }
                Err(error) => return Err(error.into()),
            }
        }
        other => return Err(HostError::unsupported(other).into()),
    }))
}

fn run_value(run: &DagRunInfo) -> Value {
    dag_run(run, 0, None)
}

pub(crate) fn ti_id(body: &Map<String, Value>) -> Result<Uuid, String> {
    text(body, "ti_id")?.parse().map_err(|error| format!("ti_id is no UUID: {error}"))
}

pub(crate) fn optional_map_index(body: &Map<String, Value>) -> Result<Option<i32>, String> {
    match get(body, "map_index") {
        Value::Null => Ok(None),
        index => index
            .as_i64()
            .and_then(|index| i32::try_from(index).ok())
            .map(Some)
            .ok_or_else(|| format!("map_index is {index}")),
    }
}

fn filter(body: &Map<String, Value>) -> Result<TaskInstanceFilter, String> {
    Ok(TaskInstanceFilter {
        dag_id: text(body, "dag_id")?.to_owned(),
        map_index: optional_map_index(body)?,
        task_ids: texts(body, "task_ids")?,
        task_group_id: optional_text(body, "task_group_id").map(str::to_owned),
        logical_dates: texts(body, "logical_dates")?
            .map(|dates| dates.iter().map(|date| date.parse()).collect::<Result<_, _>>())
            .transpose()
            .map_err(|error| format!("logical_dates: {error}"))?,
        run_ids: texts(body, "run_ids")?,
        states: texts(body, "states")?,
    })
}

pub(crate) fn texts(body: &Map<String, Value>, field: &str) -> Result<Option<Vec<String>>, String> {
    match get(body, field) {
        Value::Null => Ok(None),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .map(Some)
            .ok_or_else(|| format!("{field} holds something that is no text")),
        other => Err(format!("{field} is {other}")),
    }
}

pub(crate) fn has_marker(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with(NOT_FINITE),
        Value::Array(items) => items.iter().any(has_marker),
        Value::Object(fields) => fields.values().any(has_marker),
        _ => false,
    }
}

fn without_markers(value: &Value) -> Value {
    match value {
        Value::String(text) => text.strip_prefix(NOT_FINITE).unwrap_or(text).into(),
        Value::Array(items) => items.iter().map(without_markers).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, field)| (key.clone(), without_markers(field))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}
