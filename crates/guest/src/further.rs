//! Further questions: about assets, kept values, DAGs and people's answers.

use serde_json::{Map, Value, json};

use crate::api::{
    AssetEventInfo, AssetEventQuery, AssetInfo, AssetName, HumanQuestion, PreviousTiQuery, StateScope, TaskHost,
    TaskInstanceInfo,
};
use crate::host::HostError;
use crate::report::{get, optional_instant, optional_text, text};
use crate::requests::{Refusal, Reply, has_marker, none_of, optional_map_index, texts, ti_id};

type Body = Map<String, Value>;
type Answer = Result<Reply, Refusal>;

fn ok() -> Reply {
    Reply::Body(json!({"type": "OKResponse", "ok": true}))
}

pub(crate) async fn ask_assets(host: &dyn TaskHost, kind: &str, body: &Body) -> Answer {
    Ok(match kind {
        "GetAssetByName" | "GetAssetByUri" => {
            let (wanted, detail) = if kind == "GetAssetByName" {
                let name = text(body, "name")?;
                (AssetName::Name(name.to_owned()), json!({"name": name}))
            } else {
                let uri = text(body, "uri")?;
                (AssetName::Uri(uri.to_owned()), json!({"uri": uri}))
            };
            match host.get_asset(&wanted).await? {
                Some(asset) => Reply::Body(asset_result(&asset)),
                None => none_of("ASSET_NOT_FOUND", detail),
            }
        }
        "GetAssetsByAlias" => {
            let assets = host.get_assets_of_alias(text(body, "alias_name")?).await?;
            let assets: Vec<Value> = assets.iter().map(asset_result).collect();
            Reply::Body(json!({"type": "AssetsByAliasResult", "assets": assets}))
        }
        "ValidateInletsAndOutlets" => {
            let inactive: Vec<Value> = host
                .get_inactive_assets()
                .await?
                .into_iter()
                .map(|(name, uri)| json!({"name": name, "uri": uri, "type": "Asset"}))
                .collect();
            Reply::Body(json!({"type": "InactiveAssetsResult", "inactive_assets": inactive}))
        }
        _ => {
            let query = AssetEventQuery {
                name: optional_text(body, "name").map(str::to_owned),
                uri: optional_text(body, "uri").map(str::to_owned),
                alias: optional_text(body, "alias_name").map(str::to_owned),
                after: optional_instant(body, "after")?,
                before: optional_instant(body, "before")?,
                limit: get(body, "limit").as_u64().and_then(|limit| u32::try_from(limit).ok()),
                ascending: get(body, "ascending").as_bool().unwrap_or(true),
            };
            if query.name.is_none() && query.uri.is_none() && query.alias.is_none() {
                return Err("it names no asset".to_owned().into());
            }
            let events: Vec<Value> = host.get_asset_events(&query).await?.iter().map(asset_event).collect();
            Reply::Body(json!({"type": "AssetEventsResult", "asset_events": events}))
        }
    })
}

fn asset_value(asset: &AssetInfo) -> Value {
    json!({"name": asset.name, "uri": asset.uri, "group": asset.group, "extra": object(&asset.extra)})
}

fn asset_result(asset: &AssetInfo) -> Value {
    let mut result = asset_value(asset);
    result["type"] = "AssetResult".into();
    result
}

fn asset_event(event: &AssetEventInfo) -> Value {
    let source = event.source.as_ref();
    json!({
        "id": event.id,
        "timestamp": event.at,
        "extra": object(&event.extra),
        "asset": asset_value(&event.asset),
        "created_dagruns": [],
        "source_dag_id": source.map(|source| &source.0),
        "source_run_id": source.map(|source| &source.1),
        "source_task_id": source.map(|source| &source.2),
        "source_map_index": source.map(|source| source.3),
    })
}

/// An asset event that a run consumed, in the run's own form.
pub(crate) fn consumed_event(event: &AssetEventInfo) -> Value {
    let source = event.source.as_ref();
    let aliases: Vec<Value> = event.aliases.iter().map(|name| json!({"name": name})).collect();
    json!({
        "asset": {"name": event.asset.name, "uri": event.asset.uri, "extra": object(&event.asset.extra)},
        "extra": object(&event.extra),
        "source_dag_id": source.map(|source| &source.0),
        "source_run_id": source.map(|source| &source.1),
        "source_task_id": source.map(|source| &source.2),
        "source_map_index": source.map(|source| source.3),
        "source_aliases": aliases,
        "timestamp": event.at,
    })
}

fn object(value: &Value) -> Value {
    if value.is_object() { value.clone() } else { json!({}) }
}

pub(crate) async fn ask_state(host: &dyn TaskHost, kind: &str, body: &Body) -> Answer {
    let scope = match kind {
        kind if kind.ends_with("ByName") => StateScope::Asset(AssetName::Name(text(body, "name")?.to_owned())),
        kind if kind.ends_with("ByUri") => StateScope::Asset(AssetName::Uri(text(body, "uri")?.to_owned())),
        _ => StateScope::Task(ti_id(body)?),
    };
    let (result, missing) = match scope {
        StateScope::Task(_) => ("TaskStateStoreResult", "TASK_STORE_NOT_FOUND"),
        StateScope::Asset(_) => ("AssetStateStoreResult", "ASSET_STORE_NOT_FOUND"),
    };
    let verb_ends = kind.find("Task").or_else(|| kind.find("Asset")).unwrap_or(kind.len());
    Ok(match &kind[..verb_ends] {
        "Get" => {
            let key = text(body, "key")?;
            match host.get_state_value(&scope, key).await? {
                Some(value) => Reply::Body(json!({"type": result, "value": value})),
                None => none_of(missing, json!({"key": key})),
            }
        }
        "Set" => {
            let (key, value) = (text(body, "key")?, get(body, "value"));
            if has_marker(value) {
                let message = format!("the value of {key:?} holds NaN or an infinity, which JSON does not have");
                return Err(HostError::Refused { message }.into());
            }
            host.put_state_value(&scope, key, value).await?;
            ok()
        }
        "Delete" => {
            host.delete_state_values(&scope, Some(text(body, "key")?)).await?;
            ok()
        }
        "Clear" => {
            host.delete_state_values(&scope, None).await?;
            ok()
        }
        _ => return Err(HostError::unsupported(kind).into()),
    })
}

pub(crate) async fn ask_human(host: &dyn TaskHost, kind: &str, body: &Body) -> Answer {
    if kind == "GetHITLDetailResponse" {
        let answer = host.get_human_answer(ti_id(body)?).await?;
        return Ok(Reply::Body(json!({
            "type": "HITLDetailResponseResult",
            "response_received": answer.at.is_some(),
            "responded_by_user": answer.by.map(|by| json!({"id": by, "name": by})),
            "responded_at": answer.at,
            "chosen_options": answer.chosen,
            "params_input": object(&answer.params_input),
        })));
    }
    let question = HumanQuestion {
        subject: text(body, "subject")?.to_owned(),
        body: optional_text(body, "body").map(str::to_owned),
        options: texts(body, "options")?.unwrap_or_default(),
        defaults: texts(body, "defaults")?,
        multiple: get(body, "multiple").as_bool().unwrap_or(false),
        params: get(body, "params").clone(),
        assignees: get(body, "assigned_users").as_array().cloned().unwrap_or_default(),
    };
    host.ask_human(&question).await?;
    // The answer repeats the question.
    let mut result = body.clone();
    result.insert("type".to_owned(), "HITLDetailRequestResult".into());
    Ok(Reply::Body(Value::Object(result)))
}

pub(crate) async fn ask_dags(host: &dyn TaskHost, kind: &str, body: &Body) -> Answer {
    let dag_id = text(body, "dag_id")?;
    Ok(Reply::Body(match kind {
        "GetDag" => {
            let dag = host.get_dag(dag_id).await?;
            json!({
                "type": "DagResult",
                "dag_id": dag.dag_id,
                "is_paused": dag.is_paused,
                "bundle_name": "dags",
                "bundle_version": dag.version,
                "relative_fileloc": dag.rel_path,
                "owners": dag.owners.join(", "),
                "tags": dag.tags,
                "next_dagrun": dag.next_logical_date,
            })
        }
        "GetTaskBreadcrumbs" => {
            let finished = host.get_finished(dag_id, text(body, "run_id")?).await?;
            let breadcrumbs: Vec<Value> = finished
                .iter()
                .map(|ti| {
                    json!({
                        "task_id": ti.task_id,
                        "map_index": ti.map_index,
                        "state": ti.state,
                        "operator": ti.operator,
                        "duration": ti.duration(),
                    })
                })
                .collect();
            json!({"type": "TaskBreadcrumbsResult", "breadcrumbs": breadcrumbs})
        }
        _ => {
            let query = PreviousTiQuery {
                dag_id: dag_id.to_owned(),
                task_id: text(body, "task_id")?.to_owned(),
                map_index: optional_map_index(body)?.unwrap_or(-1),
                before: optional_instant(body, "logical_date")?,
                state: optional_text(body, "state").map(str::to_owned),
            };
            let found = host.get_previous_ti(&query).await?;
            json!({"type": "PreviousTIResult", "task_instance": found.as_ref().map(previous_ti)})
        }
    }))
}

fn previous_ti(ti: &TaskInstanceInfo) -> Value {
    json!({
        "task_id": ti.task_id,
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "logical_date": ti.logical_date,
        "start_date": ti.start_date,
        "end_date": ti.end_date,
        "state": ti.state,
        "try_number": ti.try_number,
        "map_index": ti.map_index,
        "duration": ti.duration(),
    })
}
